import { askAuthority } from '../auth/dialback-initiating.ts'
import type { VerificationRequest } from '../auth/dialback-initiating.ts'
import type { LocalServer } from '../auth/local-server.ts'
import { unlessAborted } from '../model/aborted.ts'
import { reversed } from '../model/domain.ts'
import type { FederationError } from '../errors.ts'
import type { VerifiedOver } from '../model/report.ts'
import { createId } from './id.ts'
import { negotiateOutgoing } from './negotiate.ts'
import type { Goal } from './negotiate.ts'
import { Negotiation } from './negotiation.ts'
import { reportOf } from './outcome.ts'

/** What the authoritative server said, and how far that can be relied on. */
export interface Verification {
  readonly answer: 'valid' | 'invalid' | 'error'
  readonly condition?: string
  readonly verifiedOver: VerifiedOver
  /** What the authoritative server presented, DER, leaf first: for the same-certificate comparison of XEP-0344. */
  readonly peerCertificate: readonly Buffer[]
}

/**
 * The receiving server's call to the authoritative server (XEP-0220 §2.1.2), on a connection of its own that ends with the answer.
 * Policy is asked with the purpose `verification`.
 *
 * @throws FederationError when the authoritative server could not be reached or asked
 */
export async function verifyKey(request: VerificationRequest, server: LocalServer, signal: AbortSignal): Promise<Verification> {
  const pair = reversed(request.pair)
  const own = await unlessAborted(server.ourCertificate(pair.sender), signal)
  const n = new Negotiation(server, {
    id: createId(),
    pair,
    purpose: 'verification',
    result: 'report',
    own,
    rulebook: server.rulebook(),
    signal
  })
  server.observer.emit('negotiation-started', { id: n.id, peer: n.peer })
  try {
    const verification = await negotiateOutgoing(n, asking(request))
    conclude(n, undefined)
    return verification
  } catch (thrown) {
    const error = n.asError(thrown)
    conclude(n, error)
    throw error
  }
}

function conclude(n: Negotiation, error: FederationError | undefined): void {
  n.finish()
  n.server.observer.emit('negotiation-ended', { id: n.id, report: reportOf(n, undefined, error) })
}

function asking(request: VerificationRequest): Goal<Verification> {
  return async (ready, _attempt, n) => {
    const verifiedOver: VerifiedOver = ready.tls === undefined ? 'clear' : ready.tls.use === 'authenticate' ? 'verified-tls' : 'tls'
    const said = await n.step('dialback', async facts => {
      facts.pair = request.pair
      facts.verifiedOver = verifiedOver
      const answer = await askAuthority(ready.stream, request)
      facts.answer = answer.answer
      if (answer.condition !== undefined) facts.condition = answer.condition
      return answer
    })
    n.server.background(ready.stream.end())
    return { ...said, verifiedOver, peerCertificate: ready.tls?.secured.chain ?? [] }
  }
}
