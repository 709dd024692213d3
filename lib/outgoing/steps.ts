import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { asciiDomain } from '../model/domain.ts'
import type { Attempt } from '../model/endpoint.ts'
import type { Secured, TlsContext } from '../model/plugs.ts'
import { NO_FEATURES } from '../model/stream.ts'
import type { StreamFeatures, StreamHeader } from '../model/stream.ts'
import { discoverEndpoints } from '../dns/discover.ts'
import type { Discovery } from '../dns/discover.ts'
import { escapeText } from '../rules/escape.ts'
import { contained } from '../transport/contained.ts'
import { handshake } from '../transport/handshake.ts'
import { dialEndpoint } from '../transport/race.ts'
import type { DialOptions } from '../transport/race.ts'
import { readFeatures } from '../xml/features.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { readHeader } from '../xml/header.ts'
import { NS_STREAMS, NS_TLS } from '../xml/namespaces.ts'
import { XmlStream } from '../xml/stream.ts'
import { headerXml } from '../xml/writer.ts'
import type { Negotiation } from './negotiation.ts'
import { refusedCertificate } from './refused-certificate.ts'
import { refusedTls } from './refused-tls.ts'
import type { StepFacts } from './step-facts.ts'

/** A stream whose header and features have been read. */
export interface OpenStream {
  readonly stream: XmlStream
  readonly header: StreamHeader
  readonly features: StreamFeatures
}

/** What the peer refused needs no error in return; what came in clear where TLS had to begin gets no word at all. */
export function endStream(stream: XmlStream, error: FederationError, n: Negotiation): void {
  if (error.code === 'S2S_TLS_INJECTION') stream.abandon()
  else n.server.background(stream.end(PEERS_REFUSALS.has(error.code) ? undefined : error))
}

const PEERS_REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['S2S_DIALBACK_INVALID', 'S2S_SASL_REFUSED', 'S2S_CERTIFICATE_REFUSED'])

/** SRV, fallback or the operator's override (RFC 6120 §3.2). */
export async function resolveEndpoints(n: Negotiation, facts: StepFacts<'resolve'>, signal: AbortSignal): Promise<Discovery> {
  const { resolver, random, limits, overrides } = n.server
  const override = overrides.get(n.pair.target)
  const found = await discoverEndpoints(n.pair.target, {
    resolver,
    random,
    signal,
    limit: limits.endpoints,
    ...(override === undefined ? {} : { override })
  })
  facts.endpoints = found.endpoints
  facts.failures = found.failures
  return found
}

/** A connection to one of the endpoint's addresses (RFC 8305). */
export async function dial(attempt: Attempt, n: Negotiation, facts: StepFacts<'connect'>, signal: AbortSignal): Promise<Duplex> {
  const dialled = await dialEndpoint(attempt.endpoint, dialOptions(n, signal))
  facts.address = dialled.address.address
  return contained(dialled.connection)
}

/** What may be dialled, and with what. */
export function dialOptions({ server }: Negotiation, signal: AbortSignal): DialOptions {
  const { resolver, transport, clock, allowPrivateAddresses } = server
  return { resolver, transport, clock, signal, allowPrivate: allowPrivateAddresses, isOwnListener: server.isOwnListener.bind(server) }
}

/** Our header, theirs, and their features (RFC 6120 §4.3). Owns the connection from here on, and ends it if this fails. */
export async function openStream(
  connection: Duplex,
  encrypted: boolean,
  n: Negotiation,
  facts: StepFacts<'open-stream'>,
  signal: AbortSignal
): Promise<OpenStream> {
  const { limits, clock, timeouts } = n.server
  const stream = new XmlStream(connection, { limits, encrypted, clock, closeTimeout: timeouts.close })
  return await greetOrEnd(stream, n, facts, signal, true)
}

/** The restart after SASL success: the same connection, a new header both ways, new features (RFC 6120 §6.4.6). */
export async function restartStream(
  stream: XmlStream,
  n: Negotiation,
  facts: StepFacts<'open-stream'>,
  signal: AbortSignal
): Promise<OpenStream> {
  stream.restart()
  return await greetOrEnd(stream, n, facts, signal, false)
}

async function greetOrEnd(
  stream: XmlStream,
  n: Negotiation,
  facts: StepFacts<'open-stream'>,
  signal: AbortSignal,
  isFirst: boolean
): Promise<OpenStream> {
  const onAbort = (): void => endStream(stream, FederationError.from(signal.reason), n)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await greet(stream, n, facts)
  } catch (thrown) {
    const error = refusedCertificate(FederationError.from(thrown), stream, isFirst && facts.features === undefined, n.peer.ours)
    endStream(stream, error, n)
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function greet(stream: XmlStream, n: Negotiation, facts: StepFacts<'open-stream'>): Promise<OpenStream> {
  const { sender, target } = n.pair
  facts.encrypted = stream.encrypted
  stream.write(headerXml({ from: sender, to: target, version: true, lang: 'en' }))
  const header = readHeader(await stream.readHeader())
  facts.declaresDialback = header.dialback
  if (header.id !== undefined) facts.id = escapeText(header.id)
  if (header.from !== undefined) facts.from = header.from
  if (header.version !== undefined) facts.version = `${header.version.major}.${header.version.minor}`
  const features =
    header.version === undefined
      ? { ...NO_FEATURES, dialback: header.dialback }
      : readFeatures((await nextElement(stream, NS_STREAMS, 'features')).element())
  facts.features = features
  n.position.tlsRequiredByPeer ||= features.starttls === 'required'
  return { stream, header, features }
}

/** `<starttls/>` → `<proceed/>` → handshake (RFC 6120 §5.4). Afterwards the stream in clear is over, and nothing of it is kept. */
export async function startTls(
  { stream, features }: OpenStream,
  n: Negotiation,
  facts: StepFacts<'negotiate-tls'>,
  signal: AbortSignal
): Promise<Secured> {
  try {
    await askForTls(stream, n)
  } catch (thrown) {
    throw refusedTls(FederationError.from(thrown), features.starttls !== 'absent')
  }
  const context = await n.server.hosted.context(n.pair.sender)
  return await secure(stream.detach(), () => Promise.resolve(context), n, facts, signal)
}

async function askForTls(stream: XmlStream, n: Negotiation): Promise<void> {
  stream.write(`<starttls xmlns='${NS_TLS}'/>`)
  const answer = await stream.read()
  if (answer.kind === 'close') throw n.fail('S2S_TLS_REFUSED', { detail: 'the stream was closed instead' })
  if (answer.namespace !== NS_TLS) throw unexpected(answer, 'an answer to <starttls/>')
  if (answer.name === 'failure') throw n.fail('S2S_TLS_REFUSED')
  if (answer.name !== 'proceed') throw unexpected(answer, 'an answer to <starttls/>')
}

/** TLS from the first byte (XEP-0368). */
export async function directTls(
  connection: Duplex,
  n: Negotiation,
  facts: StepFacts<'negotiate-tls'>,
  signal: AbortSignal
): Promise<Secured> {
  return await secure(connection, () => n.server.hosted.context(n.pair.sender), n, facts, signal)
}

async function secure(
  connection: Duplex,
  contextOf: () => Promise<TlsContext | undefined>,
  n: Negotiation,
  facts: StepFacts<'negotiate-tls'>,
  signal: AbortSignal
): Promise<Secured> {
  facts.requiredByPeer = n.position.tlsRequiredByPeer
  const alpn = ['xmpp-server']
  const secured = await handshake(connection, signal, async () =>
    n.server.tls.client(connection, { context: await contextOf(), servername: asciiDomain(n.pair.target), alpn, signal })
  )
  facts.protocol = secured.facts.protocol
  facts.cipher = secured.facts.cipher
  n.position.encrypted = true
  return secured
}

async function nextElement(stream: XmlStream, namespace: string, name: string): Promise<ElementFrame> {
  const frame = await stream.read()
  if (frame.kind === 'close') throw new FederationError('S2S_STREAM_CLOSED', { detail: `the peer closed the stream before <${name}/>` })
  if (frame.namespace !== namespace || frame.name !== name) throw unexpected(frame, `<${name}/>`)
  return frame
}

function unexpected(frame: ElementFrame, expected: string): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    detail: `<${escapeText(frame.name)}/> where ${expected} had to be`,
    condition: 'unsupported-stanza-type',
    stream: 'unsupported-stanza-type'
  })
}

/**
 * Inside TLS the peer's `from` says whom the stream is with (RFC 6120 §4.7.1). Some servers name their main domain: tolerated only
 * while the certificate itself vouches for the domain we asked for.
 */
export function checkFrom(header: StreamHeader, authenticated: boolean, n: Negotiation): void {
  if (header.from === undefined || header.from === n.pair.target) return
  if (authenticated) {
    const detail = `${n.pair.target} answers as ${header.from}; its certificate vouches for ${n.pair.target}, which counts`
    n.server.observer.warn(n.fail('S2S_ADDRESS', { detail }))
    return
  }
  throw n.failed('open-stream', 'S2S_STREAM_ERROR_SENT', {
    detail: `the peer calls itself ${header.from}`,
    condition: 'undefined-condition',
    stream: 'undefined-condition'
  })
}
