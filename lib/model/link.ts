import type { CertificateVerdict } from './certificate.ts'
import type { Direction, SecurityLevel } from './level.ts'
import type { PairStatus, Report } from './report.ts'
import type { TlsFacts } from './stream.ts'

/** A link at the moment of asking, as plain JSON. Its report, with the whole trace, is not in it. */
export type LinkPicture = Pick<Link, 'id' | 'direction' | 'level' | 'since' | 'pairs' | 'tls' | 'certificate'>

/** An authenticated stream: the only thing stanzas travel on. */
export interface Link {
  readonly id: string
  readonly direction: Direction
  readonly pairs: readonly PairStatus[]
  /** The lowest of its pairs. */
  readonly level: SecurityLevel
  readonly tls?: TlsFacts
  readonly certificate?: CertificateVerdict
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly report: Report
  /** Ends the stream politely; resolves when the connection is gone. */
  close(reason?: string): Promise<void>
  /** What `JSON.stringify` makes of it, and what `console.log` shows. */
  toJSON(): LinkPicture
}
