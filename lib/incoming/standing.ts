import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import type { FederationError } from '../errors.ts'
import type { PairStatus } from '../model/report.ts'
import { underSettingsOfNow } from '../streams/standing.ts'
import type { PairOnStream } from '../streams/standing.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import type { OpenStream } from './stage.ts'

/** A pair as it is judged again. What we send back is asked about without an address, as before a dial. */
export function onStream(status: PairStatus, { stream, tls }: OpenStream, n: IncomingNegotiation): PairOnStream {
  const address = status.flow === 'send' ? undefined : n.arrival.address
  return { status, encrypted: stream.encrypted, chain: tls?.chain ?? [], ...(address === undefined ? {} : { address }) }
}

/** What was proved since the settings of its header were in force counts only if it stands under those of now. */
export function authenticate(
  evidence: Evidence,
  open: OpenStream,
  n: IncomingNegotiation,
  isOver: () => boolean = () => false
): Promise<FederationError | undefined> {
  return underSettingsOfNow([onStream(statusOf(evidence), open, n)], open.epoch, n.server, n.signal, () => {
    if (!isOver()) n.authenticated.add(evidence, open)
  })
}
