import type { Clock, Timer } from '../model/plugs.ts'
import { wireCount } from '../rules/stream-management.ts'
import { NS_SM } from '../xml/namespaces.ts'
import type { XmlStream } from '../xml/stream.ts'

/** While a handler holds up the reading of a stream, requests on it are not seen: they are answered so often, in milliseconds. */
const ANSWER_UNREAD = 500

/** Stream management for the stanzas that come on one stream (XEP-0198): how many of them were handled since it was enabled. */
export class HandledStanzas {
  readonly #clock: Clock
  #handled: number | undefined
  /** How many have come, handled or not. */
  #received = 0
  /** How many had come when the peer asked, of requests that could not be answered in full: each once, in order. */
  readonly #owed: number[] = []
  #stream: XmlStream | undefined
  #isBusy = false
  #isInHand = false
  #work: Promise<void> = Promise.resolve()
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isEnabled(): boolean {
    return this.#handled !== undefined
  }

  /** How many were handled. */
  get handled(): number {
    return this.#handled ?? 0
  }

  /** How many were handled or are in hand: those that the handler has been given. */
  get begun(): number {
    return this.handled + (this.#isInHand ? 1 : 0)
  }

  /** Counts from now on, and says the count before the stream closes; on from the count of a stream that is resumed. */
  enable(stream: XmlStream, from = 0): void {
    this.#handled = from
    this.#received = from
    this.#stream = stream
    stream.beforeClosing(() => this.#ackXml())
  }

  /** One more has come. */
  arrived(): void {
    if (this.#handled !== undefined) this.#received += 1
  }

  /** The next stanza has to wait before its handler begins: requests that are not read meanwhile are answered. */
  hold(): void {
    if (this.#handled === undefined) return
    this.#isBusy = true
    this.#watch()
  }

  /** Counts a stanza when its handler has finished. */
  count(work: Promise<void> | undefined): Promise<void> | undefined {
    if (this.#handled === undefined) return work
    if (work === undefined) {
      this.#isBusy = false
      this.#done()
      return undefined
    }
    this.#isBusy = true
    this.#isInHand = true
    this.#watch()
    return (this.#work = work.then(() => {
      this.#isBusy = false
      this.#isInHand = false
      this.#done()
    }))
  }

  /** Resolves when what was taken in hand is handled; if no more comes in, the count stands then. */
  settled(): Promise<void> {
    return this.#work
  }

  /**
   * Answers `<r/>`: with what is handled so far, at once; and once more, unasked, when all is that had come by then. The peer would
   * learn of that only when it asks again.
   */
  acknowledge(): void {
    this.#say()
    if (this.#received > this.handled && this.#owed.at(-1) !== this.#received) this.#owed.push(this.#received)
  }

  /** The stream is over. */
  end(): void {
    this.#timer?.cancel()
    this.#stream = undefined
  }

  #done(): void {
    const handled = this.handled + 1
    this.#handled = handled
    if (this.#owed[0] !== handled) return
    this.#owed.shift()
    this.#say()
  }

  #say(): void {
    this.#stream?.write(this.#ackXml())
  }

  #ackXml(): string {
    return `<a xmlns='${NS_SM}' h='${wireCount(this.#handled ?? 0)}'/>`
  }

  /** One timer as long as handlers are slow, not one for each stanza. */
  #watch(): void {
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined
      if (!this.#isBusy) return
      if ((this.#stream?.unread ?? 0) > 0) this.#say()
      this.#watch()
    }, ANSWER_UNREAD)
  }
}
