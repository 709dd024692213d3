import type { Element } from 'ltx'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { pairKey } from '../model/domain.ts'
import type { Domain, DomainPair } from '../model/domain.ts'
import type { RouteStatus } from '../model/route.ts'
import type { Delivery, Stanza } from '../model/stanza.ts'
import type { Carrier } from '../streams/carrier.ts'
import type { Consignment } from '../streams/consignment.ts'
import type { LostStream } from '../streams/lost-stream.ts'
import { ReversedCarriers } from '../streams/reversed-carriers.ts'
import { AnswerRoom } from './answer-room.ts'
import { Backlog } from './backlog.ts'
import { outboundStanza } from './outbound-stanza.ts'
import type { OutboundStanza } from './outbound-stanza.ts'
import { tooManyRoutes } from './refusals.ts'
import { Route } from './route.ts'
import type { Dial } from './route.ts'
import { Turnstile } from './turnstile.ts'

const ROUTES_BEFORE_SWEEP = 1024

/** So many routes are looked at to make room for one: with one after the other in turn it costs the same however many there are. */
const LOOKED_AT = 16

/** Finds the route of each stanza. A route is made on first use and forgotten when nothing would be lost by it. */
export class Router {
  readonly #server: LocalServer
  readonly #dial: Dial
  readonly #turnstile: Turnstile
  /** What peers have let flow back on their streams (XEP-0288): used instead of dialling. */
  readonly carriers = new ReversedCarriers(pair => this.#routes.get(pairKey(pair))?.unblock())
  readonly #routes = new Map<string, Route>()
  readonly #backlog: Backlog
  readonly #answers = new AnswerRoom()
  #sent = 0
  #sweepAt = ROUTES_BEFORE_SWEEP
  #stopped: FederationError | undefined

  constructor(server: LocalServer, dial: Dial) {
    this.#server = server
    this.#backlog = new Backlog(server.limits, server.observer.traffic)
    this.#turnstile = new Turnstile({
      what: 'negotiations',
      limit: 'negotiations',
      most: server.limits.negotiations,
      pace: { perSecond: server.limits.dialsPerSecond, limit: 'dialsPerSecond' },
      patience: server.timeouts.negotiation,
      clock: server.clock
    })
    this.#dial = async (pair, lost) => {
      try {
        return (
          this.#given(pair, lost) ??
          (await this.#turnstile.pass(pair.target, async () => this.#given(pair, lost) ?? (await dial(pair, lost))))
        )
      } catch (error) {
        // A peer that cannot be called may have called meanwhile.
        const given = this.carriers.find(pair)
        if (given === undefined) throw error
        return given
      }
    }
  }

  /** Ends exactly once: how the stanza left, or why it did not. Not awaiting it ends no process. */
  send(stanza: Element | Stanza): Promise<Delivery> {
    const promise = new Promise<Delivery>((resolve, reject) => {
      const failed = (error: FederationError): void => {
        this.#server.observer.emit('stanza-bounced', { stanza, error })
        reject(error)
      }
      try {
        this.#hand(this.#checked(stanza), { sent: resolve, failed }, this.#server.limits.routes)
      } catch (error) {
        failed(FederationError.from(error))
      }
    })
    promise.catch(() => undefined)
    return promise
  }

  /**
   * Sends what the engine answers of its own, which peers have it do as often as they like: what cannot leave at once has little room, and
   * no claim to a route that the application may need. What has no room is dropped.
   */
  answer(stanza: Element): void {
    if (this.#stopped !== undefined) return
    const outbound = outboundStanza(stanza)
    const { pair, size } = outbound
    const isFlowing = this.#routes.get(pairKey(pair))?.isFlowing === true
    const release = isFlowing ? () => undefined : this.#answers.take(pair, size)
    if (release === undefined) return
    const failed = (error: FederationError): void => {
      release()
      this.#server.observer.emit('stanza-bounced', { stanza, error })
    }
    try {
      this.#hand(outbound, { sent: release, failed }, Math.ceil(this.#server.limits.routes / 2))
    } catch (error) {
      failed(FederationError.from(error))
    }
  }

  /** The pair's link, negotiated if there is none. */
  async open(pair: DomainPair): Promise<Carrier> {
    if (this.#stopped !== undefined) throw this.#stopped
    return await this.#routeOf(checkedPair(pair, this.#server)).open()
  }

  /** Every route that is remembered: one that nothing would be lost by is forgotten now and then. */
  statuses(): readonly RouteStatus[] {
    return [...this.#routes.values()].map(route => route.status())
  }

  /** Forgets the retry times of every pair with this target. */
  retryNow(target: Domain): void {
    for (const route of this.#routes.values()) if (route.pair.target === target) route.retryNow()
  }

  /** Settings have changed: what failed because of those before is no reason to bounce any more. */
  reconsider(): void {
    for (const route of this.#routes.values()) route.reconsider()
  }

  /** Fails what waits for pairs of which one domain is this one. */
  clear(domain: Domain, error: FederationError): void {
    for (const route of this.#routes.values()) if (route.pair.sender === domain || route.pair.target === domain) route.clear(error)
  }

  /** Resolves when every stanza has met its end. */
  async drained(): Promise<void> {
    await Promise.all([...this.#routes.values()].map(route => route.drained()))
  }

  /** Takes nothing more. */
  close(error: FederationError): void {
    this.#stopped ??= error
  }

  /** Takes nothing more, and fails what still waits. */
  stop(error: FederationError): void {
    this.close(error)
    this.#turnstile.close(error)
    for (const route of this.#routes.values()) route.stop(error)
  }

  /** A stream that was lost with something unread is taken up on one of our own, or the order would be lost with it. */
  #given(pair: DomainPair, lost: LostStream | undefined): Carrier | undefined {
    return lost?.isUnread === true ? undefined : this.carriers.find(pair)
  }

  #checked(stanza: Element | Stanza): OutboundStanza {
    if (this.#stopped !== undefined) throw this.#stopped
    return outboundStanza(stanza)
  }

  #hand({ pair, xml, size }: OutboundStanza, ends: Pick<Consignment, 'sent' | 'failed'>, mostRoutes: number): void {
    checkedPair(pair, this.#server)
    const route = this.#routeOf(pair, mostRoutes)
    this.#sent += 1
    route.send({ xml, size, sender: pair.sender, number: this.#sent, since: this.#server.clock.now(), ...ends })
  }

  #routeOf(pair: DomainPair, most = this.#server.limits.routes): Route {
    const key = pairKey(pair)
    const known = this.#routes.get(key)
    if (known !== undefined) return known
    if (this.#routes.size >= this.#sweepAt) this.#sweep()
    if (this.#routes.size >= most) this.#makeRoom(pair)
    const route = new Route(pair, this.#server, this.#dial, this.#backlog)
    this.#routes.set(key, route)
    return route
  }

  /**
   * One that nothing would be lost by goes first; else, of some, the one whose retry time comes next, which is dialled too early then: no
   * more often than `limits.dialsPerSecond`, and that is less than a domain that cannot be reached at all. None with a link, and none that
   * anything waits for.
   */
  #makeRoom(pair: DomainPair): void {
    let next: { readonly key: string; readonly route: Route; readonly until: number } | undefined
    let left = LOOKED_AT
    for (const [key, route] of this.#routes) {
      const until = route.restsUntil
      this.#routes.delete(key)
      if (until === 0) return
      // Those that were looked at are looked at last the next time.
      this.#routes.set(key, route)
      if (until !== undefined && until < (next?.until ?? Infinity)) next = { key, route, until }
      left -= 1
      if (left === 0) break
    }
    if (next === undefined) throw tooManyRoutes(pair, this.#routes.size)
    next.route.retryNow()
    this.#routes.delete(next.key)
  }

  #sweep(): void {
    for (const [key, route] of this.#routes) if (route.restsUntil === 0) this.#routes.delete(key)
    this.#sweepAt = Math.max(ROUTES_BEFORE_SWEEP, this.#routes.size * 2)
  }
}

/**
 * Whether a pair is ours to open.
 *
 * @throws FederationError `S2S_NOT_HOSTED` when its sender is not hosted here, `S2S_LOCAL_DOMAIN` when its target is
 */
export function checkedPair(pair: DomainPair, server: LocalServer): DomainPair {
  const { sender, target } = pair
  if (!server.hosted.has(sender)) throw new FederationError('S2S_NOT_HOSTED', { pair, detail: `${sender} is not a domain of this engine` })
  if (server.hosted.has(target)) throw new FederationError('S2S_LOCAL_DOMAIN', { pair, detail: `${sender} and ${target}` })
  return pair
}
