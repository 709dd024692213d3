import type { Duplex } from 'node:stream'
import type { VerifyKey } from '../auth/dialback-receiving.ts'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import type { Report } from '../model/report.ts'
import { PairOrder } from '../streams/pair-order.ts'
import type { LiveLink } from '../streams/standing.ts'
import type { ReversedCarriers } from '../streams/reversed-carriers.ts'
import { contained } from '../transport/contained.ts'
import { negotiateIncoming } from './negotiate.ts'
import { IncomingNegotiation } from './negotiation.ts'
import type { Arrival } from './negotiation.ts'
import type { IncomingParts } from './parts.ts'
import { OwnContexts } from './own-contexts.ts'
import { Quota, addressGroup, takeAll } from './quota.ts'
import { ResumableStreams } from './resumable.ts'

export interface ReceptionOptions {
  readonly server: LocalServer
  /** Calls the authoritative server: `outgoing/verify`. */
  readonly verify: VerifyKey
  /** Takes each stanza of an authenticated pair, in order; its stream is not read on until a returned promise settles. */
  readonly onStanza: IncomingParts['onStanza']
  /** Where a stream appears as a link once a pair is authenticated on it, until it is gone. */
  readonly links: Set<LiveLink>
  /** Told of what may be sent on incoming streams. */
  readonly carriers: ReversedCarriers
}

/** Milliseconds in which connections that are turned away make one warning. */
const SUMMED_UP = 1_000

/** What a connection takes of what its address may have. */
interface Place {
  /** Somebody is authenticated: servers open one stream per pair, and pairs grow with the domains of both sides. */
  readonly authenticated: () => void
  /** The connection is gone. */
  readonly free: () => void
}

/** Every incoming stream of an engine, and what they share: the limits, and the links they become. */
export class Reception {
  readonly #server: LocalServer
  /** What every stream shares that others may send to us on. */
  readonly parts: IncomingParts
  readonly #live = new Set<IncomingNegotiation>()
  readonly #perAddress: Quota
  readonly #unauthenticated: Quota
  readonly #penalties = new Set<Timer>()
  #isLeaving = false
  /** Connections turned away since a warning told of some, and when that was. */
  #turnedAway = 0
  #toldAt = -Infinity
  #stopped: FederationError | undefined

  constructor(options: ReceptionOptions) {
    const { incomingPerAddress, unauthenticatedPerAddress, verificationsPerAddress, verificationsPerSender } = options.server.limits
    this.#server = options.server
    this.#perAddress = new Quota(incomingPerAddress)
    this.#unauthenticated = new Quota(unauthenticatedPerAddress)
    const verifications = { perAddress: new Quota(verificationsPerAddress), perSender: new Quota(verificationsPerSender) }
    const resumable = new ResumableStreams(options.server)
    const contexts = new OwnContexts(options.server)
    this.parts = { ...options, order: new PairOrder(), verifications, resumable, contexts, isLeaving: () => this.#isLeaving }
  }

  /** Streams that are open, authenticated or not. */
  get size(): number {
    return this.#live.size
  }

  /**
   * Serves a connection, however it came: the reception owns it from here on. Never rejects.
   *
   * @returns the report, once a pair is authenticated or the stream has ended without one
   */
  accept(connection: Duplex, arrival: Arrival = {}): Promise<Report> {
    const negotiation = new IncomingNegotiation(this.parts, arrival)
    const place = this.#admit(arrival)
    if (place === undefined) {
      this.#turnAway(connection, negotiation)
      return negotiation.negotiated
    }
    this.#live.add(negotiation)
    this.#server.background(this.#run(contained(connection), negotiation, place))
    return negotiation.negotiated
  }

  /** Authenticates nobody any more. Whoever asks about our keys is answered all the same, and the links that are there go on. */
  leave(): void {
    this.#isLeaving = true
    this.parts.resumable.giveUpAll()
  }

  /** Ends every stream, politely where a pair is authenticated; resolves when all are gone. */
  async stop(error = new FederationError('S2S_STOPPED')): Promise<void> {
    this.#stopped ??= error
    for (const timer of this.#penalties) timer.cancel()
    this.#penalties.clear()
    this.parts.resumable.clear()
    await Promise.all([...this.#live].map(each => each.shutDown(error)))
  }

  async #run(connection: Duplex, n: IncomingNegotiation, place: Place): Promise<void> {
    void n.negotiated.then(({ level }) => {
      if (level !== undefined) place.authenticated()
    })
    const error = await negotiateIncoming(connection, n).then(
      () => n.nothingProved(),
      (thrown: unknown) => FederationError.from(thrown)
    )
    await n.finish(error)
    this.#live.delete(n)
    // A handshake is cheap to begin and dear to answer: one that comes to nothing counts for a while longer ([ENG-TLS-a]).
    if (n.wastedTls && this.#stopped === undefined) this.#later(place.free)
    else place.free()
  }

  #admit({ address }: Arrival): Place | undefined {
    if (this.#stopped !== undefined || this.#live.size >= this.#server.limits.incomingStreams) return undefined
    const group = address === undefined ? undefined : addressGroup(address)
    const all = takeAll(group === undefined ? [] : [[this.#perAddress, group]])
    const unauthenticated = takeAll(group === undefined ? [] : [[this.#unauthenticated, group]])
    if (all !== undefined && unauthenticated !== undefined) {
      const free = (): void => {
        unauthenticated()
        all()
      }
      return { authenticated: unauthenticated, free }
    }
    all?.()
    unauthenticated?.()
    return undefined
  }

  /** No XML for whom there is no room: an answer would need the room. */
  #turnAway(connection: Duplex, n: IncomingNegotiation): void {
    connection.on('error', () => undefined).destroy()
    const error = this.#stopped ?? new FederationError('S2S_LIMIT', { detail: 'too many incoming connections' })
    this.#server.background(n.finish(error))
    if (this.#stopped === undefined) this.#sumUp()
  }

  #sumUp(): void {
    const { clock, observer } = this.#server
    this.#turnedAway += 1
    if (clock.now() - this.#toldAt < SUMMED_UP) return
    const times = this.#turnedAway === 1 ? 'an incoming connection was' : `${this.#turnedAway} incoming connections were`
    observer.warn(new FederationError('S2S_LIMIT', { detail: `${times} turned away: too many are there, from one address or in all` }))
    this.#turnedAway = 0
    this.#toldAt = clock.now()
  }

  #later(release: () => void): void {
    const timer = this.#server.clock.setTimeout(() => {
      this.#penalties.delete(timer)
      release()
    }, this.#server.timeouts.step)
    this.#penalties.add(timer)
  }
}
