import type { Domain } from './domain.ts'

/** One defect of a presented certificate, with what a reader needs to understand it. */
export type CertificateProblem =
  | { readonly kind: 'missing' }
  | { readonly kind: 'self-signed'; readonly fingerprint256: string }
  | { readonly kind: 'untrusted-issuer'; readonly issuer: string }
  /** The path ends at a certificate that is not self-issued: an intermediate was not sent. */
  | { readonly kind: 'broken-chain'; readonly detail: string }
  /** pathLen, name constraints, key usage, an unknown critical extension, an undecodable extension. */
  | { readonly kind: 'constraint'; readonly detail: string }
  /** `subject`, here and below: the issuer that has the problem; absent, where it is the peer's own certificate. */
  | { readonly kind: 'expired'; readonly notAfter: string; readonly subject?: string }
  | { readonly kind: 'not-yet-valid'; readonly notBefore: string; readonly subject?: string }
  | { readonly kind: 'wrong-identity'; readonly expected: Domain; readonly presented: readonly string[] }
  | { readonly kind: 'wrong-usage'; readonly presented: readonly string[]; readonly subject?: string }
  | { readonly kind: 'weak'; readonly detail: string }

/** Our judgement on a certificate chain for one reference identifier: every problem, not the first. */
export interface CertificateVerdict {
  /** No problem, or a pin match without a date problem. */
  readonly valid: boolean
  readonly problems: readonly CertificateProblem[]
  /** What made it valid. */
  readonly proof: 'pkix' | 'pin' | 'none'
  /** SHA-256 of the leaf's DER and of its SubjectPublicKeyInfo, lower-case hex; undefined when nothing was presented. */
  readonly fingerprint256: string | undefined
  readonly spki256: string | undefined
  readonly names: readonly string[]
  /** The earliest end of validity along the path, ISO 8601. */
  readonly notAfter: string | undefined
}

/** What is remembered of a certificate that a domain was authenticated with. */
export interface SeenCertificate {
  /** SHA-256 of the certificate's DER and of its SubjectPublicKeyInfo, lower-case hex: a renewal may keep the key. */
  readonly fingerprint256: string
  readonly spki256: string
  /** The earliest end of validity along its path, ISO 8601. */
  readonly notAfter: string | undefined
}

/** Our own certificate for a domain, by the same judge. */
export type OwnCertificate = 'trusted' | 'self-signed' | 'invalid' | 'missing'

/** The states a test certificate can be in. `unknown-ca` sends its root; `broken-chain` omits the intermediate. */
export type CertificateState =
  'valid' | 'self-signed' | 'expired' | 'not-yet-valid' | 'wrong-host' | 'unknown-ca' | 'broken-chain' | 'server-auth-only' | 'missing'

/** Self-signed and nothing else: the one invalid certificate that `acceptSelfSigned` speaks of. */
export function isSelfSignedOnly(verdict: CertificateVerdict): boolean {
  return verdict.problems.length === 1 && verdict.problems[0]?.kind === 'self-signed'
}

/** No certificate was presented (M). */
export function isMissing(verdict: CertificateVerdict): boolean {
  return verdict.problems.some(problem => problem.kind === 'missing')
}

/** The verdict on a peer that presented nothing. */
export const MISSING_CERTIFICATE: CertificateVerdict = {
  valid: false,
  problems: [{ kind: 'missing' }],
  proof: 'none',
  fingerprint256: undefined,
  spki256: undefined,
  names: [],
  notAfter: undefined
}

/** What `peer.ours` says about a verdict on our own certificate. */
export function ownCertificate(verdict: CertificateVerdict): OwnCertificate {
  if (verdict.valid) return 'trusted'
  if (isMissing(verdict)) return 'missing'
  return isSelfSignedOnly(verdict) ? 'self-signed' : 'invalid'
}
