import { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import { within } from '../model/within.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { IncomingNegotiation } from './negotiation.ts'

/**
 * The polite end of an incoming stream: what we have sent on it is acknowledged, for a while; then our closing tag goes, and what the
 * peer still sends is served until its own comes, for a while (RFC 6120 §4.4).
 */
export class Farewell {
  readonly #n: IncomingNegotiation
  #isBegun = false
  #isHeard = false
  #timer: Timer | undefined

  constructor(n: IncomingNegotiation) {
    this.#n = n
  }

  /** One side is leaving: nothing is sent any more. */
  get isBegun(): boolean {
    return this.#isBegun || this.#isHeard
  }

  /** The peer's closing tag has come. */
  hear(): void {
    this.#isHeard = true
  }

  /** Our closing tag is sent. */
  get isSaid(): boolean {
    return this.#timer !== undefined
  }

  /** @param because what the peer is told, if anything */
  begin(stream: XmlStream, because?: FederationError): void {
    if (this.#isBegun || this.#n.signal.aborted) return
    this.#isBegun = true
    const { server, authenticated } = this.#n
    const acknowledgements = authenticated.reversed?.acknowledgements
    if (acknowledgements?.pending !== true) this.#say(stream, because)
    else server.background(within(acknowledgements.settled(), server.clock, server.timeouts.close).then(() => this.#say(stream, because)))
  }

  end(): void {
    this.#timer?.cancel()
  }

  #say(stream: XmlStream, because: FederationError | undefined): void {
    const n = this.#n
    if (n.signal.aborted) return
    stream.sendClosing(because)
    this.#timer = n.server.clock.setTimeout(
      () => n.stop(new FederationError('S2S_TIMEOUT', { detail: 'the peer did not close the stream' })),
      n.server.timeouts.close
    )
  }
}
