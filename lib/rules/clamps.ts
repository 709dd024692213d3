import type { ErrorCode } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Endpoint } from '../model/endpoint.ts'
import { atLeast, levelOf } from '../model/level.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { StepFailure } from '../model/policy.ts'

/** `authenticate` counts only for a verdict that is valid: what a policy accepts beyond that encrypts, and proves nothing. */
export function clampUse(use: CertificateUse, verdict: CertificateVerdict): CertificateUse {
  return use === 'authenticate' && !verdict.valid ? 'encrypt-only' : use
}

/** What bounds a proof on a stream. */
export interface ProofClamps {
  readonly encrypted: boolean
  readonly use: CertificateUse | undefined
  readonly floor: SecurityLevel
  readonly tlsRequired: boolean
}

/** Why a proof must not be tried, offered or accepted on such a stream, whatever the policy says; undefined: it may. */
export function proofRefusal(proof: Proof, on: ProofClamps): string | undefined {
  if (on.encrypted && (on.use === undefined || on.use === 'reject')) return `${proof} on a stream whose certificate is not accepted`
  if (proof !== 'dialback' && !on.encrypted) return `${proof} outside TLS`
  if (proof !== 'dialback' && on.use !== 'authenticate') return `${proof} with a certificate that does not authenticate`
  if (!on.encrypted && on.tlsRequired) return `${proof} in clear where TLS is required`
  const level = levelOf(proof, on.encrypted)
  return atLeast(level, on.floor) ? undefined : `${level} is below the minimum level ${on.floor}`
}

/** What bounds the attempts of a negotiation. Guards that refuse every unencrypted rung have raised `floor` and `tlsRequiredByUs`. */
export interface AttemptClamps {
  readonly floor: SecurityLevel
  readonly tlsRequiredByUs: boolean
}

const TLS_FAILURES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['S2S_TLS_NOT_OFFERED', 'S2S_TLS_REFUSED', 'S2S_TLS_HANDSHAKE'])
const TLS_FAILURES_WHILE_NEGOTIATING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'S2S_TIMEOUT',
  'S2S_STREAM_CLOSED',
  'S2S_STREAM_ERROR_RECEIVED'
])

/**
 * Whether the TLS negotiation itself failed. Bytes in clear where TLS had to begin are an attack and no such failure: to answer
 * them by going on in clear would do the attacker's work.
 */
export function isTlsFailure(failure: Pick<StepFailure, 'step' | 'error'>): boolean {
  const { code } = failure.error
  return TLS_FAILURES.has(code) || (failure.step === 'negotiate-tls' && TLS_FAILURES_WHILE_NEGOTIATING.has(code))
}

/** Whether a certificate was not accepted: theirs by us, or ours by them before features. */
export function isCertificateFailure(failure: Pick<StepFailure, 'error'>): boolean {
  return failure.error.code === 'S2S_CERTIFICATE' || failure.error.code === 'S2S_CERTIFICATE_REFUSED'
}

/** Why an attempt in clear must not follow a failure, whatever the policy says; undefined: it may, once nothing encrypted is left. */
export function plainRefusal(failure: StepFailure, clamps: AttemptClamps, endpoint?: Endpoint): string | undefined {
  if (!isTlsFailure(failure) && !isCertificateFailure(failure)) return 'neither TLS nor a certificate failed'
  if (failure.tlsRequiredByPeer) return 'the peer requires TLS'
  if (clamps.tlsRequiredByUs) return 'TLS is required here'
  if (clamps.floor !== 'plain-dialback') return `the minimum level is ${clamps.floor}`
  if (endpoint?.tls === 'direct') return 'the endpoint is for direct TLS'
  return undefined
}
