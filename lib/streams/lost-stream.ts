import { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'
import type { Resumption, SentCounts } from '../rules/stream-management.ts'
import type { Unacknowledged } from './unacknowledged.ts'

/** What a lost stream leaves behind. */
export interface Remains {
  readonly resumption: Resumption
  /** How many stanzas were sent on it, and how many of those the peer has acknowledged. */
  readonly counts: SentCounts
  /** How many that came the other way were handled or are in hand (XEP-0288): none of those is to come again. */
  readonly handled: number
  /** The others, in order; none, where they have been given up. */
  readonly unacknowledged: readonly Unacknowledged[]
  /** Until when it can be resumed, on the engine's clock. */
  readonly until: number
  /** Whether something of it may still be read at the other end, so that nothing may be sent before the peer has been asked to resume. */
  readonly isUnread: boolean
  /** Whether the peer has sent stanzas on it, and may have some that did not arrive. */
  readonly isOwed: boolean
  /** What it was lost by. */
  readonly cause: FederationError
}

/**
 * A stream that was lost and can be resumed (XEP-0198 §5): what it has not delivered for certain is held here until another
 * link of the pair takes it, or until nobody will, and it is in doubt. Even then the next link resumes the stream, to be sure that
 * nothing of it is still read at the other end when what comes after it arrives.
 */
export class LostStream {
  #remains: Remains
  readonly #timer: Timer | undefined
  #isHeld: boolean

  constructor(remains: Remains, clock: Clock) {
    this.#remains = remains
    this.#isHeld = remains.isUnread
    if (this.#isHeld) this.#timer = clock.setTimeout(() => this.giveUp(), Math.max(0, remains.until - clock.now()))
  }

  /** Whether stanzas wait for somebody to take it. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Whether the order of what comes next depends on its being resumed. */
  get isUnread(): boolean {
    return this.#remains.isUnread
  }

  /** Whether the peer may be waiting for it to be resumed. */
  get isOwed(): boolean {
    return this.#remains.isOwed
  }

  /** Hands over what remains to a link that asks the peer to resume the stream. */
  take(): Remains {
    this.#end()
    return this.#remains
  }

  /** Nobody resumes it: what was written is in doubt. What never was goes back to where it came from. */
  giveUp(cause = this.#remains.cause): void {
    if (!this.#isHeld) return
    this.#end()
    const { unacknowledged } = this.#remains
    this.#remains = { ...this.#remains, unacknowledged: [] }
    abandon(unacknowledged, cause)
  }

  #end(): void {
    this.#isHeld = false
    this.#timer?.cancel()
  }
}

/** Nothing of this will be acknowledged. */
export function abandon(unacknowledged: readonly Unacknowledged[], cause: FederationError | undefined): void {
  const doubt = new FederationError('S2S_IN_DOUBT', cause === undefined ? {} : { cause })
  for (const one of unacknowledged) one.conclude(doubt)
}
