import { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import { levelOf } from '../model/level.ts'
import type { Proof, SecurityLevel } from '../model/level.ts'
import type { PairStatus, VerifiedOver } from '../model/report.ts'

const mint = Symbol('evidence')

/** What one side showed about one pair on one stream. */
export interface EvidenceFacts {
  readonly proof: Proof
  readonly pair: DomainPair
  readonly flow: PairStatus['flow']
  readonly level: SecurityLevel
  readonly peerIdentity: PairStatus['peerIdentity']
  /** Dialback, receiving: over what the authoritative server was called. */
  readonly verifiedOver?: VerifiedOver
}

/** A pair that was authenticated. Only `auth/` makes one; whoever holds one may let the pair's stanzas flow. */
export interface Evidence extends EvidenceFacts {
  readonly [mint]: true
}

/** Makes evidence. To be called by the code that has just seen the proof, and by nobody else. */
export function mintEvidence(facts: EvidenceFacts): Evidence {
  const possible = [levelOf(facts.proof, true), levelOf(facts.proof, false)]
  if (!possible.includes(facts.level)) throw new FederationError('S2S_INTERNAL', { detail: `${facts.proof} never gives ${facts.level}` })
  return { ...facts, [mint]: true }
}

/** What links and reports show of evidence. */
export function statusOf(evidence: Evidence): PairStatus {
  const { pair, flow, level, peerIdentity, verifiedOver } = evidence
  return { pair, flow, level, peerIdentity, ...(verifiedOver === undefined ? {} : { verifiedOver }) }
}
