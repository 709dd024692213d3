import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { Limits } from '../model/settings.ts'
import { News } from './news.ts'

/** Called once when the socket took the bytes, or with the error that kept it from doing so: one of ours if it was never given them. */
export type Taken = (error: Error | undefined) => void

/** Gathers what is written in one turn of the event loop, and hands it to the duplex in one write. */
export class Outbox {
  readonly #duplex: Duplex
  #parts: (string | Buffer)[] = []
  /** Of the parts; characters, where they are text. */
  #length = 0
  #taken: Taken[] = []
  #flushing: NodeJS.Immediate | undefined
  readonly #now: () => number
  readonly #most: Pick<Limits, 'unackedStanzas' | 'unackedBytes'>
  /** What the duplex was given and has not answered for. */
  readonly #given = new Set<readonly Taken[]>()
  /** When the duplex last took something, while it has more to take. */
  #since = 0
  readonly #room = new News()

  constructor(duplex: Duplex, now: () => number, most: Pick<Limits, 'unackedStanzas' | 'unackedBytes'>) {
    this.#duplex = duplex
    this.#now = now
    this.#most = most
    duplex.on('drain', this.#tell)
  }

  /** Whether the duplex still takes anything. */
  get isOpen(): boolean {
    return !this.#duplex.destroyed && this.#duplex.writable
  }

  /** Whether the duplex's own buffer is full, or as much is gathered in this turn as may wait for acknowledgement where there is any. */
  get full(): boolean {
    const { unackedStanzas, unackedBytes } = this.#most
    return this.#duplex.writableNeedDrain || this.#taken.length >= unackedStanzas || this.#length >= unackedBytes
  }

  /** Resolves when it is no longer full, or never will be: one promise for all who wait. */
  async drained(): Promise<void> {
    while (this.full && this.isOpen) await this.#room.wait()
  }

  /** Since when the duplex has taken nothing of what it was given; undefined while it has taken everything. */
  get stalledSince(): number | undefined {
    return this.#given.size === 0 ? undefined : this.#since
  }

  add(data: string | Buffer, taken?: Taken): void {
    this.#parts.push(data)
    this.#length += data.length
    if (taken !== undefined) this.#taken.push(taken)
    this.#flushing ??= setImmediate(() => this.flush())
  }

  /** Writes what is there now. What a dead duplex was never given comes back with an error of ours. */
  flush(): void {
    if (!this.isOpen) return this.clear(new FederationError('S2S_STREAM_CLOSED'))
    const { parts, taken } = this.#empty()
    if (parts.length === 0) return
    if (this.#given.size === 0) this.#since = this.#now()
    this.#given.add(taken)
    const answered = (error?: Error | null): void => {
      this.#since = this.#now()
      // Whoever plugs in a connection may end it with an error of ours, which would say that no byte has left.
      const told = FederationError.is(error) ? new Error(error.message, { cause: error }) : (error ?? undefined)
      this.#answer(taken, told)
    }
    this.#trying(() => this.#duplex.write(joined(parts), answered), answered)
    this.#tell()
  }

  /** Writes what is there, and the end of the connection behind it. */
  finish(): void {
    this.flush()
    this.#trying(() => this.#duplex.end())
  }

  /** The duplex is gone: a plugged-in one may have left something without an answer. */
  end(): void {
    for (const taken of this.#given) this.#answer(taken, new Error('the connection is gone'))
    this.#tell()
  }

  /** Somebody else writes to the duplex from here on, behind our last word. */
  leave(lastWord?: string): void {
    if (lastWord !== undefined) this.add(lastWord)
    this.flush()
    this.#duplex.off('drain', this.#tell)
  }

  /** Throws away what is there, and tells those who wait why. */
  clear(error: Error): void {
    for (const each of this.#empty().taken) each(error)
    this.#tell()
  }

  readonly #tell = (): void => {
    if (!this.full || !this.isOpen) this.#room.tell()
  }

  /** What an application plugged in may throw where a socket would end; what had left by then, nobody knows. */
  #trying(write: () => void, failed?: (error: Error) => void): void {
    try {
      write()
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      this.#duplex.destroy(error)
      failed?.(error)
    }
  }

  #answer(taken: readonly Taken[], error: Error | undefined): void {
    if (!this.#given.delete(taken)) return
    for (const each of taken) each(error)
  }

  #empty(): { readonly parts: readonly (string | Buffer)[]; readonly taken: readonly Taken[] } {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing)
    this.#flushing = undefined
    const gathered = { parts: this.#parts, taken: this.#taken }
    this.#parts = []
    this.#length = 0
    this.#taken = []
    return gathered
  }
}

function joined(parts: readonly (string | Buffer)[]): string | Buffer {
  if (parts.every(part => typeof part === 'string')) return parts.join('')
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}
