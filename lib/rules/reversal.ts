import type { CertificateVerdict } from '../model/certificate.ts'
import { atLeast, levelOf } from '../model/level.ts'
import type { CertificateUse, Proof } from '../model/level.ts'
import type { Peer, Rulebook } from '../model/policy.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { askCertificate, askMinimumLevel, askProofs, askTls } from './decide.ts'
import { proofsToTry } from './proofs.ts'

/** Why no bidirectional stream is asked for, as traces have it. */
export interface OneWay {
  readonly outcome: 'absent' | 'skipped'
  readonly code: 'switched-off' | 'not-encrypted' | 'not-offered' | 'certificate-not-valid'
}

/**
 * Why an initiating entity does not even ask policy whether a stream may carry stanzas both ways (XEP-0288 §2.2); undefined: it
 * does. Without a certificate that authenticates the peer, its stanzas would be worth what DNS is worth.
 */
export function whyOneWay(facts: {
  readonly isWanted: boolean
  readonly encrypted: boolean
  readonly use: CertificateUse | undefined
  readonly features: StreamFeatures
}): OneWay | undefined {
  if (!facts.isWanted) return { outcome: 'skipped', code: 'switched-off' }
  if (!facts.encrypted) return { outcome: 'skipped', code: 'not-encrypted' }
  if (!facts.features.bidi) return { outcome: 'absent', code: 'not-offered' }
  return facts.use === 'authenticate' ? undefined : { outcome: 'skipped', code: 'certificate-not-valid' }
}

/** A reversed pair as it would be on the stream of the pair that it reverses (XEP-0288 §2.2). */
export interface Reversal {
  readonly book: Rulebook
  /** Whom the policy is asked about: in the reversed pair's own direction. */
  readonly peer: Peer
  /** The certificate of this connection, judged for that peer with the pins that guards hold for it. */
  readonly verdict: CertificateVerdict
  /** What the other pair is proved by, or may come to be proved by: this one is worth as much. */
  readonly proofs: readonly Proof[]
}

/**
 * Why a pair that was admitted may not flow against the pair that it reverses, on the same stream: what its own direction asks for,
 * pins, guards and floor among it, has to stand for it as for a stream of its own. undefined: it may.
 */
export function reversalRefusal({ book, peer, verdict, proofs }: Reversal): 'certificate-not-valid' | 'below-floor' | 'policy' | undefined {
  if (askCertificate(book, peer, verdict).answer !== 'authenticate') return 'certificate-not-valid'
  const floor = askMinimumLevel(book, peer).answer
  if (!proofs.every(proof => atLeast(levelOf(proof, true), floor))) return 'below-floor'
  if (askTls(book, peer).answer === 'never') return 'policy'
  const accepted = askProofs(book, peer, true, 'authenticate').answer
  return proofs.length > 0 && proofs.every(proof => accepted.includes(proof)) ? undefined : 'policy'
}

/** What a peer may offer at the most. */
const EVERYTHING: StreamFeatures = {
  starttls: 'absent',
  mechanisms: ['EXTERNAL', 'PLAIN'],
  dialback: true,
  dialbackErrors: true,
  bidi: true,
  sm: true
}

/**
 * Whether a stream of our own might reach a higher level than the proof gives: the first that policy wants and our certificate
 * allows, if the peer offers it. Then we dial rather than send on the peer's stream.
 */
export function reachesHigherAlone(proof: Proof, { book, peer }: Pick<Reversal, 'book' | 'peer'>, hasPassword: boolean): boolean {
  const facts = {
    encrypted: true,
    use: 'authenticate' as const,
    features: EVERYTHING,
    floor: askMinimumLevel(book, peer).answer,
    ours: peer.ours,
    hasPassword,
    namespaceDialback: true
  }
  const [first] = proofsToTry(askProofs(book, peer, true, 'authenticate').answer, facts, { skipProofs: [] })
  return first === undefined || !atLeast(levelOf(proof, true), levelOf(first, true))
}
