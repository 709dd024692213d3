import type { LocalServer } from '../auth/local-server.ts'
import type { FederationError } from '../errors.ts'
import type { Clock } from '../model/plugs.ts'
import type { Taken } from '../xml/outbox.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { HandledStanzas } from './handled.ts'

/** What acknowledgements need of the link that they are about. */
export interface AcknowledgementsOptions {
  readonly clock: Clock
  /** Milliseconds until a request must have been answered. */
  readonly timeout: number
  /** Milliseconds for which the peer may answer without acknowledging anything more. */
  readonly progress: number
  readonly unackedStanzas: number
  readonly unackedBytes: number
  /** The largest stanza that the peer takes, in bytes (XEP-0478); undefined: it has not said. */
  readonly maxBytes: number | undefined
  /** For how many milliseconds the stream, once lost, is to be resumable; undefined: it is not. */
  readonly resumption: number | undefined
  readonly write: (xml: string | Buffer, taken?: Taken) => void
  /** What comes the other way and is counted along; absent: the stream goes one way, and nothing does. */
  readonly received?: { readonly stream: XmlStream; readonly handled: HandledStanzas }
  /** The peer has answered `<resume/>`. */
  readonly onResumption?: (outcome: 'resumed' | 'refused') => void
  /** The peer does not answer: the stream has to end with this. */
  readonly fail: (error: FederationError) => void
}

/** What is the same for every link of an engine. */
export function commonOptions({
  clock,
  timeouts,
  limits
}: LocalServer): Pick<AcknowledgementsOptions, 'clock' | 'timeout' | 'progress' | 'unackedStanzas' | 'unackedBytes'> {
  const { unackedStanzas, unackedBytes } = limits
  return { clock, timeout: timeouts.acknowledgement, progress: timeouts.progress, unackedStanzas, unackedBytes }
}
