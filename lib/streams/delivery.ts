import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { isThenable } from '../model/thenable.ts'
import { HandledStanzas } from './handled.ts'

/** Where a stanza came in. */
interface Place {
  readonly link: Link
  readonly pair: PairStatus
}

/** The application's own: takes each stanza of an authenticated pair, in order. */
export type OnStanza = (stanza: Stanza, on: Place) => void | PromiseLike<void>

/** A stanza that waits for the handler to finish with those before it. */
interface Waiting {
  readonly stanza: Stanza
  readonly on: Place
  readonly size: number
  /** Whether stream management had begun when it came. */
  readonly isCounted: boolean
}

/**
 * Hands the stanzas that come on one stream to the application, one after the other, and counts what it has finished with. A slow
 * handler holds up the reading of a stream that goes one way. One that goes both ways is read on behind it, as far as a peer with our
 * own limits sends before it wants acknowledgements: the handler may be waiting for one that comes behind what it has not seen.
 */
export class Delivery {
  readonly handled: HandledStanzas
  readonly #onStanza: OnStanza
  readonly #server: Pick<LocalServer, 'clock' | 'observer' | 'limits'>
  #readsAhead = false
  #isBusy = false
  #isOver = false
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #watchers: (() => void)[] = []

  constructor(onStanza: OnStanza, server: Pick<LocalServer, 'clock' | 'observer' | 'limits'>) {
    this.handled = new HandledStanzas(server.clock)
    this.#onStanza = onStanza
    this.#server = server
  }

  /** The stream goes both ways. */
  readAhead(): void {
    this.#readsAhead = true
  }

  /**
   * Hands a stanza over, or lets it wait for its turn. What the handler throws or rejects with is a warning: the stream is not to
   * blame.
   *
   * @returns a promise where the stream must not be read on before it settles
   */
  deliver(stanza: Stanza, on: Place, size: number): Promise<void> | undefined {
    if (this.#isOver) return undefined
    if (this.#isBusy) {
      this.#waiting.push({ stanza, on, size, isCounted: this.handled.isEnabled })
      this.#waitingBytes += size
    } else {
      const work = this.handled.count(this.#hand(stanza, on))
      if (work === undefined) return undefined
      this.#await(work)
    }
    return this.#hasRoom ? undefined : this.#until(() => this.#hasRoom)
  }

  /** Resolves when the handler has finished with everything that came, or the stream is over; undefined: it has. */
  idle(): Promise<void> | undefined {
    return this.#isBusy ? this.#until(() => !this.#isBusy) : undefined
  }

  /** The stream is over: what still waits is never handed over, and was not counted. */
  end(): void {
    this.#isOver = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.handled.end()
    this.#tell()
  }

  get #hasRoom(): boolean {
    if (!this.#isBusy || this.#isOver) return true
    const { unackedStanzas, unackedBytes } = this.#server.limits
    return this.#readsAhead && this.#waiting.length < unackedStanzas && this.#waitingBytes < unackedBytes
  }

  #await(work: Promise<void>): void {
    this.#isBusy = true
    void work.then(() => this.#goOn())
  }

  #goOn(): void {
    this.#isBusy = false
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#waitingBytes -= next.size
      const handed = this.#hand(next.stanza, next.on)
      const work = next.isCounted ? this.handled.count(handed) : handed
      if (work !== undefined) {
        this.#await(work)
        break
      }
    }
    this.#tell()
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.#isOver) await new Promise<void>(resolve => this.#watchers.push(resolve))
  }

  #tell(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const each of watchers) each()
  }

  #hand(stanza: Stanza, on: Place): Promise<void> | undefined {
    try {
      const handled = this.#onStanza(stanza, on)
      return isThenable(handled) ? this.#settled(handled) : undefined
    } catch (cause) {
      this.#failed(cause)
      return undefined
    }
  }

  async #settled(handled: PromiseLike<unknown>): Promise<void> {
    try {
      await handled
    } catch (cause) {
      this.#failed(cause)
    }
  }

  #failed(cause: unknown): void {
    this.#server.observer.warn(new FederationError('S2S_INTERNAL', { detail: 'onStanza failed', cause }))
  }
}
