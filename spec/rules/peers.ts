import { domain } from '../../lib/model/domain.ts'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { CertificateProblem, CertificateVerdict } from '../../lib/model/certificate.ts'
import type { Attempt, Endpoint } from '../../lib/model/endpoint.ts'
import type { Guard, Peer, Policy, Rulebook, Step, StepFailure } from '../../lib/model/policy.ts'

export const US = domain('verona.example')
export const THEM = domain('shakespeare.example')

export const OUTGOING: Peer = { direction: 'outgoing', local: US, remote: THEM, purpose: 'stanzas', ours: 'trusted' }
export const INCOMING: Peer = { ...OUTGOING, direction: 'incoming' }
export const VERIFICATION: Peer = { ...OUTGOING, purpose: 'verification' }

export const VALID: CertificateVerdict = {
  valid: true,
  problems: [],
  proof: 'pkix',
  fingerprint256: 'aa'.repeat(32),
  spki256: 'bb'.repeat(32),
  names: [THEM],
  notAfter: '2099-01-01T00:00:00.000Z'
}
export const SELF_SIGNED = invalid({ kind: 'self-signed', fingerprint256: 'aa'.repeat(32) })
export const EXPIRED = invalid({ kind: 'expired', notAfter: '2020-01-01T00:00:00.000Z' })

export function invalid(...problems: readonly CertificateProblem[]): CertificateVerdict {
  return { ...VALID, valid: false, proof: 'none', problems }
}

export function book(policy: Policy, ...guards: readonly Guard[]): Rulebook {
  return { policy, guards }
}

/** A guard that says one thing. */
export function guard(name: string, answers: Omit<Guard, 'kind' | 'name'>): Guard {
  return { kind: 'guard', name, ...answers }
}

export function endpoint(host: string, tls: Endpoint['tls'] = 'starttls'): Endpoint {
  return { host, port: 5269, tls, source: 'srv' }
}

export function attempt(at: Endpoint, more: Partial<Attempt> = {}): Attempt {
  return { endpoint: at, encryption: 'per-policy', skipProofs: [], ...more }
}

export function failure(step: Step, code: ErrorCode, more: Partial<StepFailure> = {}): StepFailure {
  const error = new FederationError(code, { step })
  return { step, error, encrypted: false, streamLives: false, tlsRequiredByPeer: false, endpointsLeft: 0, ...more }
}
