import { connect, createServer, isIP, isIPv6 } from 'node:net'
import type { Server, Socket } from 'node:net'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Listener, SocketAddress, Transport } from '../model/plugs.ts'

/**
 * The default {@link Transport}: TCP by node:net. It dials literal addresses only, one at a time (racing them is the engine's
 * business), turns Nagle's algorithm off, and listens for errors on every socket from birth, so that a socket nobody owns yet
 * cannot end the process.
 *
 * `connect` rejects with `S2S_CONNECT_FAILED`, or with the reason of its signal; `listen` with `S2S_CONFIG`. A listener's `close`
 * frees the port at once and leaves accepted connections to their owners.
 */
export function tcpTransport(): Transport {
  return { connect: connectTo, listen: listenAt }
}

/** An address as it is written in messages: `198.51.100.7:5269`, `[2001:db8::7]:5269`. */
export function formatAddress({ address, port }: SocketAddress): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

async function connectTo(to: SocketAddress, { signal }: { readonly signal: AbortSignal }): Promise<Socket> {
  if (signal.aborted) throw abortReason(signal)
  // A name here would be resolved by getaddrinfo, past every check of what may be dialled.
  if (isIP(to.address) === 0 || !isPort(to.port)) throw failed(to, 'is no address to dial')
  const socket = connect({ host: to.address, port: to.port, noDelay: true })
  socket.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: FederationError): void => {
      socket.off('connect', onConnect).off('close', onClose)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onConnect = (): void => settle()
    const onClose = (): void => settle(failed(to, codeOf(socket.errored) ?? 'closed', socket.errored ?? undefined))
    const onAbort = (): void => {
      settle(abortReason(signal))
      socket.destroy()
    }
    socket.on('connect', onConnect).on('close', onClose)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  return socket
}

function listenAt(
  at: { readonly host: string; readonly port: number },
  onConnection: Parameters<Transport['listen']>[1]
): Promise<Listener> {
  const server = createServer({ noDelay: true }, socket => {
    socket.on('error', () => undefined)
    const { remoteAddress, remotePort } = socket
    // A peer that left before it was accepted has no address any more.
    if (remoteAddress === undefined || remotePort === undefined) socket.destroy()
    else onConnection(socket, { address: withoutMapping(remoteAddress), port: remotePort })
  })
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void => {
      const detail = `cannot listen on ${formatAddress({ address: at.host, port: at.port })} (${codeOf(cause) ?? cause.message})`
      reject(new FederationError('S2S_CONFIG', { detail, cause }))
    }
    server.once('error', onError).listen(at.port, at.host, () => {
      // Failing to accept one connection, for want of descriptors, must not end the listener or the process.
      server.off('error', onError).on('error', () => undefined)
      resolve(listenerOf(server, at))
    })
  })
}

function listenerOf(server: Server, at: { readonly host: string; readonly port: number }): Listener {
  const bound = server.address()
  const { address, port } = bound === null || typeof bound === 'string' ? { address: at.host, port: at.port } : bound
  return {
    address,
    port,
    close: () => {
      server.close()
      return Promise.resolve()
    }
  }
}

function failed(to: SocketAddress, why: string, cause?: Error): FederationError {
  return new FederationError('S2S_CONNECT_FAILED', { detail: `${formatAddress(to)} ${why}`, cause })
}

function codeOf(error: Error | null): string | undefined {
  return error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

/** A socket that listens on `::` shows IPv4 peers in mapped form; limits per address and logs want the one they know. */
function withoutMapping(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}
