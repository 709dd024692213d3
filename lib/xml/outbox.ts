import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'

/** Called once when the socket took the bytes, or with the error that kept it from doing so: one of ours if it was never given them. */
export type Taken = (error: Error | undefined) => void

/** Gathers what is written in one turn of the event loop, and hands it to the duplex in one write. */
export class Outbox {
  readonly #duplex: Duplex
  #parts: (string | Buffer)[] = []
  #taken: Taken[] = []
  #flushing: NodeJS.Immediate | undefined
  readonly #now: () => number
  /** What the duplex was given and has not answered for. */
  readonly #given = new Set<readonly Taken[]>()
  /** When the duplex last took something, while it has more to take. */
  #since = 0

  constructor(duplex: Duplex, now: () => number) {
    this.#duplex = duplex
    this.#now = now
  }

  /** Since when the duplex has taken nothing of what it was given; undefined while it has taken everything. */
  get stalledSince(): number | undefined {
    return this.#given.size === 0 ? undefined : this.#since
  }

  add(data: string | Buffer, taken?: Taken): void {
    this.#parts.push(data)
    if (taken !== undefined) this.#taken.push(taken)
    this.#flushing ??= setImmediate(() => this.flush())
  }

  /** Writes what is there now. What a dead duplex was never given comes back with an error of ours. */
  flush(): void {
    if (this.#duplex.destroyed || !this.#duplex.writable) return this.clear(new FederationError('S2S_STREAM_CLOSED'))
    const { parts, taken } = this.#empty()
    if (parts.length === 0) return
    if (this.#given.size === 0) this.#since = this.#now()
    this.#given.add(taken)
    this.#duplex.write(joined(parts), error => {
      this.#since = this.#now()
      // Whoever plugs in a connection may end it with an error of ours, which would say that no byte has left.
      const told = FederationError.is(error) ? new Error(error.message, { cause: error }) : (error ?? undefined)
      this.#answer(taken, told)
    })
  }

  /** The duplex is gone: a plugged-in one may have left something without an answer. */
  end(): void {
    for (const taken of this.#given) this.#answer(taken, new Error('the connection is gone'))
  }

  /** Throws away what is there, and tells those who wait why. */
  clear(error: Error): void {
    for (const each of this.#empty().taken) each(error)
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
    this.#taken = []
    return gathered
  }
}

function joined(parts: readonly (string | Buffer)[]): string | Buffer {
  if (parts.every(part => typeof part === 'string')) return parts.join('')
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}
