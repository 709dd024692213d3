import type { LocalServer } from '../auth/local-server.ts'
import type { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import { retryDelay } from '../rules/back-off.ts'

/** Until when the stanzas of a pair are bounced after its negotiation has failed, and because of what. */
export class RetryTime {
  readonly #server: Pick<LocalServer, 'clock' | 'random'>
  readonly #onCome: () => void
  #failures = 0
  #until = 0
  #reason: FederationError | undefined
  #timer: Timer | undefined
  #isOver = false

  /** @param onCome told when the time has come by itself */
  constructor(server: Pick<LocalServer, 'clock' | 'random'>, onCome: () => void) {
    this.#server = server
    this.#onCome = onCome
  }

  /** Milliseconds since the epoch. */
  get until(): number {
    return this.#until
  }

  /** Why the pair is not negotiated now; undefined: it may be. */
  get reason(): FederationError | undefined {
    return this.#server.clock.now() < this.#until ? this.#reason : undefined
  }

  /** A negotiation has failed: the time is later with each in a row. */
  failed(error: FederationError): void {
    const { clock, random } = this.#server
    this.#failures += 1
    this.#reason = error
    const delay = retryDelay(error, this.#failures, random())
    this.come()
    this.#until = clock.now() + delay
    if (this.#isOver || delay <= 0) return
    this.#timer = clock.setTimeout(() => {
      this.come()
      this.#onCome()
    }, delay)
  }

  /** Something got through: the next failure is the first again. */
  forgive(): void {
    this.#failures = 0
  }

  /** The time is now. */
  come(): void {
    this.#until = 0
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Nobody waits for it any more. */
  end(): void {
    this.#isOver = true
    this.#timer?.cancel()
  }
}
