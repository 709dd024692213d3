interface Streams<Stream> {
  /** All that the pair is authenticated on, in that order, and that are not over or have something left. */
  readonly all: Set<Stream>
  /** Where it came last. */
  last: Stream | undefined
}

/**
 * Which streams each pair's stanzas may come on, and which they came on last. A pair that begins to come on another stream has left
 * the others, as a rule because those were lost: what came on them is older, be it read or not.
 */
export class PairOrder<Stream extends object> {
  /** By `pairKey`. */
  readonly #pairs = new Map<string, Streams<Stream>>()

  /** The pair is authenticated on this stream. */
  join(key: string, stream: Stream): void {
    const known = this.#pairs.get(key)
    if (known === undefined) this.#pairs.set(key, { all: new Set([stream]), last: undefined })
    else known.all.add(stream)
  }

  /** Where the pair came last. */
  lastOf(key: string): Stream | undefined {
    return this.#pairs.get(key)?.last
  }

  /** The streams that it was authenticated on before this one. */
  before(key: string, stream: Stream): readonly Stream[] {
    const all = [...(this.#pairs.get(key)?.all ?? [])]
    return all.slice(0, Math.max(0, all.indexOf(stream)))
  }

  /** The pair comes on this stream from now on. */
  take(key: string, stream: Stream): void {
    const known = this.#pairs.get(key)
    if (known !== undefined) known.last = stream
  }

  /** The stream is over, and nothing of it is left. */
  leave(key: string, stream: Stream): void {
    const known = this.#pairs.get(key)
    if (known === undefined) return
    known.all.delete(stream)
    if (known.last === stream) known.last = undefined
    if (known.all.size === 0) this.#pairs.delete(key)
  }
}
