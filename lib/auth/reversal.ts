import { reversed } from '../model/domain.ts'
import type { PairStatus } from '../model/report.ts'
import { mintEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'

/**
 * The pair of the opposite flow on a bidirectional stream (XEP-0288 §2.2). To be called once the certificate of the connection
 * authenticates the peer for it and everything that its own direction asks for stands; its level is that of the pair it reverses.
 */
export function reversedEvidence(
  { proof, pair, flow, level }: Evidence,
  peerIdentity: Exclude<PairStatus['peerIdentity'], 'dns'>
): Evidence {
  return mintEvidence({ proof, pair: reversed(pair), flow: flow === 'send' ? 'receive' : 'send', level, peerIdentity })
}
