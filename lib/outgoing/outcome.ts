import { statusOf } from '../auth/evidence.ts'
import type { FederationError } from '../errors.ts'
import type { Report } from '../model/report.ts'
import { alternativesOf } from '../rules/alternatives.ts'
import { downgradesOf } from '../rules/downgrades.ts'
import type { AuthenticatedStream } from './negotiate.ts'
import { negotiateOutgoing, proveIdentity } from './negotiate.ts'
import type { Negotiation } from './negotiation.ts'

/** How a negotiation for stanzas ended: its report, and the stream or the error. */
export type Outcome =
  | { readonly report: Report; readonly established: AuthenticatedStream; readonly error: undefined }
  | { readonly report: Report; readonly established: undefined; readonly error: FederationError }

/** Runs a negotiation for stanzas and tells everyone how it ended. Never rejects for what the remote did. */
export async function runNegotiation(n: Negotiation): Promise<Outcome> {
  const { observer } = n.server
  observer.emit('negotiation-started', { id: n.id, peer: n.peer })
  const outcome = await negotiated(n)
  n.finish()
  for (const { from, to, because } of outcome.report.downgrades) observer.emit('downgrade', { id: n.id, peer: n.peer, from, to, because })
  observer.emit('negotiation-ended', { id: n.id, report: outcome.report })
  return outcome
}

async function negotiated(n: Negotiation): Promise<Outcome> {
  try {
    const established = await negotiateOutgoing(n, proveIdentity)
    return { established, error: undefined, report: reportOf(n, established, undefined) }
  } catch (thrown) {
    const error = n.asError(thrown)
    return { established: undefined, error, report: reportOf(n, undefined, error) }
  }
}

/** What a negotiation leaves behind. One that was for no link, such as a verification, has neither a level nor an error when it went well. */
export function reportOf(n: Negotiation, established: AuthenticatedStream | undefined, error: FederationError | undefined): Report {
  const level = established?.evidence.level
  const { name, options } = n.book.policy
  const base: Report = {
    schema: 1,
    peer: n.peer,
    policy: { name: name ?? 'policy', options },
    startedAt: n.startedAt,
    endedAt: n.server.clock.now(),
    level,
    endpoint: established === undefined ? undefined : n.attempt?.endpoint,
    pairs: established === undefined ? [] : [statusOf(established.evidence)],
    trace: n.trace,
    downgrades: level === undefined ? [] : downgradesOf(n.trace, level),
    error:
      error === undefined
        ? undefined
        : { code: error.code, message: error.message, ...(error.step === undefined ? {} : { step: error.step }) },
    alternatives: []
  }
  return level === 'sasl-external' || n.peer.purpose === 'verification' ? base : { ...base, alternatives: alternativesOf(base, n.book) }
}
