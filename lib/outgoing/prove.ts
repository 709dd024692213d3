import type { Evidence } from '../auth/evidence.ts'
import { proveByDialback } from '../auth/dialback-initiating.ts'
import { proveBySasl } from '../auth/sasl-initiating.ts'
import type { FederationError } from '../errors.ts'
import type { Proof } from '../model/level.ts'
import type { PairStatus } from '../model/report.ts'
import type { ReadyStream } from './negotiate.ts'
import type { Negotiation } from './negotiation.ts'
import type { StepFacts } from './step-facts.ts'

/** Runs one proof. A refusal after which the stream lives on is returned, not thrown. */
export async function prove(
  proof: Proof,
  ready: ReadyStream,
  n: Negotiation,
  facts: StepFacts<Proof>
): Promise<Evidence | FederationError> {
  const { pair, server } = n
  const peerIdentity = identityOf(ready.tls)
  if (proof === 'dialback') {
    const streamId = ready.header.id
    if (streamId === undefined)
      throw n.fail('S2S_NOT_WELL_FORMED', { detail: 'the stream header has no id, so no key can be made', stream: 'undefined-condition' })
    return await proveByDialback(ready.stream, { pair, streamId, secret: server.dialbackSecrets.current, peerIdentity }, facts)
  }
  if (peerIdentity === 'dns') throw n.fail('S2S_INTERNAL', { detail: 'SASL on a stream whose certificate does not authenticate the peer' })
  const password = proof === 'sasl-plain' ? server.passwords.get(pair.target) : undefined
  return await proveBySasl(
    proof === 'sasl-plain' ? 'PLAIN' : 'EXTERNAL',
    ready.stream,
    { pair, peerIdentity, ...(password === undefined ? {} : { password }) },
    facts
  )
}

/** How we know who the peer is: by its certificate only where policy lets that authenticate, by DNS otherwise. */
export function identityOf(tls: Pick<NonNullable<ReadyStream['tls']>, 'verdict' | 'use'> | undefined): PairStatus['peerIdentity'] {
  if (tls?.use !== 'authenticate') return 'dns'
  return tls.verdict.proof === 'pin' ? 'pin' : 'pkix'
}
