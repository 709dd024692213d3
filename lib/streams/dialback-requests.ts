import type { FederationError } from '../errors.ts'
import { pairKey, parseDomain } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { ElementFrame } from '../xml/framer.ts'

interface Pending {
  readonly answer: (frame: ElementFrame) => void
  readonly fail: (error: FederationError) => void
}

/**
 * The keys that were sent on one live stream and are not answered yet (XEP-0220 §2.1.1): the one thing that tells an answer from an
 * attack (XEP-0220 §3.1). A pair is asked about once on a stream, so that a late answer is never taken for another.
 */
export class DialbackRequests {
  readonly #pending = new Map<string, Pending>()
  readonly #asked = new Set<string>()
  #over: FederationError | undefined

  /** How many wait for their answer. */
  get size(): number {
    return this.#pending.size
  }

  /** Whether this pair was asked about before, whatever came of it. */
  has(pair: DomainPair): boolean {
    return this.#asked.has(pairKey(pair))
  }

  /**
   * Waits for the answer to the key of a pair, which is sent by the caller in the same turn.
   *
   * @throws the error that the stream ends with, or has ended with
   */
  answerTo(pair: DomainPair): Promise<ElementFrame> {
    if (this.#over !== undefined) return Promise.reject(this.#over)
    const key = pairKey(pair)
    this.#asked.add(key)
    return new Promise((answer, fail) => this.#pending.set(key, { answer, fail }))
  }

  /**
   * Nobody waits any more: an answer that comes now is one that nobody asked for.
   *
   * @returns whether somebody has waited
   */
  forget(pair: DomainPair): boolean {
    return this.#pending.delete(pairKey(pair))
  }

  /**
   * A typed `<db:result/>` from the peer.
   *
   * @returns the pair that it answers about; undefined if nothing of the kind is pending here: it is to be dropped
   */
  receive(frame: ElementFrame): DomainPair | undefined {
    const sender = parseDomain(frame.to ?? '')
    const target = parseDomain(frame.from ?? '')
    if (frame.name !== 'result' || sender === undefined || target === undefined) return undefined
    const pair = { sender, target }
    const key = pairKey(pair)
    const pending = this.#pending.get(key)
    this.#pending.delete(key)
    pending?.answer(frame)
    return pending === undefined ? undefined : pair
  }

  /** The stream is over: nothing that is pending will be answered. */
  end(error: FederationError): void {
    this.#over ??= error
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const each of pending) each.fail(error)
  }
}
