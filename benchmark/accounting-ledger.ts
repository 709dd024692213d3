import type { ErrorCode } from '../lib/errors.ts'
import type { Delivery } from '../lib/model/stanza.ts'

const PENDING = 0
const ACKNOWLEDGED = 1
const WRITTEN = 2
const IN_DOUBT = 3
const REJECTED = 4

const FATES = ['pending', 'acknowledged', 'written', 'in doubt', 'rejected'] as const

/** What was counted of the stanzas of one run. */
export interface Figures {
  readonly sent: number
  readonly acknowledged: number
  readonly written: number
  readonly writtenNotDelivered: number
  readonly inDoubtDelivered: number
  readonly inDoubtNotDelivered: number
  /** Rejected with any other code, by code. */
  readonly rejected: ReadonlyMap<ErrorCode, number>
}

/**
 * Keeps book of every stanza of a run: when it was sent, how `send` ended, and how often it was handed over at the other end. Stanzas
 * are numbered in the order of their sending, over all pairs.
 */
export class Ledger {
  readonly violations: string[] = []
  readonly #pairs: Uint32Array
  readonly #fates: Uint8Array
  readonly #deliveries: Uint8Array
  readonly #rejected = new Map<ErrorCode, number>()
  /** Per pair, the last stanza that was delivered. */
  readonly #latest: Int32Array
  #sent = 0
  #settled = 0
  #delivered = 0

  constructor(stanzas: number, pairs: number) {
    this.#pairs = new Uint32Array(stanzas)
    this.#fates = new Uint8Array(stanzas)
    this.#deliveries = new Uint8Array(stanzas)
    this.#latest = new Int32Array(pairs).fill(-1)
  }

  /** Whether as many were sent as were to be. */
  get isFull(): boolean {
    return this.#sent === this.#pairs.length
  }

  get settled(): number {
    return this.#settled
  }

  get delivered(): number {
    return this.#delivered
  }

  /** One more stanza of a pair: its number. */
  send(pair: number): number {
    this.#pairs[this.#sent] = pair
    this.#sent += 1
    return this.#sent - 1
  }

  resolved(stanza: number, delivery: Delivery): void {
    this.#settle(stanza, delivery === 'acknowledged' ? ACKNOWLEDGED : WRITTEN)
  }

  rejected(stanza: number, code: ErrorCode): void {
    this.#settle(stanza, code === 'S2S_IN_DOUBT' ? IN_DOUBT : REJECTED)
    if (code !== 'S2S_IN_DOUBT') this.#rejected.set(code, (this.#rejected.get(code) ?? 0) + 1)
  }

  #settle(stanza: number, fate: number): void {
    if (this.#fates[stanza] !== PENDING) this.#violated(`stanza ${stanza} ended twice`)
    this.#fates[stanza] = fate
    this.#settled += 1
  }

  /** A stanza was handed over at the other end, on this pair. */
  deliver(stanza: number, pair: number): void {
    if (!Number.isInteger(stanza) || stanza < 0 || stanza >= this.#sent)
      return this.#violated(`stanza ${stanza} was delivered and never sent`)
    if (this.#pairs[stanza] !== pair)
      this.#violated(`stanza ${stanza} of pair ${this.#pairs[stanza] ?? 'none'} was delivered on pair ${pair}`)
    this.#deliveries[stanza] = (this.#deliveries[stanza] ?? 0) + 1
    this.#delivered += 1
    const latest = this.#latest[pair] ?? -1
    if (stanza <= latest) this.#violated(`stanza ${stanza} of pair ${pair} was delivered after ${latest}`)
    this.#latest[pair] = stanza
  }

  /** Compares what `send` said of each stanza with what happened to it. */
  close(): Figures {
    const count = { acknowledged: 0, written: 0, writtenNotDelivered: 0, inDoubtDelivered: 0, inDoubtNotDelivered: 0 }
    for (let stanza = 0; stanza < this.#sent; stanza += 1) {
      const fate = this.#fates[stanza] ?? PENDING
      const deliveries = this.#deliveries[stanza] ?? 0
      this.#judge(stanza, fate, deliveries)
      if (fate === ACKNOWLEDGED) count.acknowledged += 1
      else if (fate === WRITTEN) {
        count.written += 1
        if (deliveries === 0) count.writtenNotDelivered += 1
      } else if (fate === IN_DOUBT && deliveries > 0) count.inDoubtDelivered += 1
      else if (fate === IN_DOUBT) count.inDoubtNotDelivered += 1
    }
    return { sent: this.#sent, ...count, rejected: this.#rejected }
  }

  #judge(stanza: number, fate: number, deliveries: number): void {
    const least = fate === ACKNOWLEDGED ? 1 : 0
    const most = fate === REJECTED ? 0 : 1
    if (fate === PENDING) this.#violated(`stanza ${stanza} never ended`)
    if (deliveries < least || deliveries > most)
      this.#violated(`stanza ${stanza}, ${FATES[fate] ?? fate}, was delivered ${deliveries} times`)
  }

  #violated(what: string): void {
    this.violations.push(what)
  }
}
