import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import type { FederationError } from '../errors.ts'
import type { Report } from '../model/report.ts'
import { alternativesOf } from '../rules/alternatives.ts'
import { downgradesOf } from '../rules/downgrades.ts'
import { joinForSender, joinForTarget } from './join.ts'
import { negotiateOutgoing, proveIdentity } from './negotiate.ts'
import type { AuthenticatedStream, Goal } from './negotiate.ts'
import type { Negotiation } from './negotiation.ts'
import type { SharedStream } from './shared-stream.ts'
import type { SharedStreams } from './shared-streams.ts'

/** What a negotiation for stanzas leads to: a stream of its own, or a live one that the pair has joined. */
export type Reached =
  | (Pairs & { readonly kind: 'dialled'; readonly stream: AuthenticatedStream })
  | (Pairs & { readonly kind: 'joined'; readonly stream: SharedStream })

interface Pairs {
  readonly evidence: Evidence
  /** The pair of the opposite flow, where the stream goes both ways. */
  readonly reversed: Evidence | undefined
}

/** How a negotiation for stanzas ended: its report, and the stream or the error. */
export type Outcome =
  | { readonly report: Report; readonly reached: Reached; readonly error: undefined }
  | { readonly report: Report; readonly reached: undefined; readonly error: FederationError }

/**
 * Runs a negotiation for stanzas and tells everyone how it ended. Never rejects for what the remote did.
 *
 * @param live the streams that the pair may join; undefined: it has a connection of its own
 */
export async function runNegotiation(n: Negotiation, live?: SharedStreams): Promise<Outcome> {
  const { observer } = n.server
  observer.emit('negotiation-started', { id: n.id, peer: n.peer })
  const outcome = await negotiated(n, live)
  n.finish()
  for (const { from, to, because } of outcome.report.downgrades) observer.emit('downgrade', { id: n.id, peer: n.peer, from, to, because })
  observer.emit('negotiation-ended', { id: n.id, report: outcome.report })
  return outcome
}

async function negotiated(n: Negotiation, live: SharedStreams | undefined): Promise<Outcome> {
  try {
    const shortcuts = live === undefined ? undefined : { beforeDns: () => joinForSender(n, live), afterDns: () => joinForTarget(n, live) }
    const reached = await negotiateOutgoing<Reached>(n, dialled, shortcuts)
    return { reached, error: undefined, report: reportOf(n, reached, undefined) }
  } catch (thrown) {
    const error = n.asError(thrown)
    return { reached: undefined, error, report: reportOf(n, undefined, error) }
  }
}

const dialled: Goal<Reached> = async (ready, attempt, n) => {
  const stream = await proveIdentity(ready, attempt, n)
  return { kind: 'dialled', stream, evidence: stream.evidence, reversed: stream.reversed }
}

/** What a negotiation leaves behind. One that was for no link, such as a verification, has neither a level nor an error when it went well. */
export function reportOf(n: Negotiation, reached: Pairs | undefined, error: FederationError | undefined): Report {
  const { evidence, reversed } = reached ?? {}
  const level = evidence?.level
  const { name, options } = n.book.policy
  const base: Report = {
    schema: 1,
    peer: n.peer,
    policy: { name: name ?? 'policy', options },
    startedAt: n.startedAt,
    endedAt: n.server.clock.now(),
    level,
    endpoint: evidence === undefined ? undefined : n.attempt?.endpoint,
    pairs: [evidence, reversed].flatMap(each => (each === undefined ? [] : statusOf(each))),
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
