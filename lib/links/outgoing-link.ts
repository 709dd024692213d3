import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { TlsFacts } from '../model/stream.ts'
import type { AuthenticatedStream } from '../outgoing/negotiate.ts'
import { SharedStream } from '../outgoing/shared-stream.ts'
import { kindOf } from '../rules/permitted.ts'
import { isLoss } from '../rules/stream-management.ts'
import { commonOptions } from '../streams/acknowledgements-options.ts'
import { Acknowledgements } from '../streams/acknowledgements.ts'
import type { Carrier } from '../streams/carrier.ts'
import type { Consignment, Ended } from '../streams/consignment.ts'
import type { LostStream } from '../streams/lost-stream.ts'
import { Lifetime } from '../streams/lifetime.ts'
import { closedBecause, expired, milliseconds, part, stalled } from '../streams/liveness.ts'
import { Settlement } from '../streams/settlement.ts'
import { isCertified, ShownLink } from '../streams/shown-link.ts'
import type { LiveLink, PairOnStream } from '../streams/standing.ts'
import { within } from '../model/within.ts'
import type { ElementFrame } from '../xml/framer.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { OutgoingLinkParts } from './outgoing-link-parts.ts'
import { outOfPlace } from './refusals.ts'
import { flowBack } from './reverse-flow.ts'
import type { ReverseFlow } from './reverse-flow.ts'

/**
 * One outgoing stream that carries stanzas of its pairs (RFC 6120 §4.5), and back those of the reversed pairs where it goes both ways.
 * What else the peer sends on it is never delivered.
 */
export class OutgoingLink extends ShownLink implements LiveLink, Carrier {
  readonly id: string
  readonly direction = 'outgoing'
  readonly tls?: TlsFacts
  readonly certificate?: CertificateVerdict
  readonly since: number
  readonly report: Report
  readonly closed: Promise<FederationError | undefined>
  /** As {@link closed}, when what came back on it is handled as well. */
  readonly ended: OutgoingLink['closed']
  /** The largest stanza that the peer takes, in bytes (XEP-0478); undefined: it has not said. */
  readonly maxBytes: number | undefined
  lost: LostStream | undefined
  /** What further pairs join it by. */
  readonly shared: SharedStream
  readonly #stream: XmlStream
  readonly #server: LocalServer
  readonly #lifetime: Lifetime
  readonly #acknowledgements: Acknowledgements
  readonly #back: ReverseFlow | undefined
  readonly #settlement: Settlement
  #lastSent: number
  #open = true
  #reading = true
  #failure: FederationError | undefined
  #closing: Promise<void> | undefined
  #tellRead: () => void = () => undefined
  #tellClosed: (error: FederationError | undefined) => void = () => undefined
  /** Resolves when nothing is read any more. */
  readonly #readAll = new Promise<void>(resolve => (this.#tellRead = resolve))

  constructor(id: string, established: AuthenticatedStream, { report, server, parts, lost }: OutgoingLinkParts) {
    super()
    const { stream, tls } = established
    this.id = id
    this.#back = flowBack(established, { link: this, report, parts })
    if (tls !== undefined) {
      this.tls = tls.secured.facts
      this.certificate = tls.verdict
    }
    this.since = server.clock.now()
    this.report = report
    this.maxBytes = established.features.limits?.maxBytes
    this.#stream = stream
    this.#server = server
    this.#settlement = new Settlement(server.clock)
    this.#lastSent = this.since
    this.shared = new SharedStream({
      carrier: this,
      established,
      report,
      mostPairs: server.limits.pairsPerStream,
      back: this.#back,
      write: xml => this.#write(xml),
      grown: () => this.#lifetime.look(),
      retire: () => server.background(this.close())
    })
    this.#lifetime = new Lifetime({
      clock: server.clock,
      timeouts: server.timeouts,
      stream,
      peersIdle: milliseconds(established.features.limits?.idleSeconds),
      // White space keeps a connection, and makes it worth nothing: the side that opened a link closes it when no stanza moves.
      lastMoved: () => Math.max(this.#lastSent, stream.lastElement),
      notAfter: () => (isCertified(this.pairs) ? tls?.verdict.notAfter : undefined),
      onIdle: () => server.background(this.close()),
      onStalled: () => this.#break(stalled(server.timeouts.write)),
      onExpiry: () => server.background(this.closeWith(expired()))
    })
    this.#acknowledgements = new Acknowledgements({
      ...commonOptions(server),
      maxBytes: this.maxBytes,
      resumption: server.extensions.resumption ? server.timeouts.resumption : undefined,
      write: stream.write.bind(stream),
      ...(this.#back === undefined ? {} : { received: { stream, handled: this.#back.delivery.handled } }),
      onResumption: outcome => server.observer.traffic.resumption('outgoing', outcome),
      fail: error => this.#break(error)
    })
    if (server.extensions.streamManagement && established.features.sm) {
      const remains = lost?.take()
      if (remains === undefined) this.#acknowledgements.enable()
      else this.#acknowledgements.resume(remains)
    }
    this.closed = new Promise(resolve => (this.#tellClosed = resolve))
    this.ended = this.#run()
  }

  /** Both ways. */
  get pairs(): readonly PairStatus[] {
    return [...this.shared.pairs, ...(this.#back?.pairs ?? [])]
  }

  get link(): Link {
    return this
  }

  /** Whether stanzas can still be handed over. */
  get usable(): boolean {
    return this.#open && this.#stream.writable
  }

  /** Whether the socket's buffer is full, or as much is unacknowledged as may be; {@link drained} says when it no longer is. */
  get full(): boolean {
    return this.#stream.full || this.#acknowledgements.full
  }

  async drained(): Promise<void> {
    this.#lifetime.look()
    await this.#stream.drained()
    await this.#acknowledgements.room()
  }

  /** Hands one stanza to the stream. `ended` is called once: when the socket has it or, under stream management, the peer. */
  send(consignment: Consignment, ended: Ended): void {
    this.#lastSent = this.#server.clock.now()
    this.#acknowledgements.send(consignment, ended)
    this.#lifetime.wrote()
  }

  async close(reason?: string): Promise<void> {
    await this.closeWith(closedBecause(reason))
  }

  /** Ends the stream with the error's own stream condition. */
  async closeWith(error: FederationError | undefined): Promise<void> {
    this.#settlement.atMost(this.#server.timeouts.close)
    await this.#end(error)
  }

  retire(error: FederationError, fallen: readonly DomainPair[]): void {
    this.shared.drop(fallen)
    this.#back?.drop(fallen)
    this.#server.background(this.#end(error))
  }

  /** Something else than a stanza. */
  #write(xml: string): void {
    this.#lastSent = this.#server.clock.now()
    this.#stream.write(xml)
  }

  standing(): readonly PairOnStream[] {
    const stream = { encrypted: this.shared.encrypted, chain: this.shared.chain }
    const address = this.shared.connection?.address
    return this.pairs.map(status => ({ status, ...stream, ...(status.flow === 'send' || address === undefined ? {} : { address }) }))
  }

  reset(error: FederationError): void {
    this.#break(error)
  }

  #end(error: FederationError | undefined): Promise<void> {
    this.#open = false
    this.shared.end(error)
    this.#closing ??= this.#leave(error)
    return this.#closing
  }

  /** What is still to be acknowledged is waited for; and so is, for a while, what the peer says before its own closing tag. */
  async #leave(error: FederationError | undefined): Promise<void> {
    const { clock, timeouts } = this.#server
    await this.#settlement.of(this.#acknowledgements)
    if (this.#back !== undefined) {
      // What the peer sends before its own closing tag is still delivered.
      this.#stream.sendClosing(error)
      await within(this.#readAll, clock, timeouts.close)
    }
    await this.#hangUp(error)
  }

  async #hangUp(error: FederationError | undefined): Promise<void> {
    this.#reading = false
    this.#back?.end(error)
    await this.#stream.end(error, late => this.#hear(late))
  }

  /** Ends the link with an error at once. */
  #break(error: FederationError): void {
    this.#open = false
    this.#failure ??= error
    this.#back?.end(error)
    this.shared.end(error)
    this.#settlement.end()
    this.#closing ??= this.#hangUp(error)
  }

  async #run(): Promise<FederationError | undefined> {
    let cause: FederationError | undefined
    try {
      await this.#read()
    } catch (thrown) {
      cause = FederationError.from(thrown)
    }
    this.#open = false
    this.shared.end(cause)
    this.#tellRead()
    // Where nobody reads on, nothing is delivered or acknowledged any more.
    this.#back?.end(cause)
    if (this.#closing === undefined) this.#failure = cause
    if (this.#reading && !this.#isLost) this.#leaveBehind(cause)
    this.#closing ??= this.#hangUp(cause)
    await this.#closing
    this.#leaveBehind(this.#failure ?? cause)
    this.#lifetime.end()
    this.#settlement.end()
    this.#tellClosed(this.#failure)
    return this.#failure
  }

  /** Neither side has ended the stream. */
  get #isLost(): boolean {
    return this.#failure !== undefined && isLoss(this.#failure)
  }

  /** Nothing is acknowledged any more. The next link takes it up, if no pair has ever joined the one that the stream was made for. */
  #leaveBehind(cause = new FederationError('S2S_STREAM_CLOSED')): void {
    if (this.shared.isOfOnePair) this.lost ??= this.#acknowledgements.suspend(cause, this.#isLost)
    if (!this.#isLost) this.lost?.giveUp()
    this.#acknowledgements.end(cause)
  }

  async #read(): Promise<void> {
    while (this.#reading) {
      const frame = this.#stream.take()
      if (frame === undefined) {
        this.#back?.delivery.rest()
        await this.#stream.readable()
      } else if (frame.kind === 'close') {
        return await this.#hearOut()
      } else {
        const turn = this.#act(frame)
        if (turn !== undefined) await this.#stream.unlessGone(turn)
      }
      // A peer that asks and never listens is not read either.
      if (this.#stream.backlog > this.#server.limits.unackedBytes) await this.#stream.drained()
    }
  }

  /** The peer has closed the stream: what it has sent is handled, however long that takes, and nothing that we have leaves here any more. */
  #hearOut(): Promise<void> | undefined {
    this.#open = false
    const rest = this.#back?.delivery.idle()
    if (rest === undefined) return undefined
    this.#leaveBehind(undefined)
    // What is handed over takes the next link when the connection is gone.
    this.#server.background(part(this.#stream, this.#server).then(() => this.#tellClosed(this.#failure)))
    return rest
  }

  /** Our closing tag is sent: what is still acknowledged is heard, and nothing is judged any more. */
  #hear(late: ElementFrame): void {
    if (kindOf(late) === 'stream-management') this.#acknowledgements.receive(late)
  }

  /** On a stream that goes one way the peer has nothing to say. An unsolicited dialback answer is dropped (XEP-0220 §3.1); the rest ends the link. */
  #act(frame: ElementFrame): Promise<void> | undefined {
    const kind = kindOf(frame)
    if (kind === 'stream-management' && this.#acknowledgements.receive(frame)) return undefined
    if (kind === 'dialback-answer') return this.shared.receive(frame)
    const turn = this.#back === undefined ? 'unexpected' : this.#back.receive(frame)
    if (turn !== 'unexpected') return turn
    throw outOfPlace(frame.name)
  }
}
