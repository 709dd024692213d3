const NOTHING = Buffer.alloc(0)
/** What is copied of a chunk to finish what the last one began: most elements end within it. */
const FIRST_COPY = 1024

/**
 * Gives the framer its bytes in one piece. A chunk is read where it lies; only what lies across a boundary is copied, each byte
 * a bounded number of times, however small the chunks and however large the element.
 */
export class Supply {
  readonly #queue: Buffer[] = []
  #next = 0
  #queued = 0
  /** The chunk of which the first #copied bytes stand at the end of the block. */
  #source: Buffer | undefined
  #copied = 0
  #block: Buffer = NOTHING
  #filled = 0
  #moved = 0

  /** By how much everything moved towards the front when the bytes last changed. */
  get moved(): number {
    return this.#moved
  }

  get block(): Buffer {
    return this.#block
  }

  /** How many bytes of the block are filled. */
  get filled(): number {
    return this.#filled
  }

  /** How many bytes there are behind those. */
  get waiting(): number {
    return this.#queued + (this.#source === undefined ? 0 : this.#source.length - this.#copied)
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk)
    this.#queued += chunk.length
  }

  /**
   * Brings more bytes behind those in the block, of which the ones before `keep` are done with.
   *
   * @returns whether there were more
   */
  more(keep: number): boolean {
    if (this.#source !== undefined && this.#copied < this.#source.length) {
      this.#append(this.#source, keep)
      return true
    }
    const chunk = this.#queue[this.#next]
    if (chunk === undefined) return false
    this.#next++
    if (this.#next === this.#queue.length) {
      this.#queue.length = 0
      this.#next = 0
    }
    this.#queued -= chunk.length
    if (keep < this.#filled) {
      this.#source = chunk
      this.#copied = 0
      this.#append(chunk, keep)
      return true
    }
    this.#source = undefined
    this.#block = chunk
    this.#filled = chunk.length
    this.#moved = keep
    return true
  }

  #append(source: Buffer, keep: number): void {
    const kept = this.#filled - keep
    const size = Math.min(source.length - this.#copied, Math.max(kept, FIRST_COPY))
    // A chunk that is read where it lies is full: only a copy has room.
    const fits = this.#filled + size <= this.#block.length
    if (!fits) {
      // Twice the room: who sends single bytes must not make us move them again and again.
      const block = Buffer.allocUnsafe(Math.max(FIRST_COPY, 2 * (kept + size)))
      this.#block.copy(block, 0, keep, this.#filled)
      this.#block = block
      this.#filled = kept
    }
    source.copy(this.#block, this.#filled, this.#copied, this.#copied + size)
    this.#filled += size
    this.#copied += size
    this.#moved = fits ? 0 : keep
  }

  /**
   * Everything before `at` is done with: goes on in the chunk itself, if only a copy of its beginning was being read, and
   * holds on to nothing when nothing is left.
   *
   * @returns whether that changed anything
   */
  release(at: number): boolean {
    const source = this.#source
    if (source === undefined && at < this.#filled) return false
    const from = source === undefined ? 0 : this.#copied - (this.#filled - at)
    const left = source === undefined || from === source.length ? undefined : source
    this.#block = left ?? NOTHING
    this.#filled = this.#block.length
    this.#moved = left === undefined ? at : at - from
    this.#source = undefined
    return true
  }
}
