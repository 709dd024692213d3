import type { Clock, Timer } from '../model/plugs.ts'
import type { Acknowledgements } from './acknowledgements.ts'

/**
 * The wait for what the peer still owes, before a stream is closed politely. How long it may go without an answer, or without handling
 * more, is for the acknowledgements themselves to say; whoever is in a hurry makes it shorter.
 */
export class Settlement {
  readonly #clock: Clock
  #until = Infinity
  #timer: Timer | undefined
  #isOver = false
  #tell: () => void = () => undefined
  readonly #over = new Promise<void>(resolve => (this.#tell = resolve))

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when nothing is owed any more, or nobody waits for it. */
  async of(acknowledgements: Acknowledgements | undefined): Promise<void> {
    if (acknowledgements?.pending === true) void acknowledgements.settled().then(() => this.end())
    else this.end()
    await this.#over
  }

  /** Nobody waits for longer than so many milliseconds from now. */
  atMost(milliseconds: number): void {
    const until = this.#clock.now() + milliseconds
    if (this.#isOver || until >= this.#until) return
    this.#until = until
    this.#timer?.cancel()
    this.#timer = this.#clock.setTimeout(() => this.end(), milliseconds)
  }

  /** Nobody waits any more. */
  end(): void {
    this.#isOver = true
    this.#timer?.cancel()
    this.#tell()
  }
}
