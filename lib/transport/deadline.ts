import { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'

/** A signal that is aborted with `S2S_TIMEOUT` after a time on the engine's clock, or with its parent's reason before. */
export class Deadline {
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #timer: Timer
  readonly #parent: AbortSignal | undefined
  readonly #onParent = (): void => this.#controller.abort(reasonOf(this.#parent))

  constructor(clock: Clock, milliseconds: number, what: string, parent: AbortSignal | undefined) {
    this.signal = this.#controller.signal
    this.#parent = parent
    this.#timer = clock.setTimeout(
      () => this.#controller.abort(new FederationError('S2S_TIMEOUT', { detail: `${what} took more than ${milliseconds} ms` })),
      milliseconds
    )
    if (parent?.aborted === true) this.#onParent()
    else parent?.addEventListener('abort', this.#onParent, { once: true })
  }

  /** The result of the work, or the reason of the abort, whichever is first. Work that loses ends unheard. */
  async race<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined)
    const { signal } = this
    if (signal.aborted) throw reasonOf(signal)
    let onAbort: (() => void) | undefined
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(reasonOf(signal))
      signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      return await Promise.race([work, aborted])
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
    }
  }

  cancel(): void {
    this.#timer.cancel()
    this.#parent?.removeEventListener('abort', this.#onParent)
  }
}

function reasonOf(signal: AbortSignal | undefined): FederationError {
  const reason: unknown = signal?.reason
  return FederationError.is(reason) ? reason : new FederationError('S2S_ABORTED', { cause: reason })
}
