import type { Attempt, Endpoint } from '../model/endpoint.ts'
import type { Proof } from '../model/level.ts'
import type { AfterFailure, StepFailure } from '../model/policy.ts'
import { plainRefusal } from './clamps.ts'
import type { AttemptClamps } from './clamps.ts'

export type { AttemptClamps } from './clamps.ts'

/** A failure of an attempt and what the policy answered to it. Refused proofs after which the stream went on are among them. */
export interface Tried {
  readonly attempt: Attempt
  readonly failure: StepFailure
  readonly answer: AfterFailure
  /** The proof that failed; taken from the step where it is not given. */
  readonly proof?: Proof
}

/** The best endpoint, encrypted as policy has it; undefined where there is none. */
export function firstAttempt(endpoints: readonly Endpoint[]): Attempt | undefined {
  const [endpoint] = endpoints
  return endpoint === undefined ? undefined : { endpoint, encryption: 'per-policy', skipProofs: [] }
}

/**
 * What to try after the failures so far; undefined: nothing, the negotiation is over. Attempts are monotone: the same endpoint
 * without the proof that failed, every endpoint encrypted, and then once, and last, in clear: the first endpoint whose failure the
 * policy answered with `reconnect-plain` and no clamp forbids.
 *
 * Two answers bend to what is possible. `reconnect-tls` counts for a proof that failed inside TLS (`next-proof` on a stream that is
 * gone means the same); anything else it is said of goes to the next endpoint. `give-up` ends everything, unless the policy was told
 * that no endpoint is left: then it only said so, and a turn in clear that it granted before is still taken.
 */
export function nextAttempt(history: readonly Tried[], endpoints: readonly Endpoint[], clamps: AttemptClamps): Attempt | undefined {
  const last = history.at(-1)
  if (last === undefined) return firstAttempt(endpoints)
  if (last.attempt.encryption === 'none') return undefined
  if (last.answer === 'give-up' && last.failure.endpointsLeft > 0) return undefined
  if (last.answer === 'reconnect-tls' || last.answer === 'next-proof') {
    const again = withoutFailedProof(last, history)
    if (again !== undefined) return again
  }
  return nextEncrypted(history, endpoints) ?? plainTurn(history, clamps)
}

/** How many endpoints have not been tried encrypted, the current one aside. */
export function untriedEndpoints(history: readonly Tried[], endpoints: readonly Endpoint[], current: Attempt): number {
  const known = new Set([...history.map(tried => keyOf(tried.attempt.endpoint)), keyOf(current.endpoint)])
  return new Set(endpoints.map(keyOf).filter(key => !known.has(key))).size
}

function nextEncrypted(history: readonly Tried[], endpoints: readonly Endpoint[]): Attempt | undefined {
  const known = new Set(history.map(tried => keyOf(tried.attempt.endpoint)))
  return firstAttempt(endpoints.filter(endpoint => !known.has(keyOf(endpoint))))
}

function plainTurn(history: readonly Tried[], clamps: AttemptClamps): Attempt | undefined {
  // A peer that required TLS once has required it: that another of its servers did not say so proves nothing.
  if (history.some(tried => tried.failure.tlsRequiredByPeer)) return undefined
  // A server for direct TLS that the policy did not want dialled was not tried encrypted, whatever the policy wants by now.
  if (history.some(({ failure }) => failure.step === 'negotiate-tls' && failure.error.code === 'S2S_POLICY')) return undefined
  const earned = history.find(
    ({ answer, failure, attempt }) => answer === 'reconnect-plain' && plainRefusal(failure, clamps, attempt.endpoint) === undefined
  )
  return earned === undefined ? undefined : { endpoint: earned.attempt.endpoint, encryption: 'none', skipProofs: [] }
}

function withoutFailedProof(last: Tried, history: readonly Tried[]): Attempt | undefined {
  const failedNow = proofOf(last)
  if (failedNow === undefined || !last.failure.encrypted || last.attempt.skipProofs.includes(failedNow)) return undefined
  const here = keyOf(last.attempt.endpoint)
  const failedHere = history.filter(tried => keyOf(tried.attempt.endpoint) === here).flatMap(tried => proofOf(tried) ?? [])
  return { ...last.attempt, skipProofs: [...new Set([...last.attempt.skipProofs, ...failedHere])] }
}

function proofOf({ proof, failure }: Tried): Proof | undefined {
  if (proof !== undefined) return proof
  const { step } = failure
  return step === 'sasl-external' || step === 'sasl-plain' || step === 'dialback' ? step : undefined
}

function keyOf({ host, port, tls }: Endpoint): string {
  return `${host}:${port}/${tls}`
}
