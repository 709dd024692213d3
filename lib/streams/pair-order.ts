/** A stream that pairs come on. */
export interface OrderedStream {
  /** Whether something of the pair is in hand there, waits, or may be unread. */
  hasLeft(key: string): boolean
}

interface Streams<Stream> {
  /** All that the pair is authenticated on, in that order, and that are not over or have something left. */
  readonly all: Set<Stream>
  /** Where it came last. */
  last: Stream | undefined
}

const NOBODY: readonly never[] = []

/** A server that is restarted again and again leaves some behind until it is noticed that those are dead. */
const MOST_STREAMS = 256

/**
 * Which streams each pair's stanzas may come on, and which they came on last; pairs are known by their `pairKey`. A pair that begins to
 * come on another stream has left the others, as a rule because those were lost: what came on them is older, be it read or not.
 *
 * A peer may have any number of streams wait for each other. A stream waits only for the nearest before it, not for those that these
 * wait for with the same pair, so that what is kept and what is looked at grows with the streams and no faster.
 */
export class PairOrder<Stream extends OrderedStream> {
  readonly #pairs = new Map<string, Streams<Stream>>()
  /** What each stream waits for with each pair. */
  readonly #olders = new Map<Stream, Map<string, Set<Stream>>>()
  /** What waits for each stream, with whichever pair. */
  readonly #youngers = new Map<Stream, Set<Stream>>()

  /**
   * The pair is authenticated on this stream.
   *
   * @returns all that it is on, this one last, where those are more than one peer needs; each is looked at when the pair changes over
   */
  join(key: string, stream: Stream): Iterable<Stream> {
    const known = this.#pairs.get(key) ?? { all: new Set(), last: undefined }
    this.#pairs.set(key, known)
    known.all.add(stream)
    return known.all.size > MOST_STREAMS ? known.all : NOBODY
  }

  /**
   * The pair comes on this stream from now on.
   *
   * @returns the streams that it may have come on before, and that have something of it left
   */
  take(key: string, stream: Stream): readonly Stream[] {
    const known = this.#pairs.get(key)
    if (known === undefined || known.last === stream) return NOBODY
    const { all, last } = known
    known.last = stream
    if (all.size === 1) return NOBODY
    const before = new Set(streamsBefore(all, stream))
    if (last !== undefined) {
      before.delete(last)
      before.add(last)
    }
    // What waits for this stream already is younger than all that comes on it, unless the peer sends on both and wants no order.
    const younger = reach(this.#youngersOf(stream), each => this.#youngersOf(each))
    const left = [...before].filter(each => !younger.has(each) && each.hasLeft(key))
    for (const each of this.#nearest(key, left)) this.#wait(key, stream, each)
    return left
  }

  /** What the pair waits for on this stream; undefined: nothing. It grows when one of those is over that waits itself. */
  olders(key: string, stream: Stream): ReadonlySet<Stream> | undefined {
    return this.#olders.get(stream)?.get(key)
  }

  /** The pair waits on this stream no longer. */
  goOn(key: string, stream: Stream): void {
    const mine = this.#olders.get(stream)
    const olders = mine?.get(key)
    if (mine === undefined || olders === undefined) return
    mine.delete(key)
    if (mine.size === 0) this.#olders.delete(stream)
    const others = [...mine.values()]
    for (const each of olders) if (!others.some(set => set.has(each))) this.#release(each, stream)
  }

  /** Nothing waits on this stream any more: what has waited for it waits for what it has waited for. */
  end(stream: Stream): void {
    const mine = this.#olders.get(stream)
    if (mine === undefined) return
    for (const younger of this.#youngersOf(stream)) {
      for (const [key, olders] of this.#olders.get(younger) ?? NOBODY) {
        if (olders.has(stream)) for (const each of mine.get(key) ?? NOBODY) this.#wait(key, younger, each)
      }
    }
    for (const key of [...mine.keys()]) this.goOn(key, stream)
  }

  /** The stream is over, and nothing of the pair is left on it. */
  leave(key: string, stream: Stream): void {
    const known = this.#pairs.get(key)
    if (known === undefined) return
    known.all.delete(stream)
    if (known.last === stream) known.last = undefined
    if (known.all.size === 0) this.#pairs.delete(key)
  }

  /** Those of several, the youngest last, that no other of them waits for with this pair. */
  #nearest(key: string, streams: readonly Stream[]): readonly Stream[] {
    const covered = new Set<Stream>()
    const nearest: Stream[] = []
    for (const one of streams.toReversed()) {
      if (covered.has(one)) continue
      nearest.push(one)
      const further = reach([one], each => [...(this.olders(key, each) ?? NOBODY)].filter(older => !covered.has(older)))
      for (const each of further) covered.add(each)
    }
    return nearest
  }

  #youngersOf(stream: Stream): Iterable<Stream> {
    return this.#youngers.get(stream) ?? NOBODY
  }

  #wait(key: string, stream: Stream, older: Stream): void {
    const mine = this.#olders.get(stream) ?? new Map<string, Set<Stream>>()
    this.#olders.set(stream, mine)
    mine.set(key, (mine.get(key) ?? new Set()).add(older))
    this.#youngers.set(older, (this.#youngers.get(older) ?? new Set()).add(stream))
  }

  #release(older: Stream, stream: Stream): void {
    const youngers = this.#youngers.get(older)
    youngers?.delete(stream)
    if (youngers?.size === 0) this.#youngers.delete(older)
  }
}

/** The streams that a pair was authenticated on before this one. */
function* streamsBefore<Stream>(all: Iterable<Stream>, stream: Stream): Iterable<Stream> {
  for (const each of all) {
    if (each === stream) return
    yield each
  }
}

/** Everything that can be reached, each looked at once. */
function reach<Stream>(from: Iterable<Stream>, next: (stream: Stream) => Iterable<Stream>): ReadonlySet<Stream> {
  const all = new Set(from)
  for (const one of all) for (const each of next(one)) all.add(each)
  return all
}
