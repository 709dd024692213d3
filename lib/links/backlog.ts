import type { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Limits } from '../model/settings.ts'
import type { Traffic } from '../observe/traffic.ts'
import { queuesFull } from './refusals.ts'

/** What waits in the queues of all pairs together. */
export class Backlog {
  #stanzas = 0
  #bytes = 0
  readonly #limits: Limits
  readonly #traffic: Traffic

  constructor(limits: Limits, traffic: Traffic) {
    this.#limits = limits
    this.#traffic = traffic
  }

  /** Why no more of this size may wait for the pair, however little waits for it; undefined: it may. */
  refusal(pair: DomainPair, size: number): FederationError | undefined {
    const { totalQueuedStanzas, totalQueuedBytes } = this.#limits
    const isFull = this.#stanzas >= totalQueuedStanzas || this.#bytes + size > totalQueuedBytes
    return isFull ? queuesFull(pair, this.#stanzas, this.#bytes) : undefined
  }

  add(size: number): void {
    this.#stanzas += 1
    this.#traffic.pending('queued', 1)
    this.#bytes += size
  }

  remove(size: number): void {
    this.#stanzas -= 1
    this.#traffic.pending('queued', -1)
    this.#bytes -= size
  }
}
