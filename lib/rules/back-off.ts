import type { ErrorCode, FederationError } from '../errors.ts'

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

/** What policy, guards, certificates (our own too), authorities and the list of domains have a part in. */
const OF_SETTINGS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'S2S_CONFIG',
  'S2S_KEY_STORE',
  'S2S_NOT_HOSTED',
  'S2S_LOCAL_DOMAIN',
  'S2S_POLICY',
  'S2S_TLS_NOT_OFFERED',
  'S2S_TLS_REFUSED',
  'S2S_TLS_HANDSHAKE',
  'S2S_CERTIFICATE',
  'S2S_CERTIFICATE_REFUSED',
  'S2S_SASL_NOT_OFFERED',
  'S2S_SASL_REFUSED',
  'S2S_DIALBACK_INVALID',
  'S2S_DIALBACK_ERROR',
  'S2S_NO_PROOF_LEFT',
  'S2S_BELOW_FLOOR'
])

/** Whether what failed may end otherwise under other settings, so that it is not waited for any longer when they change. */
export function dependsOnSettings({ code }: FederationError): boolean {
  return OF_SETTINGS.has(code)
}

/** RFC 6120 §4.9.3.16, §4.9.3.20: what a server says that has nothing against us, and goes down, or is to be asked anew. */
const RESTARTS: readonly (string | undefined)[] = ['system-shutdown', 'reset']

/** Whether a peer that ended a link so may take the next one: it has closed it politely, or restarts. */
export function mayTakeAnother(error: FederationError | undefined): boolean {
  return error === undefined || (error.code === 'S2S_STREAM_ERROR_RECEIVED' && RESTARTS.includes(error.condition))
}
