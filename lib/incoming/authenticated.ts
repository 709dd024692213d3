import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { domain, pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { Downgrade, PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { downgradesOf } from '../rules/downgrades.ts'
import type { SentCounts } from '../rules/stream-management.ts'
import { Delivery } from '../streams/delivery.ts'
import type { HandledStanzas } from '../streams/handled.ts'
import { Lifetime } from '../streams/lifetime.ts'
import { expired, milliseconds, stalled } from '../streams/liveness.ts'
import { isCertified, lowestLevel } from '../streams/shown-link.ts'
import type { Unacknowledged } from '../streams/unacknowledged.ts'
import type { readLimits } from '../xml/features.ts'
import type { XmlStream } from '../xml/stream.ts'
import { IncomingLink } from './link.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { ReversedPairs } from './reversed.ts'
import type { OpenStream } from './stage.ts'
import { onStream } from './standing.ts'

/** What a stream goes on with. */
interface Continued {
  /** So many that came were handled. */
  readonly handled: number
  /** So many that we sent were. */
  readonly sent: number
  /** What we had sent and was not handled. */
  readonly again: readonly Unacknowledged[]
}

const ANEW: Continued = { handled: 0, sent: 0, again: [] }

/** The pairs that are authenticated on one stream, and the link that the stream is from the first of them on. */
export class AuthenticatedPairs {
  /** By `pairKey`. */
  readonly pairs = new Map<string, PairStatus>()
  readonly downgrades: Downgrade[] = []
  readonly #n: IncomingNegotiation
  readonly #delivery: Delivery
  #link: IncomingLink | undefined
  #reversed: ReversedPairs | undefined
  /** Of a stream that goes one way: what was sent on the one that it goes on with. */
  #sentBefore = 0
  #lifetime: Lifetime | undefined
  /** Milliseconds of silence that the peer allows (XEP-0478 §3); undefined: it has not said. */
  #peersIdle: number | undefined

  constructor(n: IncomingNegotiation) {
    this.#n = n
    this.#delivery = new Delivery(n.parts.onStanza, n.parts.order, n.server)
  }

  /** What is handled of the stanzas that came. */
  get handled(): HandledStanzas {
    return this.#delivery.handled
  }

  get size(): number {
    return this.pairs.size
  }

  /** Both ways. */
  get statuses(): readonly PairStatus[] {
    const received = [...this.pairs.values()].filter(({ pair }) => !this.#delivery.refuses(pair))
    return [...received, ...(this.#reversed?.pairs.values() ?? [])]
  }

  /** The lowest of the pairs' levels. */
  get level(): SecurityLevel | undefined {
    return lowestLevel(this.statuses)
  }

  get link(): IncomingLink | undefined {
    return this.#link
  }

  /** What may be sent here; undefined: the stream goes one way. */
  get reversed(): ReversedPairs | undefined {
    return this.#reversed
  }

  /** The peer wants the stream to go both ways, once somebody is authenticated. */
  goBothWays(stream: XmlStream, { maxBytes, idleSeconds }: ReturnType<typeof readLimits>): void {
    this.#peersIdle = milliseconds(idleSeconds)
    this.#reversed ??= new ReversedPairs(this.#n, stream, maxBytes)
    this.#delivery.readAhead()
  }

  /** Evidence makes a pair: from now on its stanzas may come. */
  add(evidence: Evidence, open: OpenStream): void {
    const pair = statusOf(evidence)
    this.pairs.set(pairKey(pair.pair), pair)
    this.#delivery.join(pair)
    // Every stanza names the sender again: what `parseDomain` works out each time, `domain` remembers.
    domain(pair.pair.sender)
    open.stream.allowStanzas()
    const link = this.#link ?? this.#establish(pair, open)
    if (this.size > 1 && pair.level !== 'sasl-external') {
      this.#downgraded([{ from: 'sasl-external', to: pair.level, because: 'a further pair on a stream is proved by dialback' }])
    }
    // A first certificate that counts may be one that expires sooner than the stream falls silent.
    this.#lifetime?.look()
    this.#n.server.observer.emit('pair-authenticated', { link, pair })
    this.#reversed?.add(evidence, open, link)
  }

  /** Stream management begins, in both directions; or goes on from the counts of a stream that was lost, with what is sent again. */
  manage(stream: XmlStream, { handled, sent, again }: Continued = ANEW): void {
    this.handled.enable(stream, handled)
    this.#sentBefore = sent
    this.#reversed?.acknowledgements.begin(sent, again)
  }

  /** How many stanzas of ours the peer can acknowledge, and has. */
  get sentCounts(): SentCounts {
    return this.#reversed?.acknowledgements.counts ?? { sent: this.#sentBefore, acknowledged: this.#sentBefore }
  }

  /** The peer takes no more for the moment: it has so long to take some. */
  watch(): void {
    this.#lifetime?.look()
  }

  /** A stanza is being written: the peer has so long to take it. */
  wrote(): void {
    this.#lifetime?.wrote()
  }

  /** Hands a stanza over. */
  deliver(stanza: Stanza, pair: PairStatus, size: number): Promise<void> | undefined {
    return this.#link === undefined ? undefined : this.#delivery.deliver(stanza, { link: this.#link, pair }, size)
  }

  /** Resolves when everything that came is handled; undefined: it is. */
  idle(): Promise<void> | undefined {
    return this.#delivery.idle()
  }

  /** The reader has found nothing more to read. */
  rest(): void {
    this.#delivery.rest()
  }

  /** The stream has to end: nothing more is delivered. */
  stop(): void {
    this.#delivery.end()
  }

  /** The stream is over. */
  end(error: FederationError | undefined): void {
    this.#lifetime?.end()
    this.#delivery.end()
    this.#n.parts.resumable.ended(this.#n, error)
    if (this.#link === undefined) return
    this.#n.parts.links.delete(this.#link)
    this.#n.server.observer.emit('link-closed', { link: this.#link, error })
  }

  #establish(pair: PairStatus, open: OpenStream): IncomingLink {
    const n = this.#n
    const { clock, observer, timeouts } = n.server
    n.trace.enter('establish', { level: pair.level }, { outcome: 'ok', code: 'ok', took: 0 })
    const link = new IncomingLink({
      id: n.id,
      since: clock.now(),
      tls: open.tls?.facts,
      certificate: open.certificate?.verdict,
      pairs: () => this.statuses,
      report: () => n.report(),
      close: because => n.close(open.stream, because),
      standing: () => this.statuses.map(status => onStream(status, open, n)),
      reset: error => n.stop(error),
      retire: (error, fallen) => {
        for (const each of fallen) this.#drop(each)
        n.retire(open.stream, error)
      }
    })
    this.#link = link
    this.#lifetime = new Lifetime({
      clock,
      timeouts,
      stream: open.stream,
      peersIdle: this.#peersIdle,
      // White space of the peer says that it wants to keep the link; the peer closes it when no stanza moves.
      lastMoved: () => Math.max(open.stream.lastHeard, this.#reversed?.lastSent ?? 0),
      notAfter: () => (isCertified(this.statuses) ? open.certificate?.verdict.notAfter : undefined),
      onIdle: () => void n.close(open.stream),
      onStalled: () => n.stop(stalled(timeouts.write)),
      onExpiry: () => n.stop(expired())
    })
    this.#delivery.from({
      stream: open.stream,
      supersede: error => n.stop(error)
    })
    n.parts.links.add(link)
    this.#downgraded(downgradesOf(n.trace.entries, pair.level))
    n.conclude(undefined)
    observer.emit('link-established', { link })
    return link
  }

  #drop(pair: DomainPair): void {
    this.#delivery.refuse(pair)
    this.#reversed?.drop(pair)
  }

  #downgraded(downgrades: readonly Downgrade[]): void {
    const { id, peer, server } = this.#n
    this.downgrades.push(...downgrades)
    for (const each of downgrades) server.observer.emit('downgrade', { id, peer, ...each })
  }
}
