import { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import { Settlement } from '../streams/settlement.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { IncomingNegotiation } from './negotiation.ts'

/**
 * The polite end of an incoming stream: what we have sent on it is acknowledged, for a while where somebody is in a hurry; then our
 * closing tag goes, and what the peer still sends is served until its own comes, for a while (RFC 6120 §4.4).
 */
export class Farewell {
  readonly #n: IncomingNegotiation
  readonly #settlement: Settlement
  #isBegun = false
  #isHeard = false
  #timer: Timer | undefined

  constructor(n: IncomingNegotiation) {
    this.#n = n
    this.#settlement = new Settlement(n.server.clock)
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

  /** The wait for acknowledgements takes no longer than what a peer gets to close. */
  hurry(): void {
    this.#settlement.atMost(this.#n.server.timeouts.close)
  }

  /** @param because what the peer is told, if anything */
  begin(stream: XmlStream, because?: FederationError): void {
    if (this.#isBegun || this.#n.signal.aborted) return
    this.#isBegun = true
    const { server, authenticated } = this.#n
    const acknowledgements = authenticated.reversed?.acknowledgements
    const settled = this.#settlement.of(acknowledgements)
    if (acknowledgements?.pending !== true) this.#say(stream, because)
    else server.background(settled.then(() => this.#say(stream, because)))
  }

  end(): void {
    this.#settlement.end()
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
