import { FederationError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { DomainPair } from '../model/domain.ts'
import { levelOf } from '../model/level.ts'
import type { Step } from '../model/policy.ts'
import type { CertificateUse } from '../model/level.ts'
import type { PairStatus, VerifiedOver } from '../model/report.ts'
import { mintEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'
import type { LocalServer } from './local-server.ts'

/** A key to be verified: what `<db:result/>` brought, and the id of the stream that it came on (XEP-0220 §2.1.2). */
export interface KeyRequest {
  readonly pair: DomainPair
  readonly streamId: string
  readonly key: string
  /** From where it came, as a network that one customer has: whoever brings keys takes turns with others; undefined: nobody knows. */
  readonly asker: string | undefined
}

/** What the authoritative server said, and how it was called. */
export interface KeyAnswer {
  readonly answer: 'valid' | 'invalid' | 'error'
  readonly condition?: string
  readonly verifiedOver: VerifiedOver
}

/** Asks the authoritative server, on a connection of its own. Rejects with a FederationError when it cannot be asked. */
export type VerifyKey = (request: KeyRequest, server: LocalServer, signal: AbortSignal) => Promise<KeyAnswer>

/** What a certificate says about the sender of a pair, and what policy lets it say. */
export interface JudgedCertificate {
  readonly verdict: CertificateVerdict
  readonly use: CertificateUse
}

/** How we know who the peer is: by its certificate only where policy lets that authenticate, by DNS otherwise. */
export function identityBy(certificate: JudgedCertificate | undefined): PairStatus['peerIdentity'] {
  if (certificate?.use !== 'authenticate' || !certificate.verdict.valid) return 'dns'
  return certificate.verdict.proof === 'pin' ? 'pin' : 'pkix'
}

/**
 * Dialback without dialback (XEP-0344): the certificate of this very connection, judged for this very sender, speaks for the pair,
 * and no key need be asked about.
 *
 * @returns undefined where the certificate does not authenticate the sender
 */
export function vouchedByCertificate(pair: DomainPair, certificate: JudgedCertificate | undefined): Evidence | undefined {
  const peerIdentity = identityBy(certificate)
  if (peerIdentity === 'dns') return undefined
  return mintEvidence({ proof: 'dialback', pair, flow: 'receive', level: 'tls-dialback', peerIdentity })
}

/** What the trace learns of a verification, whatever its end. */
export interface VerificationFacts {
  answer?: 'valid' | 'invalid' | 'error'
  condition?: string
  verifiedOver?: VerifiedOver
  unverified?: { readonly code: ErrorCode; readonly step?: Step }
}

export interface Verification {
  readonly verify: VerifyKey
  readonly server: LocalServer
  readonly signal: AbortSignal
  /** Of the stream that the key came on. */
  readonly encrypted: boolean
}

/**
 * Dialback, receiving server, steps 2 and 3 (XEP-0220 §2.1.2): has the authoritative server confirm the key.
 *
 * @returns evidence, or the refusal: `S2S_DIALBACK_INVALID`, or `S2S_DIALBACK_ERROR` with the condition of XEP-0220 §2.5 to send
 */
export async function verifiedByAuthority(
  request: KeyRequest,
  by: Verification,
  facts: VerificationFacts
): Promise<Evidence | FederationError> {
  const { verify, server, signal, encrypted } = by
  const { pair } = request
  try {
    const said = await verify(request, server, signal)
    facts.answer = said.answer
    facts.verifiedOver = said.verifiedOver
    if (said.answer === 'valid') {
      const level = levelOf('dialback', encrypted)
      return mintEvidence({ proof: 'dialback', pair, flow: 'receive', level, peerIdentity: 'dns', verifiedOver: said.verifiedOver })
    }
    if (said.answer === 'invalid')
      return new FederationError('S2S_DIALBACK_INVALID', { pair, detail: 'the authoritative server does not know the key' })
    // XEP-0220 §2.5: whatever the authoritative server's error was, the initiating server hears this one.
    return refusal(pair, facts, 'remote-server-not-found', `the authoritative server answered ${said.condition ?? 'an error'}`)
  } catch (thrown) {
    const error = FederationError.from(thrown)
    facts.unverified = { code: error.code, ...(error.step === undefined ? {} : { step: error.step }) }
    return refusal(pair, facts, conditionFor(error), `the authoritative server could not be asked: ${error.message}`, error)
  }
}

function refusal(pair: DomainPair, facts: VerificationFacts, condition: string, detail: string, cause?: FederationError): FederationError {
  facts.answer = 'error'
  facts.condition = condition
  return new FederationError('S2S_DIALBACK_ERROR', { pair, condition, detail, cause })
}

const CONDITIONS: { readonly [C in ErrorCode]?: string } = {
  S2S_DNS_NO_SERVICE: 'remote-server-not-found',
  S2S_DNS_SERVICE_REFUSED: 'remote-server-not-found',
  S2S_DNS_FORBIDDEN_ADDRESS: 'remote-server-not-found',
  S2S_DNS_FAILED: 'remote-server-timeout',
  S2S_CONNECT_FAILED: 'remote-connection-failed',
  S2S_TIMEOUT: 'remote-server-timeout',
  S2S_STREAM_CLOSED: 'remote-server-timeout',
  S2S_TLS_NOT_OFFERED: 'remote-connection-failed',
  S2S_TLS_REFUSED: 'remote-connection-failed',
  S2S_TLS_HANDSHAKE: 'remote-connection-failed',
  S2S_TLS_INJECTION: 'remote-connection-failed',
  S2S_CERTIFICATE: 'not-authorized',
  S2S_CERTIFICATE_REFUSED: 'remote-connection-failed',
  S2S_POLICY: 'not-authorized',
  S2S_BELOW_FLOOR: 'not-authorized',
  S2S_LIMIT: 'resource-constraint',
  S2S_BUSY: 'resource-constraint',
  S2S_KEY_STORE: 'resource-constraint'
}

/** The dialback error for a verification that could not be carried out (XEP-0220 §2.5). */
function conditionFor(error: FederationError): string {
  const isGone = error.condition === 'host-unknown' || error.condition === 'host-gone'
  if (error.code === 'S2S_STREAM_ERROR_RECEIVED' && isGone) return 'remote-server-not-found'
  return CONDITIONS[error.code] ?? 'remote-server-timeout'
}
