import type { FederationError } from '../errors.ts'
import type { OwnCertificate } from '../model/certificate.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { TlsWish } from '../model/policy.ts'
import type { Report, TraceEntry } from '../model/report.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { proofsToTry } from './proofs.ts'

/** A live outgoing stream, as a further pair sees it. */
export interface StreamFacts {
  /** Whether stanzas can still be handed over. */
  readonly isUsable: boolean
  readonly encrypted: boolean
  /** The pairs on it, those included that the peer has not answered about. */
  readonly pairs: number
  readonly mostPairs: number
  /** Those that the peer has not answered about. */
  readonly pending: number
  /** Whether the pair was asked about on it before. */
  readonly wasAsked: boolean
  /** How many pairs the peer did not take on it. */
  readonly refusals: number
  /** Whether its header named the pair's target: then only the sender is new. */
  readonly isSameTarget: boolean
  /** What is offered on it now, with the mechanisms that were offered before identity was proved. */
  readonly features: StreamFeatures
  readonly declaresDialback: boolean
}

/** A pair that might join a stream, and what policy, guards and pins say of it there. */
export interface JoiningFacts {
  /** Whether the target's own servers include the one that the stream is connected to: same address, port and kind of TLS. */
  readonly isSameServer: boolean
  readonly tls: TlsWish
  /** The certificate of the stream, judged for the pair. */
  readonly use: CertificateUse
  readonly proofs: readonly Proof[]
  readonly floor: SecurityLevel
  /** Our own certificate for the pair's sender. */
  readonly ours: OwnCertificate
  /** Our own certificate for the sender that the stream was opened for, which was shown on it. */
  readonly shown: OwnCertificate
  readonly hasPassword: boolean
}

/** Why a pair does not join a stream; `entry-text.ts` has the words. */
export type JoinRefusal =
  | 'stream-ended'
  | 'in-clear'
  | 'stream-full'
  | 'stream-busy'
  | 'asked-before'
  | 'refused-often'
  | 'no-dialback'
  | 'no-dialback-errors'
  | 'elsewhere'
  | 'policy-never'
  | 'certificate-rejected'
  | 'certificate-of-others'
  | 'better-proof'
  | 'no-proof'
  | 'other-way-refused'

/** Each is a call to an authoritative server for the peer: half as many as this engine makes for one stream at once. */
const MOST_PENDING = 8

/** Metronome ends a stream at the tenth dialback error; nobody has asked for as many by accident. */
export const MOST_REFUSALS = 8

/**
 * What a stream by itself has against one more pair: cheap to know. undefined: nothing.
 *
 * A peer without dialback errors ends the stream over a pair that it does not take (XEP-0220 §2.6.2). For another sender they are not
 * asked for there; but Prosody 0.12, which has none, answers by the stream that a stanza came on, and so would answer somebody else.
 */
export function whyNotShared(stream: StreamFacts): JoinRefusal | undefined {
  if (!stream.isUsable) return 'stream-ended'
  if (!stream.encrypted) return 'in-clear'
  if (stream.pairs >= stream.mostPairs) return 'stream-full'
  if (stream.pending >= MOST_PENDING) return 'stream-busy'
  if (stream.wasAsked) return 'asked-before'
  if (stream.refusals >= MOST_REFUSALS) return 'refused-often'
  if (!stream.features.dialback && !stream.declaresDialback) return 'no-dialback'
  if (!stream.features.dialbackErrors) return 'no-dialback-errors'
  return undefined
}

/**
 * Why a pair does not join a live stream by dialback; undefined: it does. Another sender to the same target need not be looked up
 * (XEP-0220 §2.6.1). Another target only where DNS leads to the very same server, and where the certificate of that server would have
 * authenticated it on a connection of its own (XEP-0220 §2.6.2, RFC 7712 §4.4.2). Neither if that connection could end above
 * dialback: nothing is given up for a connection saved.
 */
export function whyNotJoined(stream: StreamFacts, pair: JoiningFacts): JoinRefusal | undefined {
  const refusal = whyNotShared(stream)
  if (refusal !== undefined) return refusal
  if (!stream.isSameTarget && !pair.isSameServer) return 'elsewhere'
  if (pair.tls === 'never') return 'policy-never'
  if (pair.use === 'reject') return 'certificate-rejected'
  if (!stream.isSameTarget && pair.use !== 'authenticate') return 'certificate-of-others'
  const first = firstProof(stream, pair)
  if (first === undefined) return 'no-proof'
  return first === 'dialback' ? undefined : 'better-proof'
}

/** The proof that a connection of the pair's own would begin with. */
function firstProof({ features, declaresDialback }: StreamFacts, pair: JoiningFacts): Proof | undefined {
  // What was not offered to one certificate may be offered to another.
  const isTelling = pair.shown === 'trusted' || pair.shown === pair.ours
  const mechanisms = isTelling ? features.mechanisms : ['EXTERNAL', 'PLAIN']
  const { use, floor, ours, hasPassword } = pair
  const facts = {
    encrypted: true,
    use,
    floor,
    ours,
    hasPassword,
    features: { ...features, mechanisms },
    namespaceDialback: declaresDialback
  }
  return proofsToTry(pair.proofs, facts, { skipProofs: [] })[0]
}

/**
 * What follows when a pair could not join (XEP-0220 §2.1.1, §2.5). A stream that ended or kept silent has said nothing of the pair,
 * and three conditions speak of this stream alone: that it has no room, or that what was shown on it, the certificate of another
 * sender, is not enough. A connection of the pair's own is then worth one try. Everything else would be said there again.
 */
export function afterFailedJoin({ code, condition }: Pick<FederationError, 'code' | 'condition'>): 'own-connection' | 'give-up' {
  if (code === 'S2S_DIALBACK_INVALID') return 'give-up'
  if (code !== 'S2S_DIALBACK_ERROR') return 'own-connection'
  return condition !== undefined && OF_THIS_STREAM.has(condition) ? 'own-connection' : 'give-up'
}

const OF_THIS_STREAM: ReadonlySet<string> = new Set(['resource-constraint', 'not-authorized', 'not-acceptable'])

type EntryOf<S extends TraceEntry['step']> = Extract<TraceEntry, { step: S }>

/** The connection that a live link is on, from the report of the negotiation that made it. */
export interface LinkConnection {
  readonly endpoint: Endpoint
  readonly address: string
  /** What was learned on it of TLS, for the reports of pairs that join. */
  readonly entries: readonly (EntryOf<'open-stream'> | EntryOf<'negotiate-tls'>)[]
}

/** Reads where a link is connected to, and how it came to TLS. */
export function connectionOf({ trace }: Pick<Report, 'trace'>): LinkConnection | undefined {
  const made = trace.findLast((entry): entry is EntryOf<'connect'> => entry.step === 'connect' && entry.outcome === 'ok')
  if (made?.facts.address === undefined) return undefined
  const entries = trace.filter(
    (entry): entry is LinkConnection['entries'][number] =>
      entry.attempt === made.attempt &&
      entry.outcome === 'ok' &&
      (entry.step === 'negotiate-tls' || (entry.step === 'open-stream' && !entry.facts.encrypted))
  )
  return { endpoint: made.facts.endpoint, address: made.facts.address, entries }
}
