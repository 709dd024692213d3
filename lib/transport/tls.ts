import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, TLSSocket } from 'node:tls'
import type { SecureContext } from 'node:tls'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Credentials, Secured, Tls, TlsContext } from '../model/plugs.ts'
import { readClientHello } from './client-hello.ts'
import { readCredentials, secureContext } from './credentials.ts'

const PROTOCOL = 'xmpp-server'

/**
 * The default {@link Tls}: Node's, in both roles, for STARTTLS and direct TLS (XEP-0368) alike, over TCP or any other duplex.
 *
 * It judges nothing: every certificate passes, and the chain is handed on as it was presented. TLS 1.2 is the floor; there are no
 * tickets, no resumption and no renegotiation. The receiving role asks for a certificate, and refuses an ALPN list without
 * `xmpp-server` with `no_application_protocol`; no ALPN at all is accepted ([XEP0368-e]).
 *
 * `Secured.duplex`: `end()` sends close_notify and ends the connection beneath, `destroy()` destroys both; when the peer ends, so
 * do we. A truncation (FIN without close_notify) looks like an end, since Node does not tell them apart: only the closing tag of
 * the stream says that all has arrived. An error that nobody heard, such as an alert right after the handshake, is in `duplex.errored`.
 */
export function nodeTls(): Tls {
  return { createContext: credentials => new NodeContext(credentials), client, server }
}

/**
 * Whether an error is the alert of a peer that refused our certificate (RFC 8446 §6.2: 42 to 49, and 116). Under TLS 1.3 it
 * arrives after the initiating entity's handshake is done, as an error of the secured duplex ([ENG-CERT-b]).
 */
export function isCertificateAlert(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && CERTIFICATE_ALERT.test(error.code)
}

// What stands between differs: OpenSSL 3.0 says SSLV3_ALERT where 3.5 says SSL/TLS_ALERT.
const CERTIFICATE_ALERT =
  /^ERR_SSL_.*_ALERT_(?:(?:BAD|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN|REQUIRED)|ILLEGAL_PARAMETER|UNKNOWN_CA|ACCESS_DENIED)$/

class NodeContext implements TlsContext {
  readonly chain: readonly Buffer[]
  readonly #context: SecureContext

  constructor(credentials: Credentials) {
    const { context, chain } = readCredentials(credentials)
    this.#context = context
    this.chain = chain
  }

  static readonly of = (context: TlsContext | undefined): SecureContext | undefined => {
    if (context === undefined) return undefined
    if (context instanceof NodeContext) return context.#context
    throw new FederationError('S2S_CONFIG', { detail: 'a TLS context was made by another Tls' })
  }
}

let without: SecureContext | undefined
const withoutCertificate = (): SecureContext => (without ??= secureContext())

async function client(connection: Duplex, { context, servername, alpn, signal }: Parameters<Tls['client']>[1]): Promise<Secured> {
  const socket = await begin(
    connection,
    signal,
    () => Promise.resolve(NodeContext.of(context) ?? withoutCertificate()),
    secureContext =>
      connect({
        socket: connection,
        // RFC 6066 §3: names only. An empty one sends no extension.
        servername: isIP(servername) === 0 ? servername : '',
        ALPNProtocols: [...alpn],
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
        secureContext
      })
  )
  // Before our Finished has left, so has no certificate: the alert speaks of something else.
  const ourShown = (): boolean => context !== undefined && socket.getFinished() !== undefined
  return secured(await handshake(socket, connection, { ready: 'secureConnect', signal, ourShown }), servername)
}

async function server(connection: Duplex, { contextFor, signal }: Parameters<Tls['server']>[1]): Promise<Secured> {
  let servername: string | undefined
  let nothingToShow: unknown
  const choose = async (): Promise<SecureContext> => {
    servername = await serverNameAskedFor(connection)
    // With nothing to show the handshake fails by itself, and the peer is told so by an alert.
    const context = await contextFor(servername).catch((error: unknown) => void (nothingToShow = error))
    return NodeContext.of(context) ?? withoutCertificate()
  }
  const socket = await begin(connection, signal, choose, secureContext => {
    const ALPNCallback = ({ protocols }: { protocols: string[] }): string | undefined => protocols.find(protocol => protocol === PROTOCOL)
    return new TLSSocket(connection, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false, ALPNCallback })
  })
  try {
    return secured(await handshake(socket, connection, { ready: 'secure', signal, ourShown: () => true }), servername)
  } catch (error) {
    throw nothingToShow !== undefined && FederationError.is(error) && error.code === 'S2S_TLS_HANDSHAKE'
      ? FederationError.from(nothingToShow)
      : error
  }
}

/** Reads until the ClientHello is there, and puts it back for the handshake. */
function serverNameAskedFor(connection: Duplex): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    let needs = 0
    const settle = (): void => void connection.off('readable', onReadable).off('end', onEnd).off('close', onEnd)
    const onReadable = (): void => {
      const chunk = connection.read() as Buffer | null
      if (chunk === null) return
      chunks.push(chunk)
      length += chunk.length
      // What cannot be enough is not looked at: single bytes must not cost a copy of all before them.
      if (length < needs) return
      const bytes = Buffer.concat(chunks)
      const hello = readClientHello(bytes)
      if ('needs' in hello) {
        needs = hello.needs
        return
      }
      settle()
      connection.unshift(bytes)
      resolve(hello.servername)
    }
    const onEnd = (): void => {
      settle()
      reject(failed('the connection ended', connection.errored ?? undefined))
    }
    connection.on('readable', onReadable).on('end', onEnd).on('close', onEnd)
  })
}

/** Starts a handshake on a connection that is still there. Whatever goes wrong, the connection is destroyed and its errors are heard. */
async function begin(
  connection: Duplex,
  signal: AbortSignal,
  choose: () => Promise<SecureContext>,
  start: (context: SecureContext) => TLSSocket
): Promise<TLSSocket> {
  connection.on('error', () => undefined)
  try {
    assertOpen(connection, signal)
    const context = await unlessAborted(choose(), signal)
    assertOpen(connection, signal)
    const socket = start(context)
    tie(socket)
    return socket
  } catch (error) {
    connection.destroy()
    throw FederationError.from(error)
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function assertOpen(connection: Duplex, signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(signal)
  if (connection.destroyed || connection.readableEnded) throw failed('the connection was gone before it', connection.errored ?? undefined)
}

interface Handshake {
  readonly ready: 'secure' | 'secureConnect'
  readonly signal: AbortSignal
  /** Whether the peer has seen our certificate. */
  readonly ourShown: () => boolean
}

function handshake(socket: TLSSocket, connection: Duplex, { ready, signal, ourShown }: Handshake): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off(ready, onReady).off('error', onError).off('end', onEnd).off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
    }
    const fail = (error: FederationError): void => {
      settle()
      socket.destroy()
      connection.destroy()
      reject(error)
    }
    const onReady = (): void => {
      settle()
      resolve(socket)
    }
    const onError = (cause: Error): void => fail(isCertificateAlert(cause) && ourShown() ? refused(cause) : failed(reasonOf(cause), cause))
    // A FIN in the middle of a handshake is an end or a close without an error.
    const onEnd = (): void => fail(failed('the connection ended', connection.errored ?? undefined))
    const onAbort = (): void => fail(abortReason(signal))
    socket.on(ready, onReady).on('error', onError).on('end', onEnd).on('close', onEnd)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** What Node leaves open: it ends and destroys the connection beneath with the socket, and the socket with the connection. */
function tie(socket: TLSSocket): void {
  socket.on('error', () => socket.destroy())
  // Where no tls.Server is around it, a receiving TLSSocket tells of a broken record by this event alone, and stays open.
  socket.on('_tlsError', (error: Error) => socket.destroy(error))
  // Over a duplex that may be half open; over TCP it is so by itself.
  socket.on('end', () => socket.end())
}

/** The one place that reads the certificates of a peer, once: a second reading has lost them. They come in the order presented. */
function secured(socket: TLSSocket, servername: string | undefined): Secured {
  const chain: Buffer[] = []
  for (let certificate = socket.getPeerX509Certificate(); certificate !== undefined; certificate = certificate.issuerCertificate)
    chain.push(certificate.raw)
  const protocol = socket.getProtocol() ?? 'unknown'
  return {
    duplex: socket,
    chain,
    facts: { protocol: protocol.replace(/^TLSv/, 'TLS '), cipher: socket.getCipher().standardName },
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined,
    servername
  }
}

function refused(cause: Error): FederationError {
  return new FederationError('S2S_CERTIFICATE_REFUSED', { detail: reasonOf(cause), cause })
}

function failed(detail: string, cause?: Error): FederationError {
  return new FederationError('S2S_TLS_HANDSHAKE', { detail, cause })
}

/** OpenSSL's reason is a clause of its own; what Node adds around it is not for people. */
function reasonOf(cause: Error): string {
  if ('reason' in cause && typeof cause.reason === 'string') return cause.reason
  return 'code' in cause && cause.code === 'ECONNRESET' ? 'the connection was reset' : cause.message
}
