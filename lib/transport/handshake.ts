import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Secured } from '../model/plugs.ts'
import { contained } from './contained.ts'

/**
 * One handshake of whatever Tls is plugged in. Until it has succeeded the connection is owned here, and is destroyed whatever the
 * plug does: one that throws, rejects, never answers or succeeds too late leaves nothing open.
 *
 * @param signal ends with the step that awaits this: when it is aborted nobody takes what comes
 * @throws FederationError what the plug rejects with, `S2S_INTERNAL` around an error that is not ours, or the reason of the abort
 */
export async function handshake(connection: Duplex, signal: AbortSignal, begin: () => Promise<Secured>): Promise<Secured> {
  try {
    dropOnAbort(connection, signal)
    const secured = await begin()
    // It may be aborted between here and whoever awaits it, who hears of the abort alone.
    dropOnAbort(secured.duplex, signal)
    contained(secured.duplex)
    return secured
  } catch (thrown) {
    drop(connection)
    if (FederationError.is(thrown)) throw thrown
    // A Tls that is broken says nothing of the peer, and is no reason to meet it in clear.
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new FederationError('S2S_INTERNAL', { detail: `the Tls failed: ${why}`, cause: thrown })
  }
}

function dropOnAbort(duplex: Duplex, signal: AbortSignal): void {
  if (signal.aborted) {
    drop(duplex)
    throw abortReason(signal)
  }
  signal.addEventListener('abort', () => drop(duplex), { once: true })
}

function drop(duplex: Duplex): void {
  duplex.on('error', () => undefined).destroy()
}
