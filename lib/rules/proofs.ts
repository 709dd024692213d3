import type { OwnCertificate } from '../model/certificate.ts'
import type { Attempt } from '../model/endpoint.ts'
import { atLeast, levelOf } from '../model/level.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { Decision, OwnState } from '../model/policy.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { proofRefusal } from './clamps.ts'
import { describeOurs } from './sentences.ts'

/** What the initiating entity knows when identity is to be proved. */
export interface ProofFacts {
  readonly encrypted: boolean
  /** undefined in clear. */
  readonly use: CertificateUse | undefined
  readonly features: StreamFeatures
  readonly floor: SecurityLevel
  readonly ours: OwnCertificate
  /** Whether a password is configured for the remote domain. */
  readonly hasPassword: boolean
  /** Whether the peer's header declared dialback: enough for servers that do not list it among the features (XEP-0220 §2.1). */
  readonly namespaceDialback: boolean
}

/** A proof that is not tried: the peer does not offer it, or we do not use it. */
export interface UntriedProof {
  readonly proof: Proof
  readonly outcome: 'absent' | 'skipped'
  readonly code:
    | 'not-offered'
    | 'not-encrypted'
    | 'certificate-not-valid'
    | 'own-certificate'
    | 'no-password'
    | 'failed-before'
    | 'below-floor'
    | 'policy'
}

/** Why a proof is not tried, in a clause; what needs no word in a trace has one here all the same. */
export const WHY_UNTRIED: Readonly<Record<UntriedProof['code'], string>> = {
  'not-offered': 'the peer does not offer it',
  'not-encrypted': 'the stream is not encrypted',
  'certificate-not-valid': 'the certificate of the peer authenticates nobody',
  'own-certificate': 'our own certificate cannot authenticate us',
  'no-password': 'no password is configured',
  'failed-before': 'it failed on the connection before',
  'below-floor': 'below the minimum level',
  policy: 'policy does not want it'
}

/** The best first. */
const PROOFS: readonly Proof[] = ['sasl-external', 'sasl-plain', 'dialback']

const NAMES: Readonly<Record<Proof, string>> = { 'sasl-external': 'SASL EXTERNAL', 'sasl-plain': 'SASL PLAIN', dialback: 'dialback' }

const MECHANISMS: Readonly<Record<Exclude<Proof, 'dialback'>, string>> = { 'sasl-external': 'EXTERNAL', 'sasl-plain': 'PLAIN' }

/** Each proof that the policy wants, the peer offers and no clamp forbids, in the policy's order; never one that failed here before. */
export function proofsToTry(wish: readonly Proof[], facts: ProofFacts, attempt: Pick<Attempt, 'skipProofs'>): readonly Proof[] {
  return wish.filter((proof, index) => wish.indexOf(proof) === index && whyUntried(proof, wish, facts, attempt) === undefined)
}

/**
 * The proofs that are not tried, each with the reason: the answer to "why only dialback?". A password that nobody configured is
 * nothing to report.
 */
export function untriedProofs(wish: readonly Proof[], facts: ProofFacts, attempt: Pick<Attempt, 'skipProofs'>): readonly UntriedProof[] {
  const all = PROOFS.filter(proof => proof !== 'sasl-plain' || facts.hasPassword)
  return all.flatMap(proof => {
    const why = whyUntried(proof, wish, facts, attempt)
    return why === undefined ? [] : [{ proof, ...why }]
  })
}

function whyUntried(
  proof: Proof,
  wish: readonly Proof[],
  facts: ProofFacts,
  attempt: Pick<Attempt, 'skipProofs'>
): Omit<UntriedProof, 'proof'> | undefined {
  const skipped = (code: UntriedProof['code']): Omit<UntriedProof, 'proof'> => ({ outcome: 'skipped', code })
  const isSasl = proof !== 'dialback'
  if (isSasl && !facts.encrypted) return skipped('not-encrypted')
  if (attempt.skipProofs.includes(proof)) return skipped('failed-before')
  if (isSasl && facts.use !== 'authenticate') return skipped('certificate-not-valid')
  if (proof === 'sasl-external' && facts.ours === 'missing') return skipped('own-certificate')
  if (proof === 'sasl-plain' && !facts.hasPassword) return skipped('no-password')
  if (!wish.includes(proof)) return skipped(proof === 'sasl-external' && facts.ours === 'self-signed' ? 'own-certificate' : 'policy')
  // What is in `wish` was clamped when the policy was asked; a caller that asked otherwise is clamped here.
  if (proofRefusal(proof, { ...facts, tlsRequired: false }) !== undefined) return skipped('below-floor')
  return isOffered(proof, facts) ? undefined : { outcome: 'absent', code: 'not-offered' }
}

function isOffered(proof: Proof, { features, namespaceDialback }: ProofFacts): boolean {
  return proof === 'dialback' ? features.dialback || namespaceDialback : features.mechanisms.includes(MECHANISMS[proof])
}

/**
 * Why a proof was not tried. That EXTERNAL is not offered may be the peer's answer to a certificate of ours that it does not trust
 * (XEP-0178 §3).
 */
export function describeUntried({ proof, code }: Pick<UntriedProof, 'proof' | 'code'>, ours: OwnState): string {
  const why = WHY_UNTRIED[code]
  const own = proof === 'sasl-external' ? describeOurs(ours) : undefined
  if (own === undefined) return why
  if (code === 'own-certificate') return own
  return code === 'not-offered' ? `${why}, and ${own}` : why
}

/** What to say of the proofs when none is left, those too that were tried on the stream and refused: each with its reason. */
export function describeNoProof(untried: readonly UntriedProof[], refused: readonly Proof[], ours: OwnState): string {
  const reasons = new Map<Proof, string>(refused.map(proof => [proof, 'it was refused']))
  for (const each of untried) reasons.set(each.proof, describeUntried(each, ours))
  return PROOFS.flatMap(proof => {
    const why = reasons.get(proof)
    return why === undefined ? [] : [`not ${NAMES[proof]} (${why})`]
  }).join(', ')
}

/** Why no proof is left, as exactly as can be told: all that policy wanted is below the floor, or is SASL that the peer does not offer. */
export function whyNoProof(
  wanted: Decision<readonly Proof[]>,
  untried: readonly UntriedProof[],
  floor: SecurityLevel,
  encrypted: boolean
): 'S2S_BELOW_FLOOR' | 'S2S_SASL_NOT_OFFERED' | 'S2S_NO_PROOF_LEFT' {
  const asked = wanted.asked ?? wanted.answer
  if (asked.length > 0 && asked.every(proof => !atLeast(levelOf(proof, encrypted), floor))) return 'S2S_BELOW_FLOOR'
  const absent = untried.filter(each => each.outcome === 'absent').map(each => each.proof)
  const isSaslOnly =
    wanted.answer.length > 0 && wanted.answer.every(proof => proof !== 'dialback' && (absent.includes(proof) || proof === 'sasl-plain'))
  return isSaslOnly && absent.includes('sasl-external') ? 'S2S_SASL_NOT_OFFERED' : 'S2S_NO_PROOF_LEFT'
}
