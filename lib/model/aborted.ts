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

/** Runs work under a signal that is aborted with either of two. Neither keeps anything of it afterwards, however long it lives. */
export async function underBoth<T>(one: AbortSignal, other: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const listeners = [one, other].map(each => {
    const onAbort = (): void => controller.abort(each.reason)
    if (each.aborted) onAbort()
    each.addEventListener('abort', onAbort, { once: true })
    return (): void => each.removeEventListener('abort', onAbort)
  })
  try {
    return await run(controller.signal)
  } finally {
    for (const leave of listeners) leave()
  }
}
