import { FederationError } from '../errors.ts'
import type { Timer } from '../model/plugs.ts'
import { NS_SM } from '../xml/namespaces.ts'
import type { AcknowledgementsOptions } from './acknowledgements-options.ts'

/** A peer that answered and lacks something still is asked again after so many milliseconds, if nothing new is sent meanwhile. */
const ASK_AGAIN = 5_000

type Options = Pick<AcknowledgementsOptions, 'clock' | 'timeout' | 'progress' | 'unackedStanzas' | 'write' | 'fail'>

/** When the peer is asked what it has handled (XEP-0198 §4), and how long it may take to answer, and to get on. */
export class AckRequests {
  readonly #options: Options
  /** How many were sent; undefined: nothing may be asked now. */
  readonly #sent: () => number | undefined
  /** How many were sent when the peer was last asked. */
  #asked = 0
  /** When something was acknowledged last, or nothing was owed. */
  #movedAt = 0
  #isAwaiting = false
  #isAskingSoon = false
  #timer: Timer | undefined

  constructor(options: Options, sent: () => number | undefined) {
    this.#options = options
    this.#sent = sent
  }

  /** So many need not be asked about any more: the count goes on from there. */
  startFrom(count: number): void {
    this.#asked = count
    this.moved()
  }

  /** Something was acknowledged, or nothing is owed. */
  moved(): void {
    this.#movedAt = this.#options.clock.now()
  }

  /** One request for all that is sent in one go, behind the last of it; and some on the way, lest the window closes. */
  askInTime(): void {
    if (this.#unasked >= this.#options.unackedStanzas / 4) this.ask()
    else if (!this.#isAskingSoon && !this.#isAwaiting) {
      this.#isAskingSoon = true
      queueMicrotask(this.#askNow)
    }
  }

  /** Asks for all that is owed, unless an answer to that is awaited. */
  askForAll(): void {
    if (this.#unasked > 0 || !this.#isAwaiting) this.ask()
  }

  ask(): void {
    const sent = this.#sent()
    if (sent === undefined) return
    this.#asked = sent
    this.#options.write(`<r xmlns='${NS_SM}'/>`)
    if (!this.#isAwaiting) this.await()
  }

  /** Some answer has to come in time. */
  await(): void {
    const { clock, timeout } = this.#options
    this.#timer?.cancel()
    this.#isAwaiting = true
    this.#timer = clock.setTimeout(() => this.#giveUp(timeout, 'an acknowledgement took more than'), timeout)
  }

  /** An answer has come: is something owed still, and has the peer got on? */
  answered({ isOwed, hasMoved }: { readonly isOwed: boolean; readonly hasMoved: boolean }): void {
    this.rest()
    if (!isOwed) return
    if (!hasMoved && this.#isStuck) this.#giveUp(this.#options.progress, 'nothing more was acknowledged for')
    else if (this.#unasked > 0) this.ask()
    else this.#timer = this.#options.clock.setTimeout(() => this.ask(), ASK_AGAIN)
  }

  /** Nothing is awaited. */
  rest(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#isAwaiting = false
  }

  readonly #askNow = (): void => {
    this.#isAskingSoon = false
    if (!this.#isAwaiting && this.#unasked > 0) this.ask()
  }

  get #unasked(): number {
    return (this.#sent() ?? 0) - this.#asked
  }

  /** The peer answers, and its handler has hung. */
  get #isStuck(): boolean {
    return this.#options.clock.now() - this.#movedAt >= this.#options.progress
  }

  #giveUp(time: number, why: string): void {
    this.#options.fail(new FederationError('S2S_TIMEOUT', { detail: `${why} ${time} ms` }))
  }
}
