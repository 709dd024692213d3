import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Carrier } from './carrier.ts'

/** The carriers that peers have given us: one for each pair that flows back on an incoming stream (XEP-0288). */
export class ReversedCarriers {
  readonly #byPair = new Map<string, Set<Carrier>>()
  readonly #onCome: (pair: DomainPair) => void

  /** @param onCome told of each pair that has just become reachable so */
  constructor(onCome: (pair: DomainPair) => void) {
    this.#onCome = onCome
  }

  /** Offers a carrier for a pair, until it is closed. */
  add(pair: DomainPair, carrier: Carrier): void {
    const key = pairKey(pair)
    const all = this.#byPair.get(key) ?? new Set()
    this.#byPair.set(key, all.add(carrier))
    void carrier.closed.then(() => {
      all.delete(carrier)
      if (all.size === 0 && this.#byPair.get(key) === all) this.#byPair.delete(key)
    })
    this.#onCome(pair)
  }

  /** A carrier that takes stanzas of the pair; undefined: one has to be dialled. */
  find(pair: DomainPair): Carrier | undefined {
    for (const carrier of this.#byPair.get(pairKey(pair)) ?? []) if (carrier.usable) return carrier
    return undefined
  }
}
