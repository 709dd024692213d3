import type { DomainPair } from '../model/domain.ts'
import { zoneOf } from '../rules/zone.ts'

const MOST = 256
const MOST_OF_ZONE = 16
/** Bytes. It has the addresses and the id of the question. */
const LARGEST = 16_384

/**
 * Room for what the engine answers of its own and cannot send at once: a peer that pings and cannot be reached takes none that the
 * application's stanzas need.
 */
export class AnswerRoom {
  readonly #byZone = new Map<string, number>()
  #taken = 0

  /**
   * Room for one answer.
   *
   * @returns what gives it back, to be called once; undefined: there is none
   */
  take({ target }: DomainPair, size: number): (() => void) | undefined {
    const zone = zoneOf(target)
    const ofZone = this.#byZone.get(zone) ?? 0
    if (size > LARGEST || this.#taken >= MOST || ofZone >= MOST_OF_ZONE) return undefined
    this.#taken += 1
    this.#byZone.set(zone, ofZone + 1)
    return () => this.#giveBack(zone)
  }

  #giveBack(zone: string): void {
    this.#taken -= 1
    const left = (this.#byZone.get(zone) ?? 0) - 1
    if (left > 0) this.#byZone.set(zone, left)
    else this.#byZone.delete(zone)
  }
}
