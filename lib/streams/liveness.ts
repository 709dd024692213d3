import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { within } from '../model/within.ts'
import type { XmlStream } from '../xml/stream.ts'

/** The error for a peer that takes nothing of what we write (RFC 6120 §4.6.2). */
export function stalled(timeout: number): FederationError {
  return new FederationError('S2S_TIMEOUT', { detail: `it took nothing of what was written for ${timeout} ms` })
}

/** What a link is closed with where somebody gave a reason: the peer is told it in words. */
export function closedBecause(reason: string | undefined): FederationError | undefined {
  const condition = 'undefined-condition'
  return reason === undefined ? undefined : new FederationError('S2S_STREAM_ERROR_SENT', { detail: reason, condition, stream: condition })
}

/** What the peer says in seconds. */
export function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000
}

/** The error for a peer whose certificate has expired while the link was there (RFC 6120 §13.7.2.3). */
export function expired(): FederationError {
  return new FederationError('S2S_CERTIFICATE', { detail: 'it has expired since the stream began', stream: 'reset' })
}

/**
 * The end of a connection whose peer has closed the stream, while we are still busy with what it has sent. It has some time to end the
 * connection, and to be told what else is handled; then we do. Resolves when the connection is gone.
 */
export async function part(stream: XmlStream, { clock, timeouts }: Pick<LocalServer, 'clock' | 'timeouts'>): Promise<void> {
  await within(stream.gone(), clock, timeouts.close)
  stream.sendClosing()
  await stream.hangUp()
}
