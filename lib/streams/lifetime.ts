import type { Clock, Timer } from '../model/plugs.ts'
import type { Timeouts } from '../model/settings.ts'

/** What a link looks like to whoever watches over it. Moments are milliseconds on the engine's clock. */
export interface Watched {
  /** When something was there last that makes the link worth keeping. */
  readonly lastMoved: () => number
  /** When we last said anything, white space included. */
  readonly lastWritten: () => number
  /** Since when the connection has not taken what we write; undefined while it does. */
  readonly stalledSince: () => number | undefined
  /** ISO 8601: until when the certificate that authenticates the peer is valid; undefined while none does. */
  readonly notAfter: () => string | undefined
}

export interface LifetimeOptions extends Watched {
  readonly clock: Clock
  readonly timeouts: Pick<Timeouts, 'idle' | 'keepAlive' | 'write'>
  /** Milliseconds of silence that the peer allows (XEP-0478 §3); undefined: it has not said. */
  readonly peersIdle: number | undefined
  readonly onIdle: () => void
  /** Something has to be said, lest somebody on the way forgets the connection. */
  readonly onQuiet: () => void
  readonly onStalled: () => void
  readonly onExpiry: () => void
}

/** A timer of Node's takes no more than 2³¹−1 ms, and a certificate may outlive that. */
const LONGEST_WAIT = 86_400_000

/**
 * Watches over a link, with one timer: ends one on which nothing moves, one whose peer takes nothing, and one whose peer's certificate
 * has expired (RFC 6120 §13.7.2.3); has white space sent on one that is quiet (RFC 6120 §4.6.1).
 */
export class Lifetime {
  readonly #options: LifetimeOptions
  readonly #quiet: number
  #timer: Timer | undefined
  #next = 0
  #isOver = false

  constructor(options: LifetimeOptions) {
    this.#options = options
    const { timeouts, peersIdle = Infinity } = options
    this.#quiet = Math.max(1, Math.min(timeouts.keepAlive, peersIdle / 2))
    this.look()
  }

  /** Does what is due and waits for what is next; to be called as well when something is authenticated, and when the connection is full. */
  look(): void {
    if (this.#isOver) return
    const { clock, timeouts, lastMoved, lastWritten, stalledSince, onIdle, onQuiet, onStalled, onExpiry } = this.#options
    this.#timer?.cancel()
    const now = clock.now()
    const expiry = this.#expiry()
    const stalled = stalledSince()
    const givenUp = stalled === undefined ? Infinity : stalled + timeouts.write
    const idle = lastMoved() + timeouts.idle
    if (now > expiry) return onExpiry()
    if (now >= givenUp) return onStalled()
    if (now >= idle) return onIdle()
    if (stalled === undefined && now >= lastWritten() + this.#quiet) onQuiet()
    const quiet = stalled === undefined ? lastWritten() + this.#quiet : Infinity
    // What was written of late may not be taken.
    const doubt = stalled === undefined && now - lastWritten() < timeouts.write ? now + timeouts.write : Infinity
    this.#next = Math.min(expiry + 1, givenUp, idle, quiet, doubt, now + LONGEST_WAIT)
    this.#timer = clock.setTimeout(() => this.look(), this.#next - now)
  }

  /** Something is being written. */
  wrote(): void {
    const { clock, timeouts } = this.#options
    if (this.#next > clock.now() + timeouts.write) this.look()
  }

  end(): void {
    this.#isOver = true
    this.#timer?.cancel()
  }

  #expiry(): number {
    const notAfter = this.#options.notAfter()
    return notAfter === undefined ? Infinity : Date.parse(notAfter)
  }
}
