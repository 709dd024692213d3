import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Timer } from '../model/plugs.ts'
import type { PairStatus } from '../model/report.ts'
import type { Stanza } from '../model/stanza.ts'
import { News } from '../xml/news.ts'
import { detachStanza } from '../xml/stanza.ts'
import type { XmlStream } from '../xml/stream.ts'
import { HandledStanzas } from './handled.ts'
import { Handler } from './handler.ts'
import type { OnStanza, Place } from './handler.ts'
import type { OrderedStream, PairOrder } from './pair-order.ts'

/** A stanza that waits for the handler to finish with those before it. */
interface Waiting {
  readonly stanza: Stanza
  readonly on: Place
  readonly size: number
  /** Its pair's `pairKey`. */
  readonly key: string
  /** Whether stream management had begun when it came. */
  readonly isCounted: boolean
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

type Surroundings = Pick<LocalServer, 'clock' | 'observer' | 'limits' | 'timeouts'>

/**
 * Hands the stanzas that come on one stream to the application, one after the other, and counts what it has finished with. A slow
 * handler holds up the reading of a stream that goes one way. One that goes both ways is read on behind it, as far as a peer with our
 * own limits sends before it wants acknowledgements: the handler may be waiting for one that comes behind what it has not seen.
 *
 * A pair that came on another stream before is waited for there: its order is kept although the streams know nothing of each other.
 */
export class Delivery implements OrderedStream {
  readonly handled: HandledStanzas
  readonly #handler: Handler
  readonly #order: PairOrder<Delivery>
  readonly #server: Surroundings
  #source: Source | undefined
  /** Whether more has come than was seen when somebody began to wait for this stream. */
  #holdsMore = false
  /** The pairs that may come here, by `pairKey`. */
  readonly #pairs = new Set<string>()
  /** Those of which nothing is handed over any more, by `pairKey`. */
  readonly #refused = new Set<string>()
  #stopWaiting: () => void = () => undefined
  #readsAhead = false
  /** What is in hand, or is to be as soon as what came on other streams is not. */
  #current: Waiting | undefined
  #isOver = false
  #waiting: Waiting[] = []
  /** How many of each pair, by `pairKey`. */
  readonly #waitingOf = new Map<string, number>()
  #waitingBytes = 0
  readonly #changed = new News()

  constructor(onStanza: OnStanza, order: PairOrder<Delivery>, server: Surroundings) {
    this.handled = new HandledStanzas(server.clock)
    this.#handler = new Handler(onStanza, server.observer)
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
    for (const each of this.#order.join(key, this)) {
      if (each.#isOver || each === this) continue
      each.#source?.supersede(superseded())
      break
    }
  }

  /** A pair has fallen: nothing of it is handed over any more; nor what comes behind it, where that would have to be counted along. */
  refuse(pair: DomainPair): void {
    this.#refused.add(pairKey(pair))
  }

  refuses(pair: DomainPair): boolean {
    return this.#refused.size > 0 && this.#refused.has(pairKey(pair))
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
    const key = pairKey(on.pair.pair)
    const next = { stanza, on, size, key, isCounted: this.handled.isEnabled }
    this.handled.arrived()
    for (const older of this.#order.take(key, this)) older.#holdsMore ||= older.#isBackedUp
    if (this.#isBusy) this.#wait(next)
    else {
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
    this.#changed.tell()
  }

  hasLeft(key: string): boolean {
    return this.#current?.key === key || this.#waitingOf.has(key) || (!this.#isOver && (!this.#isRead || this.#isAwaited))
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
    this.#waitingOf.clear()
    this.#waitingBytes = 0
    this.handled.end()
    this.#order.end(this)
    this.#stopWaiting()
    this.#changed.tell()
    this.#forget()
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

  #wait(next: Waiting): void {
    detachStanza(next.stanza)
    this.#waiting.push(next)
    this.#waitingOf.set(next.key, (this.#waitingOf.get(next.key) ?? 0) + 1)
    this.#waitingBytes += next.size
  }

  #next(): Waiting | undefined {
    const next = this.#waiting.shift()
    if (next === undefined) return undefined
    const left = (this.#waitingOf.get(next.key) ?? 0) - 1
    if (left > 0) this.#waitingOf.set(next.key, left)
    else this.#waitingOf.delete(next.key)
    this.#waitingBytes -= next.size
    return next
  }

  #goOn(): void {
    this.#current = undefined
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const work = this.#begin(next)
      if (work !== undefined) {
        this.#await(work, next)
        break
      }
    }
    this.#changed.tell()
    this.#forget()
  }

  /** Nobody has to wait for a stream that is over and has nothing left. */
  #forget(): void {
    if (!this.#isOver || this.#isBusy) return
    for (const key of this.#pairs) this.#order.leave(key, this)
    this.#pairs.clear()
  }

  #begin(next: Waiting): Promise<void> | undefined {
    const { stanza, on, key, isCounted } = next
    if (this.#refused.has(key)) {
      if (isCounted) this.end()
      return undefined
    }
    const olders = this.#order.olders(key, this)
    if (olders !== undefined) {
      if ([...olders].some(each => each.hasLeft(key))) return this.#after(olders, next)
      this.#order.goOn(key, this)
    }
    const handed = this.#handler.hand(stanza, on)
    return isCounted ? this.handled.count(handed) : handed
  }

  async #after(olders: ReadonlySet<Delivery>, next: Waiting): Promise<void> {
    this.handled.hold()
    await this.#settlementOf(next.key, olders)
    this.#order.goOn(next.key, this)
    if (!this.#isOver) await this.#begin(next)
  }

  /** Resolves when nothing of the pair is left on other streams; what still is there after a while is never handed over. */
  #settlementOf(key: string, others: ReadonlySet<Delivery>): Promise<void> {
    return new Promise(resolve => {
      const { clock, timeouts } = this.#server
      let pause: Timer | undefined
      const done = (): void => {
        timer.cancel()
        pause?.cancel()
        resolve()
      }
      const look = (): void => {
        const left = [...others].find(each => each.hasLeft(key))
        if (left === undefined) done()
        else if (left.#isBusy || !left.#isRead) void left.#changed.wait().then(look)
        else pause = clock.setTimeout(look, QUIET)
      }
      const timer = clock.setTimeout(() => {
        for (const each of others) if (each.hasLeft(key) && !each.#isOver) each.#source?.supersede(superseded())
        done()
      }, timeouts.step)
      this.#stopWaiting = done
      look()
    })
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.#isOver) await this.#changed.wait()
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
