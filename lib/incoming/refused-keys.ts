import type { Clock } from '../model/plugs.ts'

/** Milliseconds after which a refusal does not count any more. */
const REMEMBERED = 60_000

/** How many keys of one stream were refused after policy and certificate had been asked about them: each costs us more than the peer. */
export class RefusedKeys {
  readonly #clock: Clock
  readonly #most: number
  #since = Number.NEGATIVE_INFINITY
  #count = 0

  /** @param most in one minute */
  constructor(clock: Clock, most: number) {
    this.#clock = clock
    this.#most = most
  }

  get tooMany(): boolean {
    return this.#count >= this.#most && this.#clock.now() - this.#since < REMEMBERED
  }

  add(): void {
    const now = this.#clock.now()
    if (now - this.#since >= REMEMBERED) {
      this.#since = now
      this.#count = 0
    }
    this.#count += 1
  }
}
