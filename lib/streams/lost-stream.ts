import { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'
import type { Resumption } from '../rules/stream-management.ts'
import type { Unacknowledged } from './unacknowledged.ts'

/** What a lost stream leaves behind. */
export interface Remains {
  readonly resumption: Resumption
  /** How many stanzas were sent on it. */
  readonly sent: number
  /** The last of those, which the peer has not acknowledged, in order. */
  readonly unacknowledged: readonly Unacknowledged[]
  /** Until when it can be resumed, on the engine's clock. */
  readonly until: number
  /** What it was lost by. */
  readonly cause: FederationError
}

/**
 * A stream that was lost and can be resumed (XEP-0198 §5): what it has not delivered for certain is held here until another
 * link of the pair takes it, or until nobody will, and it is in doubt.
 */
export class LostStream {
  readonly #remains: Remains
  readonly #timer: Timer
  #isOver = false

  constructor(remains: Remains, clock: Clock) {
    this.#remains = remains
    this.#timer = clock.setTimeout(() => this.giveUp(), Math.max(0, remains.until - clock.now()))
  }

  /** Hands over what remains, once, to a link that asks the peer to resume the stream. */
  take(): Remains | undefined {
    return this.#end() ? this.#remains : undefined
  }

  /** Nobody resumes it: what was written is in doubt. What never was goes back to where it came from. */
  giveUp(cause = this.#remains.cause): void {
    if (this.#end()) abandon(this.#remains.unacknowledged, cause)
  }

  #end(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#timer.cancel()
    return true
  }
}

/** Nothing of this will be acknowledged. */
export function abandon(unacknowledged: readonly Unacknowledged[], cause: FederationError | undefined): void {
  const doubt = new FederationError('S2S_IN_DOUBT', cause === undefined ? {} : { cause })
  for (const one of unacknowledged) one.conclude(doubt)
}
