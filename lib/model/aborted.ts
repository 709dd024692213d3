import { FederationError } from '../errors.ts'

/** Why a signal was aborted: the engine's own reason, such as the `S2S_TIMEOUT` of a step, or `S2S_ABORTED` around a stranger's. */
export function abortReason(signal: AbortSignal): FederationError {
  const reason: unknown = signal.reason
  return FederationError.is(reason) ? reason : new FederationError('S2S_ABORTED', { cause: reason })
}

/** @throws FederationError the reason of a signal that is aborted already: nothing is begun for it */
export function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal)
}

/**
 * The result of work, or the reason of the abort, whichever is first. Work that loses ends unheard; `cancel` is called then, for
 * work that can be told.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined, cancel?: () => void): Promise<T> {
  if (signal === undefined) return await work
  work.catch(() => undefined)
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      cancel?.()
      reject(abortReason(signal))
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
