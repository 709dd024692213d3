import { FederationError } from '../errors.ts'
import type { Taken } from '../xml/outbox.ts'
import type { Consignment, Ended, Fate } from './consignment.ts'

/** A stanza that the peer has not acknowledged, and how far its bytes have got on the stream that has it now. */
export class Unacknowledged {
  readonly consignment: Consignment
  readonly #ended: Ended
  #written: Exclude<Fate, 'acknowledged'> | undefined
  #verdict: 'written' | FederationError | undefined
  #isSettled = false
  #round = 0

  constructor(consignment: Consignment, ended: Ended) {
    this.consignment = consignment
    this.#ended = ended
  }

  /** Writes it, on its first stream or on the one that the first was resumed on. */
  writeTo(write: (consignment: Consignment, taken: Taken) => void): void {
    this.#written = undefined
    const round = (this.#round += 1)
    write(this.consignment, error => {
      if (round !== this.#round) return
      this.#written = error === undefined ? 'written' : unlucky(error)
      if (this.#verdict !== undefined) this.conclude(this.#verdict)
    })
  }

  acknowledge(): void {
    this.#settle('acknowledged')
  }

  /** No acknowledgement will come for it: this is its fate if its bytes left, which is told when that is known. */
  conclude(verdict: 'written' | FederationError): void {
    this.#verdict = verdict
    if (this.#written !== undefined) this.#settle(this.#written === 'written' ? verdict : this.#written)
  }

  #settle(fate: Fate): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#ended(this.consignment, fate)
  }
}

/** What is not acknowledged yet, in the order in which it was sent. */
export class Ledger {
  #entries: (Unacknowledged | undefined)[] = []
  #first = 0
  #bytes = 0

  get size(): number {
    return this.#entries.length - this.#first
  }

  get bytes(): number {
    return this.#bytes
  }

  add(one: Unacknowledged): void {
    this.#entries.push(one)
    this.#bytes += one.consignment.size
  }

  /** Takes out the oldest. What is taken one by one from the front of a long array would move all the rest each time. */
  take(): Unacknowledged | undefined {
    const one = this.#entries[this.#first]
    if (one === undefined) return undefined
    this.#entries[this.#first] = undefined
    this.#first += 1
    this.#bytes -= one.consignment.size
    if (this.#first * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
    return one
  }

  /** Takes out everything. */
  takeAll(): readonly Unacknowledged[] {
    const all = this.#entries.filter(one => one !== undefined)
    this.#entries = []
    this.#first = 0
    this.#bytes = 0
    return all
  }

  /** Everything, left where it is. */
  get all(): readonly Unacknowledged[] {
    return this.#entries.filter(one => one !== undefined)
  }
}

/** Our own error says that the bytes never reached the socket; the socket's says that nobody knows. */
export function unlucky(error: Error): 'unsent' | FederationError {
  return FederationError.is(error) ? 'unsent' : new FederationError('S2S_IN_DOUBT', { cause: error })
}
