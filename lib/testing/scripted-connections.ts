import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { SocketAddress, Transport } from '../model/plugs.ts'
import { startDeadline, wokenBy } from './deadline.ts'
import { ScriptedPeer } from './scripted-peer.ts'
import type { PeerOptions, SecureOptions } from './peer-options.ts'

/** What {@link dialPeer} takes. */
export interface DialOptions extends PeerOptions {
  /** Direct TLS: the handshake follows at once. Default: none. */
  readonly direct?: SecureOptions
}

/** What {@link listenForPeers} takes. */
export interface ListenPeersOptions extends PeerOptions {
  /** Direct TLS: the handshake comes first. Default: none. */
  readonly direct?: SecureOptions
}

/** Connections to scripts: each waits for {@link accept}, or is played at once by {@link serve}. */
export interface PeerListener extends SocketAddress {
  /** Connections that nobody has accepted yet. */
  readonly waiting: number
  /** The next connection. Waits for one no longer than the deadline. */
  accept(): Promise<ScriptedPeer>
  /** Plays this script with every connection from now on. A script that fails breaks its connection, and `close` rejects with its error. */
  serve(script: (peer: ScriptedPeer) => Promise<unknown>): void
  /** Stops listening. Connections stay. */
  close(): Promise<void>
}

/** Dials as a scripted peer in the initiating role. Rejects as the transport does. */
export async function dialPeer(transport: Transport, to: SocketAddress, options: DialOptions = {}): Promise<ScriptedPeer> {
  const deadline = startDeadline(options)
  try {
    const peer = new ScriptedPeer(await transport.connect(to, { signal: deadline.signal }), options)
    if (options.direct !== undefined) await peer.secure('initiating', options.direct)
    return peer
  } finally {
    deadline.cancel()
  }
}

/** Listens for connections that scripted peers in the receiving role are to answer. */
export async function listenForPeers(
  transport: Transport,
  at: { readonly host: string; readonly port: number },
  options: ListenPeersOptions = {}
): Promise<PeerListener> {
  const queue: Duplex[] = []
  const failures: unknown[] = []
  const wakers = new Set<() => void>()
  let script: ((peer: ScriptedPeer) => Promise<unknown>) | undefined

  const peerOn = async (connection: Duplex): Promise<ScriptedPeer> => {
    const peer = new ScriptedPeer(connection, options)
    if (options.direct !== undefined) await peer.secure('receiving', options.direct)
    return peer
  }

  const play = async (connection: Duplex): Promise<void> => {
    try {
      await script?.(await peerOn(connection))
    } catch (error) {
      failures.push(error)
      connection.destroy()
    }
  }

  const accept = async (): Promise<ScriptedPeer> => {
    const deadline = startDeadline(options)
    try {
      for (;;) {
        const connection = queue.shift()
        if (connection !== undefined) return await peerOn(connection)
        if (deadline.signal.aborted) throw new FederationError('S2S_TIMEOUT', { detail: 'nobody has dialled the scripted peer' })
        await wokenBy(deadline.signal, wake => wakers.add(wake))
      }
    } finally {
      deadline.cancel()
    }
  }

  const listener = await transport.listen(at, connection => {
    if (script === undefined) queue.push(connection)
    else void play(connection)
    for (const wake of wakers) wake()
    wakers.clear()
  })
  return {
    address: listener.address,
    port: listener.port,
    get waiting() {
      return queue.length
    },
    accept,
    serve: played => {
      script = played
      for (const connection of queue.splice(0)) void play(connection)
    },
    close: async () => {
      await listener.close()
      if (failures.length > 0) throw failures[0]
    }
  }
}
