import { createHash, randomBytes } from 'node:crypto'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import { isLoss } from '../rules/stream-management.ts'
import type { SentCounts } from '../rules/stream-management.ts'
import type { HandledStanzas } from '../streams/handled.ts'
import type { KeptStream } from '../streams/kept-stream.ts'
import { Deadline } from '../transport/deadline.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { askerOf } from './quota.ts'

/** A managed stream that its initiating entity may take up again, as long as it lasts and for a while after it was lost. */
export interface ResumableStream {
  /** 128 bits that nobody guesses. */
  readonly id: string
  /** The stream that carries it. undefined: it was lost. */
  carrier: IncomingNegotiation | undefined
  /** A digest of the pairs that were authenticated on it when it was lost. */
  pairs: string
  /** From where it came last: whoever holds most of those that were lost makes room. */
  owner: string
  /** What was handled of it, on whichever stream. */
  handled: HandledStanzas
  /** What we had sent on it when it was last lost (XEP-0288), and what of that was acknowledged. */
  sent: SentCounts
  /** Of that, what was not acknowledged, and is sent again if the stream is resumed soon. */
  kept: KeptStream | undefined
  /** Runs since the stream was lost. */
  expiry: Timer | undefined
}

/** Every managed stream that may be resumed (XEP-0198 §5): those that live, and a bounded number of those that were lost. */
export class ResumableStreams {
  readonly #server: LocalServer
  readonly #byId = new Map<string, ResumableStream>()
  readonly #byCarrier = new Map<IncomingNegotiation, ResumableStream>()
  /** In the order in which they were lost. */
  readonly #lost = new Set<ResumableStream>()
  /** What is kept for a pair's peer to come back for, by the `pairKey` of what it sends. */
  readonly #kept = new Map<string, KeptStream>()

  constructor(server: LocalServer) {
    this.#server = server
  }

  /** A stream on which stream management has just been enabled may be resumed from now on. */
  begin(n: IncomingNegotiation): ResumableStream {
    const one: ResumableStream = {
      id: randomBytes(16).toString('base64url'),
      carrier: n,
      pairs: '',
      owner: '',
      handled: n.authenticated.handled,
      sent: n.authenticated.sentCounts,
      kept: undefined,
      expiry: undefined
    }
    this.#byId.set(one.id, one)
    this.#byCarrier.set(n, one)
    return one
  }

  /** The stream that an id stands for, to whoever has authenticated exactly the pairs that it had: to anybody else there is none. */
  find(id: string, n: IncomingNegotiation): ResumableStream | undefined {
    const one = this.#byId.get(id)
    if (one === undefined) return undefined
    return (one.carrier === undefined ? one.pairs : pairsOf(one.carrier)) === pairsOf(n) ? one : undefined
  }

  /**
   * Hands a stream over to another connection. The one that it was on is ended if it is still there, and what came over it is
   * waited for: whatever is not handled by then is never handled, so that the peer may send it again. Where something is to be sent
   * again here as well, a handler may be waiting for that: what is in its hands counts as handled.
   *
   * @param handled so many of ours has the peer handled
   * @returns whether the count stands now. false: a handler takes too long, or the new connection has been superseded or lost
   */
  async moveTo(n: IncomingNegotiation, one: ResumableStream, handled: number): Promise<boolean> {
    const { clock, timeouts } = this.#server
    const before = one.carrier
    one.sent = countsOf(one)
    this.#hold(one, undefined)
    if (before !== undefined) {
      const error = superseded()
      this.#byCarrier.delete(before)
      this.#keep(one, before, error)
      before.stop(error)
    }
    one.kept?.count(handled - one.sent.acknowledged)
    one.sent = { ...one.sent, acknowledged: handled }
    this.#byCarrier.set(n, one)
    one.carrier = n
    const { kept } = one
    const { reversed } = n.authenticated
    const deadline = new Deadline(clock, timeouts.step, 'establish', n.signal)
    try {
      // Whether its pair may be sent here is known then; or it is given up.
      if (kept?.isWaiting === true && reversed !== undefined) await deadline.race(Promise.race([reversed.asked, kept.carriedOn]))
      if (kept?.isWaiting !== true) await deadline.race(one.handled.settled())
      return this.#byId.has(one.id)
    } catch {
      if (!n.signal.aborted) this.forget(one)
      return false
    } finally {
      deadline.cancel()
    }
  }

  /** The pairs of this connection have begun anew: nobody comes back for what was sent to them before. */
  giveUp(n: IncomingNegotiation): void {
    for (const key of n.authenticated.pairs.keys()) this.#kept.get(key)?.giveUp()
  }

  /** Nobody comes back any more. */
  giveUpAll(): void {
    for (const kept of [...this.#kept.values()]) kept.giveUp()
  }

  /** A stream has ended: one that was lost is kept for a while, any other is over. */
  ended(n: IncomingNegotiation, error: FederationError | undefined): void {
    const one = this.#byCarrier.get(n)
    if (one === undefined) return
    this.#byCarrier.delete(n)
    if (error === undefined || !isLoss(error)) return this.forget(one)
    // Nothing of the stream itself is held: it is a hundred times the size.
    one.pairs = pairsOf(n)
    one.owner = askerOf(n.arrival.address) ?? ''
    one.sent = countsOf(one)
    if (!n.parts.isLeaving()) this.#keep(one, n, error)
    one.carrier = undefined
    this.#hold(
      one,
      this.#server.clock.setTimeout(() => this.forget(one), this.#server.timeouts.resumption)
    )
    if (this.#lost.size > this.#server.limits.resumableStreams) this.#makeRoom()
  }

  /** The oldest of those who hold most goes: nobody takes the place of somebody else's. */
  #makeRoom(): void {
    const held = new Map<string, ResumableStream[]>()
    let most: readonly ResumableStream[] = []
    for (const one of this.#lost) {
      const own = held.get(one.owner) ?? []
      own.push(one)
      held.set(one.owner, own)
      // Of two who hold as much, the later one wants the room.
      if (own.length >= most.length) most = own
    }
    const [oldest] = most
    if (oldest !== undefined) this.forget(oldest)
  }

  forget(one: ResumableStream): void {
    this.#hold(one, undefined)
    one.kept?.giveUp()
    this.#byId.delete(one.id)
    if (one.carrier !== undefined) this.#byCarrier.delete(one.carrier)
  }

  /** Nothing is resumed any more. */
  clear(): void {
    for (const one of [...this.#byId.values()]) this.forget(one)
  }

  /** A lost stream is kept until its time has come; without a time it is not among the lost. */
  #hold(one: ResumableStream, until: Timer | undefined): void {
    one.expiry?.cancel()
    one.expiry = until
    if (until === undefined) this.#lost.delete(one)
    else this.#lost.add(one)
  }

  /** What was sent on it and is not acknowledged is kept until it is resumed, or given up. */
  #keep(one: ResumableStream, n: IncomingNegotiation, cause: FederationError): void {
    const kept = n.authenticated.reversed?.keep(cause)
    if (kept === undefined) return
    const key = namesOf(n)
    one.kept = kept
    this.#kept.get(key)?.giveUp()
    this.#kept.set(key, kept)
    void kept.carriedOn.then(() => {
      if (one.kept === kept) one.kept = undefined
      if (this.#kept.get(key) === kept) this.#kept.delete(key)
    })
  }
}

/** What was sent on a stream so far: what is about to carry it on counts only when it does. */
export function countsOf({ carrier, handled, sent }: ResumableStream): SentCounts {
  return carrier?.authenticated.handled === handled ? carrier.authenticated.sentCounts : sent
}

/** XEP-0198 §5: the old connection of a stream that is resumed on another. */
function superseded(): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    condition: 'conflict',
    stream: 'conflict',
    detail: 'the stream was resumed on another connection'
  })
}

function namesOf(n: IncomingNegotiation): string {
  return [...n.authenticated.pairs.keys()].sort().join('\n')
}

/** A digest: the names of many pairs are longer than all else that is kept of a stream. */
function pairsOf(n: IncomingNegotiation): string {
  return createHash('sha256').update(namesOf(n)).digest('base64')
}
