import { FederationError } from '../errors.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Direction } from '../model/level.ts'
import type { Load, RouteState, RouteStatus } from '../model/route.ts'
import { dependsOnSettings } from '../rules/back-off.ts'
import type { Carrier } from '../streams/carrier.ts'
import type { Consignment, Fate } from '../streams/consignment.ts'
import type { LostStream } from '../streams/lost-stream.ts'
import type { Backlog } from './backlog.ts'
import { LastLink } from './last-link.ts'
import { Queue } from './queue.ts'
import { tooLargeForPeer } from './refusals.ts'
import { RetryTime } from './retry-time.ts'
import { UnderWay } from './under-way.ts'

const NOTHING: Load = { stanzas: 0, bytes: 0 }

/** Finds or opens what takes a pair's stanzas, whatever it takes. A link that is made for it takes up the stream that was lost. */
export type Dial = (pair: DomainPair, lost?: LostStream) => Promise<Carrier>

/**
 * Where the stanzas of one pair go: into the `queue` while a link is being negotiated, into the link (`send`), or back (`bounce`)
 * until the retry time after a failure. Order is kept throughout: what a dying link never wrote goes out first on the next.
 */
export class Route {
  readonly pair: DomainPair
  readonly #server: LocalServer
  readonly #dial: Dial
  readonly #queue: Queue
  readonly #underWay: UnderWay
  #carrier: Carrier | undefined
  /** Which way the link goes that has it, or had it last. */
  #direction: Direction = 'outgoing'
  /** Whether anything got through on the carrier. */
  #hasCarried = false
  #flight: Promise<Carrier> | undefined
  readonly #retry: RetryTime
  #announced: RouteState | undefined
  /** The carrier that takes no more for the moment. */
  #full: Carrier | undefined
  #returned: Consignment[] = []
  /** What is left of it comes before everything that waits. */
  readonly #last: LastLink
  /** Why the pair is not dialled again although somebody has asked for it already. */
  #barren: FederationError | undefined
  /** Whether nobody but the peer has something from the negotiation that is under way. */
  #isForPeer = false
  readonly #onDrained: (() => void)[] = []

  constructor(pair: DomainPair, server: LocalServer, dial: Dial, backlog: Backlog) {
    this.pair = pair
    this.#server = server
    this.#underWay = new UnderWay(server.observer.traffic)
    this.#dial = dial
    const hasLink = (): boolean => this.#carrier?.usable === true
    this.#queue = new Queue(pair, server, backlog, { hasLink, onEmpty: () => this.#tellEmpty() })
    this.#last = new LastLink(pair, server.clock)
    this.#retry = new RetryTime(server, () => this.#announce())
  }

  get state(): RouteState {
    if (this.#carrier?.usable === true) return 'send'
    return this.#flight === undefined && this.#retry.reason !== undefined ? 'bounce' : 'queue'
  }

  /** Until when all that is remembered is that the pair bounces; 0: nothing would be lost by forgetting it; undefined: it is in use. */
  get restsUntil(): number | undefined {
    if (!this.#isDrained || this.#flight !== undefined || this.#carrier !== undefined) return undefined
    return this.#retry.reason === undefined ? 0 : this.#retry.until
  }

  /** Whether the link takes more at once. */
  get isFlowing(): boolean {
    return this.#carrier?.usable === true && !this.#carrier.full
  }

  /** What it looks like now. */
  status(): RouteStatus {
    const { pair, state } = this
    const { until, reason } = this.#retry
    const bounced = state === 'bounce' && reason !== undefined ? { until, reason } : {}
    const link = this.#carrier?.usable === true ? { link: this.#carrier.link.id } : {}
    const { load } = this.#underWay
    const [unacknowledged, held] = this.#last.isHeld ? [NOTHING, load] : [load, NOTHING]
    return { pair, state, stanzas: this.#queue.length, bytes: this.#queue.bytes, unacknowledged, held, ...link, ...bounced }
  }

  /** Forgets the retry time: the next stanza has the pair negotiated. */
  retryNow(): void {
    this.#retry.come()
    this.#retry.forgive()
    this.#announce()
  }

  /** Settings have changed: what failed because of those before may be tried under those of now. */
  reconsider(): void {
    const { reason } = this.#retry
    if (reason !== undefined && dependsOnSettings(reason)) this.retryNow()
  }

  /** Takes a stanza in order, or fails it at once: the queue is full, or the pair is bounced. */
  send(consignment: Consignment): void {
    const { reason } = this.#retry
    if (this.state === 'bounce' && reason !== undefined) return consignment.failed(reason)
    const refusal = this.#queue.refusal(consignment.size, this.isFlowing)
    if (refusal !== undefined) return consignment.failed(refusal)
    this.#queue.push(consignment)
    this.#goOn()
  }

  /** The pair's carrier, negotiated now if there is none. Concurrent calls share one negotiation; a retry time is not waited for. */
  open(): Promise<Carrier> {
    if (this.#carrier?.usable === true) return Promise.resolve(this.#carrier)
    this.#isForPeer = false
    this.#flight ??= this.#fly()
    this.#announce()
    return this.#flight
  }

  /** The peer can be reached on a stream of its own: what failed before is no reason any more. */
  unblock(): void {
    if (this.#flight !== undefined || this.#carrier !== undefined) return
    this.#retry.come()
    this.#announce()
  }

  /** Resolves when every stanza has met its end: it was acknowledged, or written where nobody acknowledges, or has failed. */
  async drained(): Promise<void> {
    if (!this.#isDrained) await new Promise<void>(resolve => this.#onDrained.push(resolve))
  }

  /** Fails everything that still waits; what was on its way is in doubt. */
  clear(error: FederationError): void {
    this.#last.giveUp(error)
    this.#takeBack()
    this.#queue.clear(error)
    // Who is told of it may have sent anew already.
    if (!this.#isWaiting) this.#tellEmpty()
  }

  /** The engine stops: fails what waits, and leaves no timer. */
  stop(error: FederationError): void {
    this.#retry.end()
    this.clear(error)
  }

  get #isWaiting(): boolean {
    return this.#queue.length > 0 || this.#returned.length > 0 || this.#last.isHeld
  }

  get #isDrained(): boolean {
    return !this.#isWaiting && this.#underWay.isEmpty
  }

  #tellEmpty(): void {
    this.#queue.rest()
    this.#tellDrained()
  }

  #tellDrained(): void {
    if (this.#onDrained.length > 0 && this.#isDrained) for (const tell of this.#onDrained.splice(0)) tell()
  }

  async #fly(): Promise<Carrier> {
    try {
      // What the last link has still under way comes first: it may be read at the other end until that link is gone.
      await this.#carrier?.closed
      const barren = this.#barren
      this.#barren = undefined
      if (barren !== undefined) throw barren
      const carrier = await this.#last.carriedOn(lost => this.#dial(this.pair, lost))
      this.#carrier = carrier
      this.#direction = carrier.link.direction
      this.#hasCarried = false
      this.#flight = undefined
      this.#retry.come()
      this.#announce()
      this.#pump(carrier)
      void carrier.closed.then(error => this.#afterClose(carrier, error))
      return carrier
    } catch (thrown) {
      const error = FederationError.from(thrown)
      this.#flight = undefined
      // Nobody has asked for it: the next stanza is no worse off than if it had not been tried.
      if (this.#isForPeer && !this.#isWaiting) this.#announce()
      else this.#fail(error)
      throw error
    }
  }

  /** Bounces everything for a while, longer with each failure in a row. */
  #fail(error: FederationError): void {
    this.#retry.failed(error)
    this.#announce()
    this.clear(error)
  }

  #afterClose(carrier: Carrier, error: FederationError | undefined): void {
    if (this.#carrier === carrier) this.#carrier = undefined
    this.#last.leave(carrier)
    this.#takeBack()
    this.#announce()
    const barren = this.#last.vain(carrier, error, this.#hasCarried || !this.#isWaiting)
    if (!this.#isWaiting) return this.#comeBack()
    // Nor is a peer asked for ever to resume what it does not want to hear of.
    if (barren !== undefined) this.#forgetLast(barren)
    if (this.#flight !== undefined) this.#barren = barren
    else if (barren !== undefined) this.#fail(barren)
    else this.#goOn()
  }

  #announce(): void {
    const route = this.status()
    if (route.state === this.#announced) return
    this.#announced = route.state
    this.#server.observer.emit('route-changed', { route })
  }

  #forgetLast(error: FederationError): void {
    this.#last.forget(error)
    this.#takeBack()
  }

  /** The peer may have something of the link that was lost: it can have that sent again on a link of ours only. */
  #comeBack(): void {
    if (this.#flight !== undefined || !this.#last.calls()) return
    this.#flight = this.#fly()
    this.#isForPeer = true
    this.#flight.catch(() => undefined)
    this.#announce()
  }

  #goOn(): void {
    if (this.#carrier?.usable === true) this.#pump(this.#carrier)
    else this.open().catch(() => undefined)
  }

  #pump(carrier: Carrier): void {
    if (this.#full === carrier) return
    this.#takeBack()
    while (this.#queue.length > 0 && carrier.usable) {
      if (carrier.full) {
        this.#full = carrier
        void carrier.drained().then(() => this.#pumpOn(carrier))
        return
      }
      const next = this.#queue.shift()
      if (next === undefined) return
      if (next.size > (carrier.maxBytes ?? Infinity)) next.failed(tooLargeForPeer(this.pair, next.size, carrier.maxBytes ?? 0))
      else {
        this.#underWay.add(next)
        carrier.send(next, this.#ended)
      }
    }
    if (this.#queue.length === 0) this.#tellEmpty()
  }

  #pumpOn(carrier: Carrier): void {
    if (this.#full === carrier) this.#full = undefined
    if (this.#carrier === carrier) this.#pump(carrier)
  }

  readonly #ended = (consignment: Consignment, fate: Fate): void => {
    this.#underWay.remove(consignment)
    if (fate === 'unsent') this.#putBack(consignment)
    else if (FederationError.is(fate)) consignment.failed(fate.located({ pair: this.pair }))
    else {
      this.#hasCarried = true
      this.#retry.forgive()
      this.#server.observer.traffic.sent(this.#direction, fate)
      consignment.sent(fate)
    }
    this.#tellDrained()
  }

  /** A dead link hands back one by one; they go back together. */
  #putBack(consignment: Consignment): void {
    this.#returned.push(consignment)
    if (this.#returned.length > 1) return
    setImmediate(() => {
      this.#takeBack()
      if (this.#queue.length > 0) this.#goOn()
    })
  }

  #takeBack(): void {
    if (this.#returned.length > 0) this.#queue.takeBack(this.#returned.splice(0))
  }
}
