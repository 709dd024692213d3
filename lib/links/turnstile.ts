import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Clock, Timer } from '../model/plugs.ts'

export interface TurnstileOptions {
  /** What passes: for the error of whoever had no turn. */
  readonly what: 'negotiations' | 'verifications'
  /** How many may be inside at once. */
  readonly most: number
  /** How many may enter in a second; a second's worth may enter at once after a rest. */
  readonly perSecond: number
  /** How long one waits for its turn, in milliseconds. */
  readonly patience: number
  readonly clock: Clock
}

interface Waiting {
  enter(): void
  leave(error: FederationError): void
}

/** Lets so many through at once and so many in a second; whoever comes later waits, first come first served, and not for ever. */
export class Turnstile {
  readonly #options: TurnstileOptions
  readonly #waiting = new Set<Waiting>()
  #inside = 0
  /** When the last one would have entered, had they come evenly. */
  #pace = -Infinity
  #pause: Timer | undefined
  #closed: FederationError | undefined

  constructor(options: TurnstileOptions) {
    this.#options = options
  }

  /**
   * Runs the work when there is room for it.
   *
   * @param signal when aborted, nobody waits for its turn any more
   * @throws FederationError `S2S_LIMIT` when its turn did not come in time; then, and after an abort, the work was never begun
   */
  async pass<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed
    if (signal?.aborted === true) throw abortReason(signal)
    if (this.#waiting.size > 0 || !this.#admits()) await this.#turn(signal)
    try {
      return await work()
    } finally {
      this.#inside -= 1
      this.#admitNext()
    }
  }

  /** Sends away whoever waits, and whoever comes later. */
  close(error: FederationError): void {
    this.#closed = error
    this.#pause?.cancel()
    for (const each of this.#waiting) each.leave(error)
  }

  /** Takes a place, if there is one and it is time. */
  #admits(): boolean {
    if (this.#inside >= this.#options.most || this.#wait() > 0) return false
    const { clock, perSecond } = this.#options
    this.#pace = Math.max(this.#pace, clock.now() - 1000) + 1000 / perSecond
    this.#inside += 1
    return true
  }

  /** Milliseconds until one more may enter. */
  #wait(): number {
    return Math.max(0, this.#pace + 1000 / this.#options.perSecond - this.#options.clock.now())
  }

  /** Whoever leaves, and whoever enters, lets the next in: nobody slips in between. */
  #admitNext(): void {
    const [next] = this.#waiting
    if (next === undefined || this.#pause !== undefined || this.#inside >= this.#options.most) return
    if (this.#admits()) {
      next.enter()
      this.#admitNext()
    } else {
      this.#pause = this.#options.clock.setTimeout(() => {
        this.#pause = undefined
        this.#admitNext()
      }, Math.ceil(this.#wait()))
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    const { clock, what, patience, most, perSecond } = this.#options
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(waiting)
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        if (signal !== undefined) waiting.leave(abortReason(signal))
      }
      const waiting: Waiting = {
        enter: () => {
          end()
          resolve()
        },
        leave: error => {
          end()
          reject(error)
        }
      }
      const detail = `at most ${most} ${what} go on at once and ${perSecond} begin in a second, and no turn came within ${patience} ms`
      const timer = clock.setTimeout(() => waiting.leave(new FederationError('S2S_LIMIT', { detail })), patience)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(waiting)
      this.#admitNext()
    })
  }
}
