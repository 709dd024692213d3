import type { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Clock } from '../model/plugs.ts'
import { mayTakeAnother } from '../rules/back-off.ts'
import type { Carrier } from '../streams/carrier.ts'
import type { KeptStream } from '../streams/kept-stream.ts'
import type { LostStream } from '../streams/lost-stream.ts'
import { closedAgain } from './refusals.ts'

/** So many links in a row may end before a stream that was lost is resumed on one, or before a server that restarts takes anything. */
const FRUITLESS_MOST = 2
/** A peer is called for its own sake once in so many milliseconds, however often it breaks off; */
const CALL_EVERY = 10_000
/** so often in a row after a rest. */
const CALLS_AT_ONCE = 8

/** What the last link of a pair has left behind, and whether another is worth it. */
export class LastLink {
  readonly #pair: DomainPair
  readonly #clock: Clock
  /** To be resumed by the next link. */
  #lost: LostStream | undefined
  /** To be resumed by the peer. */
  #kept: KeptStream | undefined
  /** How many links of our own in a row ended before anything of what waits got through. */
  #fruitless = 0
  /** When it would have been called last, had the calls come evenly. */
  #pace = -Infinity

  constructor(pair: DomainPair, clock: Clock) {
    this.#pair = pair
    this.#clock = clock
  }

  /** Whether stanzas of it have not ended. */
  get isHeld(): boolean {
    return this.#lost?.isHeld === true || this.#kept?.isHeld === true
  }

  /** It is gone. */
  leave(carrier: Carrier): void {
    this.#lost = carrier.lost
    this.#kept = carrier.kept
  }

  /**
   * Whether it was in vain once too often: a peer that authenticates us and then takes nothing would be dialled without end.
   *
   * @param isFruitful whether anything got through on it, or nothing waits for the next
   * @returns why no other is dialled; undefined: one may be
   */
  vain(carrier: Carrier, error: FederationError | undefined, isFruitful: boolean): FederationError | undefined {
    if (isFruitful) this.#fruitless = 0
    else if (carrier.link.direction === 'outgoing') this.#fruitless += 1
    const patience = this.#lost?.isHeld === true || mayTakeAnother(error) ? FRUITLESS_MOST : 0
    return this.#fruitless > patience ? (error ?? closedAgain(this.#pair, this.#fruitless)) : undefined
  }

  /** Whether the peer is to be called although nothing of ours waits: it may have sent what did not arrive, and cannot call us for that. */
  calls(): boolean {
    const now = this.#clock.now()
    const next = Math.max(this.#pace, now - CALLS_AT_ONCE * CALL_EVERY) + CALL_EVERY
    if (this.#lost?.isOwed !== true || next > now) return false
    this.#pace = next
    return true
  }

  /**
   * What the pair goes on with: what the peer has come back on, or what is dialled once it is certain that it does not.
   *
   * @param dial finds or opens something else, and resumes the stream that was lost on what it opens
   */
  async carriedOn(dial: (lost: LostStream | undefined) => Promise<Carrier>): Promise<Carrier> {
    const given = this.#kept === undefined ? undefined : await this.#kept.carriedOn
    const lost = this.#lost
    const carrier = given ?? (await dial(lost))
    this.#kept = undefined
    this.#lost = undefined
    // Whoever is told of a stanza that is given up may send another, which has its place behind all that waits.
    lost?.giveUp()
    return carrier
  }

  /** What was written is in doubt. */
  giveUp(error: FederationError): void {
    this.#lost?.giveUp(error)
    this.#kept?.giveUp(error)
  }

  /** Nor is anything resumed by the next link. */
  forget(error: FederationError): void {
    this.#lost?.giveUp(error)
    this.#lost = undefined
  }
}
