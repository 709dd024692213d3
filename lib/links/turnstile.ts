/** Lets so many through at once; whoever comes later waits, first come first served. */
export class Turnstile {
  readonly #most: number
  #inside = 0
  readonly #waiting: (() => void)[] = []

  constructor(most: number) {
    this.#most = most
  }

  /** Runs the work when there is room for it. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    // Whoever leaves hands its place on, so that nobody slips in between.
    if (this.#inside >= this.#most) await new Promise<void>(resolve => this.#waiting.push(resolve))
    else this.#inside += 1
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#inside -= 1
      else next()
    }
  }
}
