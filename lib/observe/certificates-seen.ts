import type { CertificateVerdict, SeenCertificate } from '../model/certificate.ts'
import type { Domain } from '../model/domain.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'

/** Domains times directions: about 20 MB. */
const MOST = 20_000
/** Nodes of one server may each have a certificate of their own. */
const MOST_EACH = 8

/** Which certificates each remote domain was authenticated with, in each direction: what a `certificate-changed` is told by. */
export class CertificatesSeen {
  readonly #most: number
  readonly #seen = new Map<string, readonly SeenCertificate[]>()

  constructor(most = MOST) {
    this.#most = most
  }

  /**
   * Learns of a pair that was authenticated on a link.
   *
   * @returns the certificate that its domain had last, if it has one now that is not known
   */
  meet(
    { direction, certificate, pairs }: Pick<Link, 'direction' | 'certificate' | 'pairs'>,
    pair: PairStatus
  ): SeenCertificate | undefined {
    const remote = remoteOf(pair)
    const now = seen(certificate)
    const [first] = pairs
    // A certificate speaks of the domain that the link was made for; whom else it serves may come on another link next time.
    if (now === undefined || first === undefined || remoteOf(first) !== remote) return undefined
    const key = `${direction} ${remote}`
    const known = this.#seen.get(key) ?? []
    if (known.some(({ fingerprint256 }) => fingerprint256 === now.fingerprint256)) return undefined
    // What is known stays when the room is used up: whoever has many domains must not be able to make us forget the others.
    if (known.length > 0 || this.#seen.size < this.#most) this.#seen.set(key, [...known, now].slice(-MOST_EACH))
    return known.at(-1)
  }
}

function remoteOf({ pair, flow }: PairStatus): Domain {
  return flow === 'send' ? pair.target : pair.sender
}

function seen(verdict: CertificateVerdict | undefined): SeenCertificate | undefined {
  if (verdict?.fingerprint256 === undefined || verdict.spki256 === undefined) return undefined
  const { fingerprint256, spki256, notAfter } = verdict
  return { fingerprint256, spki256, notAfter }
}
