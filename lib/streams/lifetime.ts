import type { Clock, Timer } from '../model/plugs.ts'

export interface LifetimeOptions {
  readonly clock: Clock
  /** Milliseconds without a byte from the peer. */
  readonly idle: number
  readonly lastHeard: () => number
  /** ISO 8601: until when the certificate that authenticates the peer is valid; undefined while none does. */
  readonly notAfter: () => string | undefined
  readonly onIdle: () => void
  readonly onExpiry: () => void
}

/** A timer of Node's takes no more than 2³¹−1 ms, and a certificate may outlive that. */
const LONGEST_WAIT = 86_400_000

/** Ends a link on which nothing moves, and one whose peer's certificate has expired (RFC 6120 §13.7.2.3). */
export class Lifetime {
  readonly #options: LifetimeOptions
  #timer: Timer | undefined

  constructor(options: LifetimeOptions) {
    this.#options = options
    this.look()
  }

  /** Ends the link if its time has come, and otherwise waits for it; to be called when something is authenticated as well. */
  look(): void {
    const { clock, idle, lastHeard, onIdle, onExpiry } = this.#options
    this.end()
    const now = clock.now()
    const expiry = this.#expiry()
    const silentUntil = lastHeard() + idle
    if (now > expiry) onExpiry()
    else if (now >= silentUntil) onIdle()
    else this.#timer = clock.setTimeout(() => this.look(), Math.min(silentUntil - now, expiry + 1 - now, LONGEST_WAIT))
  }

  end(): void {
    this.#timer?.cancel()
  }

  #expiry(): number {
    const notAfter = this.#options.notAfter()
    return notAfter === undefined ? Infinity : Date.parse(notAfter)
  }
}
