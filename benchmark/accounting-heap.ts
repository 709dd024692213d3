import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const PHASES = 10

/** Looks at the heap: what is in it now and then, and what is left in it after a collection, at each tenth of the way. */
export class Heap {
  peak = 0
  readonly #left: number[] = []
  readonly #collect: () => void
  #looks = 0

  constructor() {
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as () => void
  }

  look(progress: number): void {
    this.#looks += 1
    if (this.#looks % 64 === 0) this.peak = Math.max(this.peak, process.memoryUsage().heapUsed)
    if (progress * PHASES < this.#left.length) return
    this.#collect()
    this.#left.push(process.memoryUsage().heapUsed)
  }

  /** Whether clearly more is left in the last tenths than in the first after everything was under way. */
  get grows(): boolean {
    const mean = (from: number, to: number): number => this.#left.slice(from, to).reduce((sum, each) => sum + each, 0) / (to - from)
    return this.#left.length >= PHASES && mean(PHASES - 3, PHASES) > mean(1, 4) * 1.3 + 8_000_000
  }

  get described(): string {
    return this.#left.map(bytes => `${Math.round(bytes / 1e6)} MB`).join(', ')
  }
}
