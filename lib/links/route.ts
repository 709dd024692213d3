import { FederationError } from '../errors.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Timer } from '../model/plugs.ts'
import type { Delivery } from '../model/stanza.ts'
import { retryDelay } from '../rules/back-off.ts'
import type { OutgoingLink } from './outgoing-link.ts'

/** A stanza on its way out: its bytes, and the two ways it can end. Each is called at most once. */
export interface Consignment {
  readonly xml: string | Buffer
  readonly size: number
  /** When it was handed over, on the engine's clock. */
  readonly since: number
  readonly sent: (delivery: Delivery) => void
  readonly failed: (error: FederationError) => void
}

export type RouteState = 'queue' | 'bounce' | 'send'

/** Opens a link for a pair, whatever it takes. */
export type Dial = (pair: DomainPair) => Promise<OutgoingLink>

/**
 * Where the stanzas of one pair go: into the `queue` while a link is being negotiated, into the link (`send`), or back (`bounce`)
 * until the retry time after a failure. Order is kept throughout: what a dying link never wrote goes out first on the next.
 */
export class Route {
  readonly pair: DomainPair
  readonly #server: LocalServer
  readonly #dial: Dial
  #queue: Consignment[] = []
  #queuedBytes = 0
  #link: OutgoingLink | undefined
  #flight: Promise<OutgoingLink> | undefined
  #failures = 0
  #bounceUntil = 0
  #reason: FederationError | undefined
  #pumping = false
  #ageing: Timer | undefined
  readonly #onEmpty: (() => void)[] = []

  constructor(pair: DomainPair, server: LocalServer, dial: Dial) {
    this.pair = pair
    this.#server = server
    this.#dial = dial
  }

  get state(): RouteState {
    if (this.#link?.usable === true) return 'send'
    return this.#flight === undefined && this.#server.clock.now() < this.#bounceUntil ? 'bounce' : 'queue'
  }

  /** Whether anything would be lost by forgetting the route. */
  get isIdle(): boolean {
    return (
      this.#queue.length === 0 && this.#flight === undefined && this.#link?.usable !== true && this.#server.clock.now() >= this.#bounceUntil
    )
  }

  /** Takes a stanza in order, or fails it at once: the queue is full, or the pair is bounced. */
  send(consignment: Consignment): void {
    const { queuedStanzas, queuedBytes } = this.#server.limits
    if (this.state === 'bounce' && this.#reason !== undefined) return consignment.failed(this.#reason)
    if (this.#queue.length >= queuedStanzas || this.#queuedBytes + consignment.size > queuedBytes) {
      return consignment.failed(
        new FederationError('S2S_QUEUE_FULL', {
          pair: this.pair,
          detail: `${this.#queue.length} stanzas of ${this.#queuedBytes} bytes are waiting`
        })
      )
    }
    this.#queue.push(consignment)
    this.#queuedBytes += consignment.size
    this.#watchAge(consignment)
    if (this.#link?.usable === true) this.#pump(this.#link)
    else this.open().catch(() => undefined)
  }

  /** The pair's link, negotiated now if there is none. Concurrent calls share one negotiation; a retry time is not waited for. */
  open(): Promise<OutgoingLink> {
    if (this.#link?.usable === true) return Promise.resolve(this.#link)
    this.#flight ??= this.#fly()
    return this.#flight
  }

  /** Resolves when nothing waits: all has been handed to a link, or has failed. */
  async drained(): Promise<void> {
    if (this.#queue.length > 0) await new Promise<void>(resolve => this.#onEmpty.push(resolve))
  }

  /** Fails everything that still waits. */
  clear(error: FederationError): void {
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    for (const each of queue) each.failed(error)
    this.#tellEmpty()
  }

  /** One timer for the oldest, not one for each. */
  #watchAge(oldest: Consignment): void {
    if (this.#ageing !== undefined) return
    const { clock, timeouts } = this.#server
    this.#ageing = clock.setTimeout(() => this.#dropOld(), Math.max(0, oldest.since + timeouts.queue - clock.now()))
  }

  #dropOld(): void {
    this.#ageing = undefined
    const { clock, timeouts } = this.#server
    const young = this.#queue.findIndex(each => each.since + timeouts.queue > clock.now())
    const old = this.#queue.splice(0, young < 0 ? this.#queue.length : young)
    const error = new FederationError('S2S_TIMEOUT', { pair: this.pair, detail: `it waited for a link for ${timeouts.queue} ms` })
    for (const each of old) {
      this.#queuedBytes -= each.size
      each.failed(error)
    }
    const [next] = this.#queue
    if (next === undefined) this.#tellEmpty()
    else this.#watchAge(next)
  }

  #tellEmpty(): void {
    this.#ageing?.cancel()
    this.#ageing = undefined
    for (const tell of this.#onEmpty.splice(0)) tell()
  }

  async #fly(): Promise<OutgoingLink> {
    try {
      const link = await this.#dial(this.pair)
      this.#flight = undefined
      this.#failures = 0
      this.#bounceUntil = 0
      this.#link = link
      this.#pump(link)
      void link.closed.then(() => this.#afterClose(link))
      return link
    } catch (thrown) {
      const error = FederationError.from(thrown)
      this.#flight = undefined
      this.#failures += 1
      this.#reason = error
      this.#bounceUntil = this.#server.clock.now() + retryDelay(error, this.#failures, this.#server.random())
      this.clear(error)
      throw error
    }
  }

  #afterClose(link: OutgoingLink): void {
    if (this.#link === link) this.#link = undefined
    if (this.#queue.length > 0 && this.#flight === undefined) this.open().catch(() => undefined)
  }

  #pump(link: OutgoingLink): void {
    if (this.#pumping) return
    while (this.#queue.length > 0 && link.usable) {
      if (link.full) {
        this.#pumping = true
        void link.drained().then(() => {
          this.#pumping = false
          const { usable } = link
          if (usable) this.#pump(link)
        })
        return
      }
      const next = this.#queue.shift()
      if (next === undefined) return
      this.#queuedBytes -= next.size
      if (next.size > (link.maxBytes ?? Infinity)) next.failed(tooLarge(next.size, link.maxBytes, this.pair))
      else link.send(next.xml, error => this.#taken(next, error))
    }
    if (this.#queue.length === 0) this.#tellEmpty()
  }

  #taken(consignment: Consignment, error: Error | undefined): void {
    if (error === undefined) return consignment.sent('written')
    // Our own error says that the bytes never reached the socket; the socket's says that nobody knows.
    if (FederationError.is(error)) return this.#putBack(consignment)
    consignment.failed(new FederationError('S2S_IN_DOUBT', { pair: this.pair, cause: error }))
  }

  readonly #returned: Consignment[] = []

  #putBack(consignment: Consignment): void {
    this.#returned.push(consignment)
    if (this.#returned.length > 1) return
    // All that a dead link hands back in one turn goes back together, in order, before what was queued since.
    setImmediate(() => {
      const returned = this.#returned.splice(0)
      this.#queue.unshift(...returned)
      for (const each of returned) {
        this.#queuedBytes += each.size
        this.#watchAge(each)
      }
      if (this.#link?.usable === true) this.#pump(this.#link)
      else this.open().catch(() => undefined)
    })
  }
}

/** XEP-0478 §3: what the peer would end the stream for is refused here, and the stream goes on. */
function tooLarge(size: number, most: number | undefined, pair: DomainPair): FederationError {
  return new FederationError('S2S_LIMIT', {
    pair,
    detail: `${size} bytes, and the peer takes ${most ?? 0}`,
    bounce: ['policy-violation', 'modify'],
    temporary: false
  })
}
