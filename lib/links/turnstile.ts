import { FederationError } from '../errors.ts'
import type { Clock } from '../model/plugs.ts'

export interface TurnstileOptions {
  /** How many may be inside at once. */
  readonly most: number
  /** How long one waits for its turn, in milliseconds. */
  readonly patience: number
  readonly clock: Clock
}

/** Lets so many through at once; whoever comes later waits, first come first served, and not for ever. */
export class Turnstile {
  readonly #options: TurnstileOptions
  readonly #waiting = new Set<() => void>()
  #inside = 0

  constructor(options: TurnstileOptions) {
    this.#options = options
  }

  /**
   * Runs the work when there is room for it.
   *
   * @throws FederationError `S2S_LIMIT` when its turn did not come in time; then the work was never begun
   */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    // Whoever leaves hands its place on, so that nobody slips in between.
    if (this.#inside >= this.#options.most) await this.#turn()
    else this.#inside += 1
    try {
      return await work()
    } finally {
      const [next] = this.#waiting
      if (next === undefined) this.#inside -= 1
      else next()
    }
  }

  #turn(): Promise<void> {
    const { clock, patience, most } = this.#options
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        this.#waiting.delete(enter)
        timer.cancel()
        resolve()
      }
      const timer = clock.setTimeout(() => {
        this.#waiting.delete(enter)
        reject(new FederationError('S2S_LIMIT', { detail: `${most} negotiations are under way, and none ended within ${patience} ms` }))
      }, patience)
      this.#waiting.add(enter)
    })
  }
}
