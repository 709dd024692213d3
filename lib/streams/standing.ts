import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Link } from '../model/link.ts'
import type { OwnState, Peer } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { pinsFor } from '../rules/decide.ts'
import { judgeStanding } from '../rules/standing.ts'
import { Deadline } from '../transport/deadline.ts'

/** A pair and the stream that it was authenticated on: what there is to judge it by again. */
export interface PairOnStream {
  readonly status: PairStatus
  readonly encrypted: boolean
  /** What the peer presented when the stream began, DER, leaf first. */
  readonly chain: readonly Buffer[]
  readonly address?: string
}

/** A link as the engine holds it. */
export interface LiveLink extends Link {
  /** Its pairs, to be judged anew when settings have changed. */
  standing(): readonly PairOnStream[]
  /** Nothing of these pairs flows on it any more; it ends with the error's stream condition when what the others have sent is acknowledged. */
  retire(error: FederationError, fallen: readonly DomainPair[]): void
  /** Ends it at once with the error's stream condition: it may not go on. */
  reset(error: FederationError): void
}

/** Why a pair cannot go on on any link, whatever policy says; undefined: one end of it is served here, and the other is not. */
export function notOurs({ pair, flow }: PairStatus, { hosted }: LocalServer): FederationError | undefined {
  const [local, remote] = flow === 'send' ? [pair.sender, pair.target] : [pair.target, pair.sender]
  if (!hosted.has(local))
    return new FederationError('S2S_NOT_HOSTED', {
      pair,
      detail: `${local} is not served here any more`,
      condition: 'item-not-found'
    })
  if (!hosted.has(remote)) return undefined
  return new FederationError('S2S_LOCAL_DOMAIN', {
    pair,
    detail: `${remote} is served here now`,
    stream: 'reset',
    condition: 'not-authorized'
  })
}

/**
 * Whether a pair may go on under the settings of now: asked for every pair of every link after each change, and for what a
 * negotiation yields that began before one.
 *
 * @returns undefined, or the error to end the link with
 */
async function stillStands(on: PairOnStream, server: LocalServer): Promise<FederationError | undefined> {
  const { status, encrypted, chain, address } = on
  const { pair, flow } = status
  const [direction, local, remote] =
    flow === 'send' ? (['outgoing', pair.sender, pair.target] as const) : (['incoming', pair.target, pair.sender] as const)
  const outside = notOurs(status, server)
  if (outside !== undefined) return outside
  const own = await server.ourCertificate(local).catch((): OwnState => ({ ours: 'missing' }))
  const peer: Peer = { direction, local, remote, ...(address === undefined ? {} : { address }), purpose: 'stanzas', ...own }
  const book = server.rulebook()
  const verdict = encrypted ? server.judge.judge(chain, remote, server.clock.now(), pinsFor(book, peer)) : undefined
  return await judgeStanding(book, { peer, status, encrypted, verdict })
}

/**
 * Lets something count that was found out under the settings of `since`, at once if they are those of now, and otherwise only if its
 * pairs stand under those of now. Nothing can change between the judgement and `accept`.
 *
 * @param signal aborted when nothing can count any more: who does not answer is waited for no longer then
 * @returns why it must not count; then `accept` was not called
 */
export async function underSettingsOfNow(
  pairs: readonly PairOnStream[],
  since: number,
  server: LocalServer,
  signal: AbortSignal,
  accept: () => void
): Promise<FederationError | undefined> {
  for (let judgedUnder = since; judgedUnder !== server.epoch;) {
    judgedUnder = server.epoch
    const error = await firstFallen(pairs, server, signal)
    if (error !== undefined) return error
  }
  if (signal.aborted) return abortReason(signal)
  accept()
  return undefined
}

/**
 * The first of several pairs that falls. All are asked about at once, so that an answer that does not come keeps none from falling; when
 * it has not come within `timeouts.step`, they fall for that.
 */
export async function firstFallen(
  pairs: readonly PairOnStream[],
  server: LocalServer,
  signal: AbortSignal
): Promise<FederationError | undefined> {
  const deadline = new Deadline(server.clock, server.timeouts.step, 'the judgement of policy under the settings of now', signal)
  const unanswered = new Set(pairs)
  try {
    return await deadline.race(anyFallen(pairs, server, each => unanswered.delete(each)))
  } catch (thrown) {
    return signal.aborted ? abortReason(signal) : unjudged(FederationError.from(thrown), [...unanswered][0]?.status.pair)
  } finally {
    deadline.cancel()
  }
}

function anyFallen(
  pairs: readonly PairOnStream[],
  server: LocalServer,
  answered: (on: PairOnStream) => void
): Promise<FederationError | undefined> {
  return new Promise((resolve, reject) => {
    const judged = pairs.map(async each => {
      const error = await stillStands(each, server)
      answered(each)
      if (error !== undefined) resolve(error)
    })
    Promise.all(judged).then(() => resolve(undefined), reject)
  })
}

/** Whoever has not been judged has not been let in; the peer may come back to be (RFC 6120 §4.9.3.16). */
function unjudged({ code, detail, cause }: FederationError, pair: DomainPair | undefined): FederationError {
  return new FederationError(code, {
    ...(pair === undefined ? {} : { pair }),
    ...(detail === undefined ? {} : { detail }),
    cause,
    stream: 'reset'
  })
}
