import { FederationError } from '../errors.ts'

/** Why a signal was aborted: the engine's own reason, such as the `S2S_TIMEOUT` of a step, or `S2S_ABORTED` around a stranger's. */
export function abortReason(signal: AbortSignal): FederationError {
  const reason: unknown = signal.reason
  return FederationError.is(reason) ? reason : new FederationError('S2S_ABORTED', { cause: reason })
}
