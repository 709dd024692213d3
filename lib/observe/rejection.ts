import { isThenable } from '../model/thenable.ts'

/** What somebody else's function returned may be a promise, although none is asked for: one that rejects would end the process. */
export function hearRejection(result: unknown, failed: (cause: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).catch(failed)
}
