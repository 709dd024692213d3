import { setMaxListeners } from 'node:events'
import { FederationError } from '../errors.ts'
import { abortReason, unlessAborted } from '../model/aborted.ts'
import type { Clock, Timer } from '../model/plugs.ts'

/** One negotiation has as many steps and verifications under way as its limits allow: many listeners are no leak here. */
export function crowdedController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/** A signal that is aborted with `S2S_TIMEOUT` after a time on the engine's clock, or with its parent's reason before. */
export class Deadline {
  readonly signal: AbortSignal
  readonly #controller = crowdedController()
  readonly #timer: Timer
  readonly #parent: AbortSignal | undefined
  readonly #onParent = (): void => {
    if (this.#parent !== undefined) this.#controller.abort(abortReason(this.#parent))
  }

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
    return await unlessAborted(work, this.signal)
  }

  cancel(): void {
    this.#timer.cancel()
    this.#parent?.removeEventListener('abort', this.#onParent)
  }
}
