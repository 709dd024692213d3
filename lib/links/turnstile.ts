import { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'

export interface TurnstileOptions {
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
   * @throws FederationError `S2S_LIMIT` when its turn did not come in time; then the work was never begun
   */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed
    if (this.#waiting.size > 0 || !this.#admits()) await this.#turn()
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

  #turn(): Promise<void> {
    const { clock, patience, most, perSecond } = this.#options
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(waiting)
        timer.cancel()
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
      const detail = `at most ${most} negotiations go on at once and ${perSecond} begin in a second, and no turn came within ${patience} ms`
      const timer = clock.setTimeout(() => waiting.leave(new FederationError('S2S_LIMIT', { detail })), patience)
      this.#waiting.add(waiting)
      this.#admitNext()
    })
  }
}
