import type { Direction } from '../model/level.ts'
import type { Metrics } from '../model/plugs.ts'
import type { Delivery } from '../model/stanza.ts'
import { Heard, METRICS } from './metrics.ts'
import { hearRejection } from './rejection.ts'

const SENT = {
  outgoing: { written: { direction: 'outgoing', fate: 'written' }, acknowledged: { direction: 'outgoing', fate: 'acknowledged' } },
  incoming: { written: { direction: 'incoming', fate: 'written' }, acknowledged: { direction: 'incoming', fate: 'acknowledged' } }
} as const
const RECEIVED = { outgoing: { direction: 'outgoing' }, incoming: { direction: 'incoming' } } as const
const STATES = ['queued', 'unacknowledged'] as const

/** Stanzas as they pass. Each costs one call of `count` where metrics are kept, and nothing where not; what pends is told once a turn. */
export class Traffic {
  readonly #metrics: Metrics | undefined
  readonly #failed: (cause: unknown) => void
  readonly #pending = { queued: 0, unacknowledged: 0 }
  #isToTell = false

  /** @param failed told of what the metrics throw or reject with */
  constructor(metrics: Metrics | undefined, failed: (cause: unknown) => void) {
    this.#metrics = metrics === undefined ? undefined : new Heard(metrics, result => hearRejection(result, failed))
    this.#failed = failed
  }

  /** A stanza has left on a link that was opened so. */
  sent(direction: Direction, fate: Delivery): void {
    this.#count(METRICS.sent, SENT[direction][fate])
  }

  /** A stanza that came on a link that was opened so is handed over. */
  received(direction: Direction): void {
    this.#count(METRICS.received, RECEIVED[direction])
  }

  /** Somebody has asked to go on with a stream that was lost, and has been answered. */
  resumption(direction: Direction, outcome: 'resumed' | 'refused'): void {
    this.#count(METRICS.resumptions, { direction, outcome })
  }

  /** One more of them, or one less. */
  pending(state: (typeof STATES)[number], change: 1 | -1): void {
    this.#pending[state] += change
    if (this.#isToTell || this.#metrics === undefined) return
    this.#isToTell = true
    setImmediate(this.#tell)
  }

  readonly #tell = (): void => {
    this.#isToTell = false
    try {
      for (const state of STATES) this.#metrics?.gauge(METRICS.pending, this.#pending[state], { state })
    } catch (cause) {
      this.#failed(cause)
    }
  }

  #count(name: string, labels: Readonly<Record<string, string>>): void {
    try {
      this.#metrics?.count(name, labels)
    } catch (cause) {
      this.#failed(cause)
    }
  }
}
