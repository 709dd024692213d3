import type { DnsAnswer } from '../model/plugs.ts'

const MOST_ENTRIES = 4096
const MOST_RECORDS = 16_384

interface Entry<T> {
  readonly answer: DnsAnswer<T>
  readonly until: number
}

/** Answers until their time to live is over, the negative ones included; the oldest go when there are too many, or too many records in them. */
export class AnswerCache<T> {
  readonly #entries = new Map<string, Entry<T>>()
  #records = 0

  /** The answer with the seconds it has left. `now` is in milliseconds. */
  get(key: string, now: number): DnsAnswer<T> | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.until > now) return { ...entry.answer, ttl: Math.ceil((entry.until - now) / 1000) }
    this.#drop(key)
    return undefined
  }

  put(key: string, answer: DnsAnswer<T>, now: number): void {
    this.#drop(key)
    if (answer.ttl <= 0) return
    this.#entries.set(key, { answer, until: now + answer.ttl * 1000 })
    this.#records += recordsIn(answer)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MOST_ENTRIES && this.#records <= MOST_RECORDS) return
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#records -= recordsIn(entry.answer)
  }
}

function recordsIn<T>(answer: DnsAnswer<T>): number {
  return answer.status === 'found' ? answer.records.length : 0
}
