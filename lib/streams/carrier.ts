import type { FederationError } from '../errors.ts'
import type { Link } from '../model/link.ts'
import type { Consignment, Ended } from './consignment.ts'
import type { KeptStream } from './kept-stream.ts'
import type { LostStream } from './lost-stream.ts'

/** What takes the stanzas of a pair: one direction of one link. */
export interface Carrier {
  readonly link: Link
  /** Whether stanzas can still be handed over. */
  readonly usable: boolean
  /** Whether it takes no more for the moment; {@link drained} says when it does again. */
  readonly full: boolean
  /** The largest stanza that the peer takes, in bytes (XEP-0478); undefined: it has not said. */
  readonly maxBytes: number | undefined
  /** Resolves with the error that ended the link, or undefined for a polite end, when the connection is gone. */
  readonly closed: Promise<FederationError | undefined>
  /** Once it is closed: its stream, if that was lost and can be resumed. What it holds counts as not ended yet. */
  readonly lost?: LostStream | undefined
  /** Once it is closed: what of its stream, if that was lost, only the peer can resume. What it holds counts as not ended yet. */
  readonly kept?: KeptStream | undefined
  /** Resolves when more may be handed over, or nothing ever will be. */
  drained(): Promise<void>
  /** Takes one stanza, in order. `ended` is called once, whatever becomes of it. */
  send(consignment: Consignment, ended: Ended): void
}
