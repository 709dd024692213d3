import type { Clock, Timer } from '../model/plugs.ts'
import type { Timeouts } from '../model/settings.ts'
import type { XmlStream } from '../xml/stream.ts'

export interface LifetimeOptions {
  readonly clock: Clock
  readonly timeouts: Pick<Timeouts, 'idle' | 'keepAlive' | 'write'>
  readonly stream: Pick<XmlStream, 'writable' | 'lastWritten' | 'stalledSince' | 'write'>
  /** When something was there last that makes the link worth keeping, on the engine's clock. */
  readonly lastMoved: () => number
  /** ISO 8601: until when the certificate that authenticates the peer is valid; undefined while none does. */
  readonly notAfter: () => string | undefined
  /** Milliseconds of silence that the peer allows (XEP-0478 §3); undefined: it has not said. */
  readonly peersIdle: number | undefined
  readonly onIdle: () => void
  readonly onStalled: () => void
  readonly onExpiry: () => void
}

/** However little silence peers allow, they have nobody woken more often, in milliseconds. */
const LEAST_QUIET = 5_000
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
    this.#quiet = Math.min(timeouts.keepAlive, Math.max(LEAST_QUIET, peersIdle / 2))
    this.look()
  }

  /** Does what is due and waits for what is next; to be called as well when something is authenticated, and when the connection is full. */
  look(): void {
    if (this.#isOver) return
    const { clock, timeouts, stream, lastMoved, onIdle, onStalled, onExpiry } = this.#options
    this.#timer?.cancel()
    const now = clock.now()
    const expiry = this.#expiry()
    const stalled = stream.stalledSince
    const givenUp = stalled === undefined ? Infinity : stalled + timeouts.write
    const idle = lastMoved() + timeouts.idle
    if (now > expiry) return onExpiry()
    if (now >= givenUp) return onStalled()
    if (now >= idle) return onIdle()
    const isTaking = stalled === undefined && stream.writable
    if (isTaking && now >= stream.lastWritten + this.#quiet) stream.write(' ')
    const quiet = isTaking ? stream.lastWritten + this.#quiet : Infinity
    // What was written of late may not be taken.
    const doubt = stalled === undefined && now - stream.lastWritten < timeouts.write ? now + timeouts.write : Infinity
    // A moment that has come already would come again and again.
    this.#next = Math.max(now + 1, Math.min(expiry + 1, givenUp, idle, quiet, doubt, now + LONGEST_WAIT))
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
