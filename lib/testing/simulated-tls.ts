import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Credentials, Secured, Tls, TlsContext } from '../model/plugs.ts'
import { readCredentials } from '../transport/credentials.ts'
import { isCertificateAlert } from '../transport/tls.ts'
import { HandshakeMessages } from './simulated-handshake.ts'
import { SimulatedSocket } from './simulated-records.ts'
import type { TlsAlert } from './simulated-records.ts'

/** What {@link simulatedTls} takes. */
export interface SimulatedTlsOptions {
  /**
   * The highest version that this side speaks; the lower of both sides counts. Under TLS 1.3 the initiating side is done before its certificate was looked at, and hears of a refusal afterwards; under
   * 1.2 in the handshake. Default `TLS 1.3`.
   */
  readonly protocol?: 'TLS 1.2' | 'TLS 1.3'
  /** The alert by which this side refuses the other's certificate, whatever it is: for peers that do what the engine never does. */
  readonly refuses?: TlsAlert
}

const PROTOCOL = 'xmpp-server'
const CIPHER = 'simulated'

// Reading keys costs more than the rest of a simulated negotiation, and specs use the same ones over and over.
const CHAINS = new WeakMap<Credentials, readonly Buffer[]>()

class SimulatedContext implements TlsContext {
  readonly chain: readonly Buffer[]

  constructor(credentials: Credentials) {
    const chain = CHAINS.get(credentials) ?? readCredentials(credentials).chain
    CHAINS.set(credentials, chain)
    this.chain = chain
  }

  static chainOf(context: TlsContext | undefined): readonly Buffer[] {
    if (context === undefined) return []
    if (context instanceof SimulatedContext) return context.chain
    throw new FederationError('S2S_CONFIG', { detail: 'a TLS context was made by another Tls' })
  }
}

/**
 * A {@link Tls} without cryptography, for specs on the in-memory network and a test clock. It really carries server name, ALPN,
 * chains, alerts and close_notify, in records, so that bytes in clear where TLS has to be are found out; certificates have to fit
 * their keys, but nothing proves that the peer holds its own. What an engine can see of it is what it sees of node:tls.
 */
export function simulatedTls(options: SimulatedTlsOptions = {}): Tls {
  return {
    createContext: credentials => new SimulatedContext(credentials),
    client: (connection, wishes) => play(connection, wishes.signal, peer => initiate(peer, wishes, options)),
    server: (connection, wishes) => play(connection, wishes.signal, peer => receive(peer, wishes, options))
  }
}

type Told = Omit<Secured, 'duplex'>

/** The handshake of the initiating side. */
async function initiate(
  peer: HandshakeMessages,
  { context, servername, alpn }: Parameters<Tls['client']>[1],
  options: SimulatedTlsOptions
): Promise<Told> {
  const ours = SimulatedContext.chainOf(context)
  const { protocol: highest = 'TLS 1.3' } = options
  peer.hello('client', { ...(isIP(servername) === 0 && servername !== '' ? { servername } : {}), alpn, protocol: highest })
  const { alpn: chosen, protocol = highest } = await peer.expectHello('server')
  const chain = await peer.expectCertificate()
  if (options.refuses !== undefined) throw peer.refuse(options.refuses, 'certificate verify failed')
  peer.certificate(ours)
  if (protocol === 'TLS 1.2') await peer.expectFinished()
  return { chain, facts: { protocol, cipher: CIPHER }, alpn: chosen?.[0], servername }
}

/** The handshake of the receiving side. */
async function receive(peer: HandshakeMessages, { contextFor }: Parameters<Tls['server']>[1], options: SimulatedTlsOptions): Promise<Told> {
  const { servername, alpn: offered = [], protocol: highest = 'TLS 1.3' } = await peer.expectHello('client')
  const protocol = highest === 'TLS 1.2' ? highest : (options.protocol ?? 'TLS 1.3')
  const chosen = await choose(contextFor, servername)
  if (offered.length > 0 && !offered.includes(PROTOCOL)) throw peer.refuse('no-application-protocol', 'no application protocol')
  if (chosen.chain.length === 0) throw peer.refuse('handshake-failure', 'no shared cipher', chosen.failure)
  peer.hello('server', { protocol, ...(offered.length > 0 ? { alpn: [PROTOCOL] } : {}) })
  peer.certificate(chosen.chain)
  const chain = await peer.expectCertificate()
  if (options.refuses !== undefined) throw peer.refuse(options.refuses, 'certificate verify failed')
  if (protocol === 'TLS 1.2') peer.finished()
  return { chain, facts: { protocol, cipher: CIPHER }, alpn: offered.length > 0 ? PROTOCOL : undefined, servername }
}

/** Plays one side of a handshake. Whatever goes wrong, the connection is destroyed. */
async function play(connection: Duplex, signal: AbortSignal, side: (peer: HandshakeMessages) => Promise<Told>): Promise<Secured> {
  connection.on('error', () => undefined)
  const peer = new HandshakeMessages(connection)
  try {
    if (signal.aborted) throw abortReason(signal)
    if (connection.destroyed) throw new FederationError('S2S_TLS_HANDSHAKE', { detail: 'the connection was gone before it' })
    const told = await unlessAborted(side(peer), signal)
    return { ...told, duplex: new SimulatedSocket(peer.records) }
  } catch (error) {
    connection.destroy()
    throw failureOf(error, peer.shown)
  }
}

function failureOf(error: unknown, shown: boolean): FederationError {
  if (FederationError.is(error) || !(error instanceof Error)) return FederationError.from(error)
  const detail = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  return new FederationError(isCertificateAlert(error) && shown ? 'S2S_CERTIFICATE_REFUSED' : 'S2S_TLS_HANDSHAKE', { detail, cause: error })
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** What to show, or why there is nothing: then the handshake fails later, as node:tls fails it. */
async function choose(
  contextFor: (servername: string | undefined) => Promise<TlsContext | undefined>,
  servername: string | undefined
): Promise<{ readonly chain: readonly Buffer[]; readonly failure?: FederationError }> {
  try {
    return { chain: SimulatedContext.chainOf(await contextFor(servername)) }
  } catch (error) {
    return { chain: [], failure: FederationError.from(error) }
  }
}
