import { isMissing, isSelfSignedOnly } from '../model/certificate.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { CertificateUse, Proof } from '../model/level.ts'
import type { AfterFailure, Answer, LadderOptions, Peer, Policy, StepFailure, TlsWish } from '../model/policy.ts'
import { isCertificateFailure, isTlsFailure } from '../rules/clamps.ts'

/** What a preset is made of: options in which nothing is left open. */
export type PresetOptions = Required<LadderOptions>

/** The answers that `ladder`, `encrypted` and `strict` share; they differ in their options alone. */
export function ladderAnswers(options: PresetOptions): Required<Omit<Policy, 'kind' | 'name' | 'options'>> {
  return {
    admit: () => 'admit',
    tls: peer => tlsFor(peer, options),
    certificate: (peer, verdict) => useOf(peer, verdict, options),
    proofs: (_peer, encrypted, use) => ladderProofs(encrypted, use, options),
    afterFailure: (peer, failed) => afterFailure(peer, failed, options, options.invalidCertificate === 'reconnect-plain'),
    minimumLevel: () => options.minimumLevel
  }
}

/** The answers of `openfire36`: the table of the Openfire 3.6.0 federation document, row by row. */
export function openfire36Answers(options: PresetOptions): Required<Omit<Policy, 'kind' | 'name' | 'options'>> {
  return {
    admit: () => 'admit',
    tls: peer => openfire36Tls(peer, options),
    certificate: (peer, verdict) => openfire36Use(peer, verdict, options),
    proofs: (peer, encrypted, use) => openfire36Proofs(peer, encrypted, use, options),
    afterFailure: (peer, failed) => afterFailure(peer, failed, options, true),
    minimumLevel: () => options.minimumLevel
  }
}

function tlsFor(peer: Peer, options: PresetOptions): TlsWish {
  return peer.purpose === 'verification' ? options.verification : options.tls
}

function useOf(peer: Peer, verdict: CertificateVerdict, options: PresetOptions): Answer<CertificateUse> {
  if (verdict.valid) return 'authenticate'
  if (peer.purpose === 'verification') return { answer: 'encrypt-only', because: 'a verification needs no certificate' }
  if (peer.direction === 'incoming' && isMissing(verdict)) return { answer: 'encrypt-only', because: 'no client certificate' }
  if (options.acceptSelfSigned && isSelfSignedOnly(verdict)) return { answer: 'encrypt-only', because: 'acceptSelfSigned' }
  return options.invalidCertificate === 'encrypt-only' ? { answer: 'encrypt-only', because: 'invalidCertificate: encrypt-only' } : 'reject'
}

function ladderProofs(encrypted: boolean, use: CertificateUse | undefined, options: PresetOptions): readonly Proof[] {
  const proofs: Proof[] = []
  if (encrypted && use === 'authenticate') {
    if (options.external) proofs.push('sasl-external')
    proofs.push('sasl-plain')
  }
  if (options.dialback === 'always' || (encrypted && options.dialback === 'over-tls')) proofs.push('dialback')
  return proofs
}

/**
 * After a refused proof whose stream lives, the next one; after a close that followed `<auth/>`, TLS again without it; after TLS or
 * a certificate failed, in clear where this preset may end there; otherwise the next endpoint.
 */
function afterFailure(peer: Peer, failed: StepFailure, options: PresetOptions, plainAfterCertificate: boolean): Answer<AfterFailure> {
  const isSasl = failed.step === 'sasl-external' || failed.step === 'sasl-plain'
  if (failed.streamLives && (isSasl || failed.step === 'dialback')) return 'next-proof'
  if (isSasl && failed.encrypted) return 'reconnect-tls'
  if (mayEndInClear(peer, options)) {
    if (isTlsFailure(failed)) return 'reconnect-plain'
    // A verification trusts no certificate, so one that is refused there is a handshake that failed.
    const isPlainTurn = plainAfterCertificate || peer.purpose === 'verification'
    if (isPlainTurn && isCertificateFailure(failed)) return 'reconnect-plain'
  }
  return failed.endpointsLeft > 0 ? 'next-endpoint' : 'give-up'
}

function mayEndInClear(peer: Peer, options: PresetOptions): boolean {
  if (peer.purpose === 'verification') return options.verification === 'when-offered'
  return options.tls !== 'required' && options.dialback === 'always'
}

/** Row 11: with dialback off, nothing can be proved in clear. */
function openfire36Tls(peer: Peer, options: PresetOptions): TlsWish {
  if (peer.purpose === 'verification') return options.verification
  return peer.direction === 'incoming' && options.dialback === 'never' ? 'required' : options.tls
}

/** Rows 8, 9 and 14 to 16: self-signed, or for a client no certificate, as acceptSelfSigned says; otherwise invalid never. */
function openfire36Use(peer: Peer, verdict: CertificateVerdict, options: PresetOptions): Answer<CertificateUse> {
  if (verdict.valid) return 'authenticate'
  if (peer.purpose === 'verification') return { answer: 'encrypt-only', because: 'a verification needs no certificate' }
  const isTolerable = isSelfSignedOnly(verdict) || (peer.direction === 'incoming' && isMissing(verdict))
  return isTolerable && options.acceptSelfSigned ? { answer: 'encrypt-only', because: 'acceptSelfSigned' } : 'reject'
}

function openfire36Proofs(peer: Peer, encrypted: boolean, use: CertificateUse | undefined, options: PresetOptions): readonly Proof[] {
  if (!encrypted) return options.dialback === 'always' ? ['dialback'] : []
  const dialback: readonly Proof[] = options.dialback === 'never' ? [] : ['dialback']
  if (use !== 'authenticate') return dialback
  if (peer.direction === 'incoming') {
    // Rows 12 and 13: beside EXTERNAL, dialback is offered only where our own certificate is self-signed and that is accepted.
    return ['sasl-external', 'sasl-plain', ...(peer.ours === 'self-signed' && options.acceptSelfSigned ? dialback : [])]
  }
  // Row 10: EXTERNAL is not tried with a certificate of our own that vouches for nothing.
  const external: readonly Proof[] = peer.ours === 'self-signed' || peer.ours === 'missing' ? [] : ['sasl-external']
  return [...external, 'sasl-plain', ...dialback]
}
