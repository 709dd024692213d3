import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { HandledStanzas } from './handled.ts'

/** The application's own: takes each stanza of an authenticated pair, in order. */
export type OnStanza = (stanza: Stanza, on: { readonly link: Link; readonly pair: PairStatus }) => void | Promise<void>

/** Hands the stanzas that come on one stream to the application, and counts what it has finished with. */
export class Delivery {
  readonly handled: HandledStanzas
  readonly #onStanza: OnStanza
  readonly #server: Pick<LocalServer, 'clock' | 'observer'>

  constructor(onStanza: OnStanza, server: Pick<LocalServer, 'clock' | 'observer'>) {
    this.handled = new HandledStanzas(server.clock)
    this.#onStanza = onStanza
    this.#server = server
  }

  /**
   * Hands a stanza over. What the handler throws or rejects with is a warning: the stream is not to blame.
   *
   * @returns a promise where the stream has to wait for the handler before it is read on
   */
  deliver(stanza: Stanza, on: { readonly link: Link; readonly pair: PairStatus }): Promise<void> | undefined {
    return this.handled.count(this.#hand(stanza, on))
  }

  #hand(stanza: Stanza, on: { readonly link: Link; readonly pair: PairStatus }): Promise<void> | undefined {
    try {
      const handled = this.#onStanza(stanza, on)
      return handled instanceof Promise ? handled.catch((cause: unknown) => this.#failed(cause)) : undefined
    } catch (cause) {
      this.#failed(cause)
      return undefined
    }
  }

  #failed(cause: unknown): void {
    this.#server.observer.warn(new FederationError('S2S_INTERNAL', { detail: 'onStanza failed', cause }))
  }
}
