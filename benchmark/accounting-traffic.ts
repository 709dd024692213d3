import { Element } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import type { Timer } from '../lib/model/plugs.ts'
import type { TurnClock } from './accounting-clock.ts'
import type { Ledger } from './accounting-ledger.ts'
import type { Sending } from './accounting-world.ts'

const WINDOW = 32
/** How long a pair rests at most after something came back, in milliseconds: its queue is soon emptied, a peer that cannot be reached stays so. */
const PAUSE = { soon: 2_000, later: 120_000 }
const TEXT = 'Wherefore art thou? '.repeat(40)

/**
 * What one pair sends: never more outstanding at once than its window, and nothing for a while after something came back, as an
 * application does that respects being pushed back. What came back is not sent again; the next stanza is a new one.
 */
export class Sender {
  readonly #sending: Sending
  readonly #index: number
  readonly #ledger: Ledger
  readonly #clock: TurnClock
  readonly #random: () => number
  readonly #window: number
  #outstanding = 0
  #rest: Timer | undefined

  constructor(sending: Sending, index: number, on: { readonly ledger: Ledger; readonly clock: TurnClock; readonly random: () => number }) {
    this.#sending = sending
    this.#index = index
    this.#ledger = on.ledger
    this.#clock = on.clock
    this.#random = on.random
    this.#window = 1 + Math.floor(on.random() * WINDOW)
  }

  /** Sends as much as may be outstanding. */
  go(): void {
    while (!this.#ledger.isFull && this.#outstanding < this.#window && this.#rest === undefined) this.#sendOne()
  }

  /** Sends nothing more. */
  end(): void {
    this.#rest?.cancel()
  }

  #sendOne(): void {
    const { engine, pair } = this.#sending
    const stanza = this.#ledger.send(this.#index)
    this.#outstanding += 1
    engine.send(messageOf(stanza, pair)).then(
      delivery => {
        this.#ledger.resolved(stanza, delivery)
        this.#outstanding -= 1
        this.go()
      },
      (error: unknown) => {
        const { code } = FederationError.from(error)
        this.#ledger.rejected(stanza, code)
        this.#outstanding -= 1
        this.#pause(code === 'S2S_QUEUE_FULL' || code === 'S2S_IN_DOUBT' ? PAUSE.soon : PAUSE.later)
      }
    )
  }

  #pause(most: number): void {
    this.#rest ??= this.#clock.setTimeout(() => {
      this.#rest = undefined
      this.go()
    }, this.#random() * most)
  }
}

/** The text says which stanza it is. */
export function textOf(stanza: number): string {
  return TEXT.slice(stanza % 100, 120 + ((stanza * 7) % 500))
}

function messageOf(stanza: number, { sender, target }: Sending['pair']): Element {
  return new Element('message', { from: `juliet@${sender}`, to: `romeo@${target}`, type: 'chat', id: `${stanza}` })
    .c('body')
    .t(textOf(stanza))
    .root()
}
