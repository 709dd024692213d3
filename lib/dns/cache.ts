import type { DnsAnswer } from '../model/plugs.ts'

const MOST_ENTRIES = 4096

interface Entry<T> {
  readonly answer: DnsAnswer<T>
  readonly until: number
}

/** Answers until their time to live is over, the negative ones included; the oldest go when there are too many. */
export class AnswerCache<T> {
  readonly #entries = new Map<string, Entry<T>>()

  /** The answer with the seconds it has left. `now` is in milliseconds. */
  get(key: string, now: number): DnsAnswer<T> | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.until > now) return { ...entry.answer, ttl: Math.ceil((entry.until - now) / 1000) }
    this.#entries.delete(key)
    return undefined
  }

  put(key: string, answer: DnsAnswer<T>, now: number): void {
    this.#entries.delete(key)
    if (answer.ttl <= 0) return
    this.#entries.set(key, { answer, until: now + answer.ttl * 1000 })
    if (this.#entries.size <= MOST_ENTRIES) return
    const oldest = this.#entries.keys().next()
    if (oldest.done !== true) this.#entries.delete(oldest.value)
  }
}
