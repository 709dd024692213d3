import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import { atLeast } from '../model/level.ts'
import type { Proof, SecurityLevel } from '../model/level.ts'
import type { Admission, Decision, Peer, Rulebook } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { isThenable } from '../model/thenable.ts'
import { askAdmit, askCertificate, askMinimumLevel, askProofs, askTls } from './decide.ts'
import { describeProblems } from './sentences.ts'

/** An authenticated pair on a live stream, as the settings of now see it. */
export interface Standing {
  /** Asked about as when the pair was authenticated: outgoing for what we send, incoming for what we receive. */
  readonly peer: Peer
  readonly status: PairStatus
  readonly encrypted: boolean
  /** On what the peer presented when the stream began, judged now; undefined in clear. */
  readonly verdict: CertificateVerdict | undefined
}

/**
 * Whether a pair may go on under these rules: the questions of its negotiation once more, with what is known of it. An encrypted
 * stream stands whatever is said about TLS: there is no better one to be had.
 *
 * @returns undefined, or why the pair falls; a promise where `admit` takes time
 */
export function judgeStanding(book: Rulebook, standing: Standing): FederationError | undefined | Promise<FederationError | undefined> {
  const admission = askAdmit(book, standing.peer)
  if (isThenable(admission)) return Promise.resolve(admission).then(said => afterAdmission(said, book, standing))
  return afterAdmission(admission, book, standing)
}

function afterAdmission(said: Decision<Admission>, book: Rulebook, standing: Standing): FederationError | undefined {
  const { peer, status, encrypted } = standing
  if (said.answer === 'refuse') return fallen(standing, said.because ?? 'the peer is not admitted any more')
  if (!encrypted && askTls(book, peer).answer === 'required') return fallen(standing, 'TLS is required now')
  const uncertified = certificateFalls(book, standing)
  if (uncertified !== undefined) return uncertified
  const floor = askMinimumLevel(book, peer).answer
  if (!atLeast(status.level, floor)) return fallen(standing, `${status.level} is below ${floor}, the floor of now`)
  const use = standing.verdict === undefined ? undefined : askCertificate(book, peer, standing.verdict).answer
  const proof = proofOf(status.level)
  return askProofs(book, peer, encrypted, use).answer.includes(proof) ? undefined : fallen(standing, `${proof} is not accepted any more`)
}

/** A certificate that is rejected now, or that does not prove any more what it was taken to prove. */
function certificateFalls(book: Rulebook, { peer, status, verdict }: Standing): FederationError | undefined {
  if (verdict === undefined) return undefined
  const { answer, because } = askCertificate(book, peer, verdict)
  const isRelied = status.peerIdentity !== 'dns' || proofOf(status.level) !== 'dialback'
  if (answer === 'authenticate' || (answer === 'encrypt-only' && !isRelied)) return undefined
  const detail = verdict.valid ? (because ?? 'policy does not accept it any more') : describeProblems(verdict)
  return new FederationError('S2S_CERTIFICATE', { pair: status.pair, detail, stream: 'reset', condition: 'not-authorized' })
}

function fallen({ status }: Standing, detail: string): FederationError {
  return new FederationError('S2S_POLICY', { pair: status.pair, detail, stream: 'reset', condition: 'not-authorized' })
}

function proofOf(level: SecurityLevel): Proof {
  return level === 'tls-dialback' || level === 'plain-dialback' ? 'dialback' : level
}
