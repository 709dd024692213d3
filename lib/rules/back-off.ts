import type { FederationError } from '../errors.ts'

const FIRST = 60_000
const TEMPORARY_MOST = 900_000
const LASTING_LEAST = 300_000

/**
 * How long stanzas of a pair are bounced after its negotiation failed (RFC 6120 §3.3): random in the first minute after something
 * temporary, the window doubling up to a quarter of an hour; five minutes at least after what only an administrator changes.
 *
 * @param failures how many negotiations of the pair have failed in a row, this one included
 * @param random in [0, 1)
 */
export function retryDelay(error: FederationError, failures: number, random: number): number {
  const window = Math.min(FIRST * 2 ** Math.min(failures - 1, 10), TEMPORARY_MOST)
  return error.temporary ? Math.round(random * window) : LASTING_LEAST + Math.round(random * window)
}
