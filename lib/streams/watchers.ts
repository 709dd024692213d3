/** Those who wait for something to change. */
export class Watchers {
  #waiting: (() => void)[] = []

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Is called once, at the next change. */
  add(tell: () => void): void {
    this.#waiting.push(tell)
  }

  /** Resolves at the next change. */
  change(): Promise<void> {
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  tell(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const each of waiting) each()
  }
}
