import type { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { DomainPair } from '../model/domain.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { TlsFacts } from '../model/stream.ts'
import { closedBecause } from '../streams/liveness.ts'
import { ShownLink } from '../streams/shown-link.ts'
import type { LiveLink, PairOnStream } from '../streams/standing.ts'

/** What a link shows of the stream it stands for. */
export interface LinkSource {
  readonly id: string
  readonly since: number
  readonly tls: TlsFacts | undefined
  readonly certificate: CertificateVerdict | undefined
  readonly pairs: () => readonly PairStatus[]
  readonly report: () => Report
  readonly close: (because: FederationError | undefined) => Promise<void>
  readonly standing: () => readonly PairOnStream[]
  readonly reset: (error: FederationError) => void
  readonly retire: (error: FederationError, fallen: readonly DomainPair[]) => void
}

/** An incoming stream on which at least one pair is authenticated; it grows with each further pair. */
export class IncomingLink extends ShownLink implements LiveLink {
  readonly id: string
  readonly direction = 'incoming'
  readonly since: number
  readonly tls?: TlsFacts
  readonly certificate?: CertificateVerdict
  readonly #source: LinkSource

  constructor(source: LinkSource) {
    super()
    this.id = source.id
    this.since = source.since
    if (source.tls !== undefined) this.tls = source.tls
    if (source.certificate !== undefined) this.certificate = source.certificate
    this.#source = source
  }

  get pairs(): readonly PairStatus[] {
    return this.#source.pairs()
  }

  get report(): Report {
    return this.#source.report()
  }

  close(reason?: string): Promise<void> {
    return this.closeWith(closedBecause(reason))
  }

  /** Ends it politely, and says why. */
  closeWith(because: FederationError | undefined): Promise<void> {
    return this.#source.close(because)
  }

  standing(): readonly PairOnStream[] {
    return this.#source.standing()
  }

  reset(error: FederationError): void {
    this.#source.reset(error)
  }

  retire(error: FederationError, fallen: readonly DomainPair[]): void {
    this.#source.retire(error, fallen)
  }
}
