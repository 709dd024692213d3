import type { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'
import type { Carrier } from './carrier.ts'
import { abandon } from './lost-stream.ts'
import type { Unacknowledged } from './unacknowledged.ts'

/** What was sent back on a lost stream, and until when it is kept. */
export interface KeptStanzas {
  /** Not acknowledged, in order. */
  readonly unacknowledged: readonly Unacknowledged[]
  /** Milliseconds from now on. */
  readonly within: number
  /** What the stream was lost by. */
  readonly cause: FederationError
}

/**
 * What the receiving side of a lost stream had sent back on it (XEP-0288) and what only the initiating side can have sent again, by
 * coming back and resuming the stream (XEP-0198 §5). It is held here until then, or until nobody will, and it is in doubt.
 */
export class KeptStream {
  #unacknowledged: readonly Unacknowledged[]
  readonly #cause: FederationError
  readonly #timer: Timer
  #isHeld = true
  #tell: (carrier: Carrier | undefined) => void = () => undefined
  /** Resolves with what carries the stream on, once all of this has been sent again on it; undefined: nothing does. */
  readonly carriedOn: Promise<Carrier | undefined>

  constructor({ unacknowledged, within, cause }: KeptStanzas, clock: Clock) {
    this.#unacknowledged = unacknowledged
    this.#cause = cause
    this.carriedOn = new Promise(resolve => (this.#tell = resolve))
    this.#timer = clock.setTimeout(() => this.giveUp(), within)
  }

  /** Whether it has not been given up. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Whether stanzas wait for the peer. */
  get isWaiting(): boolean {
    return this.#unacknowledged.length > 0
  }

  /** The peer says that it has handled so many of them. */
  count(handled: number): void {
    const acknowledged = this.#unacknowledged.slice(0, handled)
    this.#unacknowledged = this.#unacknowledged.slice(handled)
    for (const one of acknowledged) one.acknowledge()
  }

  /** Hands over what is to be sent again; {@link carryOn} is to follow. */
  take(): readonly Unacknowledged[] {
    this.#timer.cancel()
    const all = this.#unacknowledged
    this.#unacknowledged = []
    return all
  }

  /** The stream goes on there. */
  carryOn(carrier: Carrier): void {
    this.#timer.cancel()
    this.#tell(carrier)
  }

  /** The peer does not come back, or not for this: what was written is in doubt. */
  giveUp(cause = this.#cause): void {
    this.#isHeld = false
    abandon(this.take(), cause)
    this.#tell(undefined)
  }
}
