import { FederationError } from '../errors.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { isThenable } from '../model/thenable.ts'
import type { Observer } from '../observe/observer.ts'

/** Where a stanza came in. */
export interface Place {
  readonly link: Link
  readonly pair: PairStatus
}

/** The application's own: takes each stanza of an authenticated pair, in order. */
export type OnStanza = (stanza: Stanza, on: Place) => void | PromiseLike<void>

/** Gives stanzas to the application. What it throws or rejects with is a warning: the stream is not to blame. */
export class Handler {
  readonly #onStanza: OnStanza
  readonly #observer: Observer

  constructor(onStanza: OnStanza, observer: Observer) {
    this.#onStanza = onStanza
    this.#observer = observer
  }

  /** @returns a promise that settles when the application has finished with it, and never rejects; undefined: it has */
  hand(stanza: Stanza, on: Place): Promise<void> | undefined {
    this.#observer.traffic.received(on.link.direction)
    try {
      const handled = this.#onStanza(stanza, on)
      return isThenable(handled) ? this.#settled(handled) : undefined
    } catch (cause) {
      this.#failed(cause)
      return undefined
    }
  }

  async #settled(handled: PromiseLike<unknown>): Promise<void> {
    try {
      await handled
    } catch (cause) {
      this.#failed(cause)
    }
  }

  #failed(cause: unknown): void {
    this.#observer.warn(new FederationError('S2S_INTERNAL', { detail: 'onStanza failed', cause }))
  }
}
