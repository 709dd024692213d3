import type { CertificateUse, Proof } from '../model/level.ts'
import type { TlsWish } from '../model/policy.ts'

/** What a receiving entity puts into its features. */
export interface Offer {
  readonly starttls: 'absent' | 'offered' | 'required'
  readonly mechanisms: readonly ('EXTERNAL' | 'PLAIN')[]
  readonly dialback: boolean
}

/**
 * The features in clear (RFC 6120 §5.3.1, XEP-0220 §2.4). Where TLS is required nothing else is offered; a hosted domain without a
 * certificate has no STARTTLS to offer, and with `required` then serves nobody but `db:verify`.
 *
 * @param facts.proofs - what `askProofs` answered for a stream in clear
 */
export function offerInClear(facts: {
  readonly tls: TlsWish
  readonly haveCertificate: boolean
  readonly proofs: readonly Proof[]
}): Offer {
  const isRequired = facts.tls === 'required'
  const starttls = !acceptsStartTls(facts) ? 'absent' : isRequired ? 'required' : 'offered'
  return { starttls, mechanisms: [], dialback: !isRequired && haveDialback(facts.proofs) }
}

/** Whether `<starttls/>` is answered with `<proceed/>`: also where it was not asked for after an offer (RFC 7590 §3.1). */
export function acceptsStartTls(facts: { readonly tls: TlsWish; readonly haveCertificate: boolean }): boolean {
  return facts.haveCertificate && facts.tls !== 'never'
}

/**
 * The features inside TLS (XEP-0178 §3): EXTERNAL only where it would be accepted, listed first; PLAIN only for a peer with a
 * configured password; both only if the certificate authenticates.
 *
 * @param facts.proofs - what `askProofs` answered for this stream
 */
export function offerInTls(facts: {
  readonly proofs: readonly Proof[]
  readonly use: CertificateUse
  readonly hasPassword: boolean
}): Offer {
  const { proofs, use, hasPassword } = facts
  const isVerified = use === 'authenticate'
  const mechanisms: Offer['mechanisms'][number][] = []
  if (isVerified && proofs.includes('sasl-external')) mechanisms.push('EXTERNAL')
  if (isVerified && hasPassword && proofs.includes('sasl-plain')) mechanisms.push('PLAIN')
  return { starttls: 'absent', mechanisms, dialback: use !== 'reject' && haveDialback(proofs) }
}

function haveDialback(proofs: readonly Proof[]): boolean {
  return proofs.includes('dialback')
}
