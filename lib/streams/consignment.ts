import type { FederationError } from '../errors.ts'
import type { Domain } from '../model/domain.ts'
import type { Delivery } from '../model/stanza.ts'
import { delayed } from '../xml/delay.ts'

/** A stanza that leaves so many milliseconds after it was handed over says when that was (XEP-0203). */
const LATE = 10_000

/** A stanza on its way out: its bytes, and the two ways it can end. Each is called at most once. */
export interface Consignment {
  readonly xml: string | Buffer
  /** Whose stanza it is. */
  readonly sender: Domain
  readonly size: number
  /** Grows with every stanza that the engine is given: the order to keep. */
  readonly number: number
  /** When it was handed over, on the engine's clock. */
  readonly since: number
  readonly sent: (delivery: Delivery) => void
  readonly failed: (error: FederationError) => void
}

/** What became of a consignment on a link. `unsent`: no byte of it left. An error: nobody knows whether it arrived (`S2S_IN_DOUBT`). */
export type Fate = Delivery | 'unsent' | FederationError

/** Told once for each consignment that a link was given. */
export type Ended = (consignment: Consignment, fate: Fate) => void

/** What is written of a stanza now: one that is late says so, if the peer takes one that much larger. */
export function written({ xml, sender, since }: Consignment, now: number, maxBytes: number | undefined): string | Buffer {
  if (now - since <= LATE) return xml
  const late = delayed(xml, sender, since)
  return Buffer.byteLength(late) > (maxBytes ?? Infinity) ? xml : late
}
