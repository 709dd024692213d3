import type { LocalServer } from '../auth/local-server.ts'
import type { IncomingParts } from '../incoming/parts.ts'
import type { Report } from '../model/report.ts'
import type { LostStream } from '../streams/lost-stream.ts'

/** What an outgoing link is made with beside its stream. */
export interface OutgoingLinkParts {
  readonly report: Report
  readonly server: LocalServer
  /** What comes back on a stream that goes both ways is received with. */
  readonly parts: IncomingParts
  /** A stream of the same pair that was lost: it goes on here, if the peer agrees. */
  readonly lost: LostStream | undefined
}
