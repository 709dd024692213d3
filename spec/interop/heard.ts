import assert from 'node:assert/strict'
import { once } from 'node:events'

const DEADLINE = 60_000

/** Waits for something that comes with a stanza: `tell` at each, and one `until` at a time. */
export class Heard {
  #tell: () => void = () => undefined

  tell(): void {
    this.#tell()
  }

  async until(isTrue: () => boolean): Promise<void> {
    const late = once(AbortSignal.timeout(DEADLINE), 'abort').then(() => assert.fail(`after ${DEADLINE} ms: ${String(isTrue)}`))
    const came = new Promise<void>(resolve => {
      this.#tell = () => {
        if (isTrue()) resolve()
      }
      this.#tell()
    })
    await Promise.race([came, late])
    this.#tell = () => undefined
  }
}
