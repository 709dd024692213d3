import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Timer } from '../model/plugs.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { isThenable } from '../model/thenable.ts'
import type { XmlStream } from '../xml/stream.ts'
import { HandledStanzas } from './handled.ts'
import type { PairOrder } from './pair-order.ts'

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
  /** What came on these other streams before has to be handled first. */
  readonly olders: readonly Delivery[]
}

/** What the stanzas come on. */
export interface Source {
  /** Where the bytes come from. */
  readonly stream: Pick<XmlStream, 'unread' | 'lastHeard'>
  /** The pairs have gone on elsewhere, and what is left here keeps them waiting: ends the stream. */
  readonly supersede: (error: FederationError) => void
}

/** Bytes: where so many are unread, there may be more that have not been taken from the connection. */
const MANY = 16_384
/** They come within so many milliseconds once there is room for them. */
const QUIET = 250

const NOBODY: readonly Delivery[] = []

type Surroundings = Pick<LocalServer, 'clock' | 'observer' | 'limits' | 'timeouts'>

/**
 * Hands the stanzas that come on one stream to the application, one after the other, and counts what it has finished with. A slow
 * handler holds up the reading of a stream that goes one way. One that goes both ways is read on behind it, as far as a peer with our
 * own limits sends before it wants acknowledgements: the handler may be waiting for one that comes behind what it has not seen.
 *
 * A pair that came on another stream before is waited for there: its order is kept although the streams know nothing of each other.
 */
export class Delivery {
  readonly handled: HandledStanzas
  readonly #onStanza: OnStanza
  readonly #order: PairOrder<Delivery>
  readonly #server: Surroundings
  #source: Source | undefined
  /** Whether more has come than was seen when somebody began to wait for this stream. */
  #holdsMore = false
  /** The pairs that may come here, by `pairKey`. */
  readonly #pairs = new Set<string>()
  /** What is waited for. */
  #olders: ReadonlySet<Delivery> = new Set()
  #stopWaiting: () => void = () => undefined
  #readsAhead = false
  /** What is in hand, or is to be as soon as what came on other streams is not. */
  #current: Waiting | undefined
  #isOver = false
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #watchers: (() => void)[] = []

  constructor(onStanza: OnStanza, order: PairOrder<Delivery>, server: Surroundings) {
    this.handled = new HandledStanzas(server.clock)
    this.#onStanza = onStanza
    this.#order = order
    this.#server = server
  }

  /** What the stanzas come on; to be said before the first does. */
  from(source: Source): void {
    this.#source = source
  }

  /** A pair is authenticated on it. */
  join({ pair }: PairStatus): void {
    const key = pairKey(pair)
    this.#pairs.add(key)
    this.#order.join(key, this)
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
    const next = { stanza, on, size, isCounted: this.handled.isEnabled, olders: this.#turnOf(on.pair) }
    if (this.#isBusy) {
      this.#waiting.push(next)
      this.#waitingBytes += size
    } else {
      const work = this.#begin(next)
      if (work === undefined) return undefined
      this.#await(work, next)
    }
    return this.#hasRoom ? undefined : this.#until(() => this.#hasRoom)
  }

  /** Resolves when the handler has finished with everything that came, or the stream is over; undefined: it has. */
  idle(): Promise<void> | undefined {
    return this.#isBusy ? this.#until(() => !this.#isBusy) : undefined
  }

  /** The reader has found nothing more to read. */
  rest(): void {
    if (this.#watchers.length > 0) this.#tell()
  }

  /** Whether something of the pair is in hand, waits, or may be unread. */
  #hasLeft(pair: DomainPair): boolean {
    const isOf = (one: Waiting | undefined): boolean => one?.on.pair.pair.sender === pair.sender && one.on.pair.pair.target === pair.target
    return isOf(this.#current) || this.#waiting.some(isOf) || (!this.#isOver && (!this.#isRead || this.#isAwaited))
  }

  /** Whether the connection may hold more than has been taken from it. */
  get #isBackedUp(): boolean {
    return (this.#source?.stream.unread ?? 0) >= MANY
  }

  get #isRead(): boolean {
    return this.#source === undefined || this.#source.stream.unread === 0
  }

  /** Whether more of what has come for certain is still to be seen. */
  get #isAwaited(): boolean {
    return this.#holdsMore && this.#server.clock.now() - (this.#source?.stream.lastHeard ?? 0) < QUIET
  }

  /** The stream is over: what still waits is never handed over, and was not counted. */
  end(): void {
    this.#isOver = true
    this.#waiting = []
    this.#waitingBytes = 0
    this.handled.end()
    this.#stopWaiting()
    this.#tell()
    this.#forget()
  }

  /** Where a pair begins to come here, it is its turn when the streams that it may have come on before have nothing left: these. */
  #turnOf({ pair }: PairStatus): readonly Delivery[] {
    const key = pairKey(pair)
    const last = this.#order.lastOf(key)
    if (last === this) return NOBODY
    this.#order.take(key, this)
    const before = last === undefined ? this.#order.before(key, this) : [...this.#order.before(key, this), last]
    // What waits for this stream already is younger than all that comes on it, unless the peer sends on both and wants no order.
    const olders = before.filter(each => each.#hasLeft(pair) && !each.#waitsFor(this))
    if (olders.length === 0) return NOBODY
    for (const each of olders) each.#holdsMore ||= each.#isBackedUp
    this.#olders = new Set([...this.#olders, ...olders])
    return olders
  }

  #waitsFor(other: Delivery): boolean {
    return [...this.#olders].some(older => older === other || older.#waitsFor(other))
  }

  get #isBusy(): boolean {
    return this.#current !== undefined
  }

  get #hasRoom(): boolean {
    if (!this.#isBusy || this.#isOver) return true
    const { unackedStanzas, unackedBytes } = this.#server.limits
    return this.#readsAhead && this.#waiting.length < unackedStanzas && this.#waitingBytes < unackedBytes
  }

  #await(work: Promise<void>, current: Waiting): void {
    this.#current = current
    void work.then(() => this.#goOn())
  }

  #goOn(): void {
    this.#current = undefined
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#waitingBytes -= next.size
      const work = this.#begin(next)
      if (work !== undefined) {
        this.#await(work, next)
        break
      }
    }
    this.#tell()
    this.#forget()
  }

  /** Nobody has to wait for a stream that is over and has nothing left. */
  #forget(): void {
    if (!this.#isOver || this.#isBusy) return
    for (const key of this.#pairs) this.#order.leave(key, this)
    this.#pairs.clear()
  }

  #begin(next: Waiting): Promise<void> | undefined {
    const { stanza, on, isCounted, olders } = next
    if (olders.some(each => each.#hasLeft(on.pair.pair))) return this.#after(olders, { ...next, olders: NOBODY })
    const handed = this.#hand(stanza, on)
    return isCounted ? this.handled.count(handed) : handed
  }

  async #after(olders: readonly Delivery[], next: Waiting): Promise<void> {
    this.handled.hold()
    await this.#settlementOf(next.on.pair.pair, olders)
    this.#olders = new Set(this.#waiting.flatMap(each => each.olders))
    if (!this.#isOver) await this.#begin(next)
  }

  /** Resolves when nothing of the pair is left on other streams; what still is there after a while is never handed over. */
  #settlementOf(pair: DomainPair, others: readonly Delivery[]): Promise<void> {
    return new Promise(resolve => {
      const { clock, timeouts } = this.#server
      let pause: Timer | undefined
      const done = (): void => {
        timer.cancel()
        pause?.cancel()
        resolve()
      }
      const look = (): void => {
        const left = others.find(each => each.#hasLeft(pair))
        if (left === undefined) done()
        else if (left.#isBusy || !left.#isRead) left.#watchers.push(look)
        else pause = clock.setTimeout(look, QUIET)
      }
      const timer = clock.setTimeout(() => {
        for (const each of others) if (each.#hasLeft(pair) && !each.#isOver) each.#source?.supersede(superseded())
        done()
      }, timeouts.step)
      this.#stopWaiting = done
      look()
    })
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

/** RFC 6120 §4.9.3.3: another stream has taken the place of this one. */
function superseded(): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    condition: 'conflict',
    stream: 'conflict',
    detail: 'its pairs have gone on on another stream'
  })
}
