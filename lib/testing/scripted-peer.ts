import type { AssertionError } from 'node:assert'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import type { Secured } from '../model/plugs.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { nodeTls } from '../transport/tls.ts'
import { readFeatures } from '../xml/features.ts'
import { Framer } from '../xml/framer.ts'
import type { Frame, HeaderFrame } from '../xml/framer.ts'
import { NS_STREAM_ERRORS, NS_STREAMS, NS_TLS } from '../xml/namespaces.ts'
import { streamErrorXml } from '../xml/writer.ts'
import type { End } from './cut.ts'
import { startDeadline, wokenBy } from './deadline.ts'
import { agrees, described, shown } from './expectation.ts'
import type { Ending, Expected } from './expectation.ts'
import { featuresOf, headerOf, PROCEED, STARTTLS } from './peer-xml.ts'
import type { SentFeatures, SentHeader } from './peer-xml.ts'
import type { PeerOptions, SecureOptions } from './peer-options.ts'
import { atRest } from './rest.ts'
import { oneLine, Transcript } from './transcript.ts'

const LIMITS = { headerBytes: 65_536, elementBytes: 16_777_216, depth: 1000, attributes: 1000 }

/**
 * One end of one S2S connection, in either role, that says exactly what its script tells it to and insists on what it expects.
 * It knows no protocol beyond framing. Reading happens only while something is expected, so that a script that does not read
 * pushes back. Whatever fails is an AssertionError that ends with the transcript so far.
 */
export class ScriptedPeer {
  readonly #options: PeerOptions
  readonly #carrier: Duplex
  readonly #transcript = new Transcript()
  #duplex: Duplex
  #secured: Secured | undefined
  #framer = new Framer(LIMITS)
  #header: HeaderFrame | undefined
  #wake: () => void = () => undefined

  constructor(connection: Duplex, options: PeerOptions = {}) {
    this.#options = options
    this.#carrier = connection
    this.#duplex = connection
    this.#listen()
  }

  /** What carries the stream now: the connection, or what is inside TLS. */
  get connection(): Duplex {
    return this.#duplex
  }

  /** What the TLS handshake gave: the chain of the other side, its server name. */
  get secured(): Secured | undefined {
    return this.#secured
  }

  /** Whether this peer has something to present in TLS. */
  get hasCredentials(): boolean {
    return this.#options.credentials !== undefined
  }

  /** The last header that was received. */
  get header(): HeaderFrame | undefined {
    return this.#header
  }

  /** What was sent (`→`) and received (`←`), a line each. */
  get transcript(): string {
    return this.#transcript.toString()
  }

  /** Sends raw XML, or bytes that need not be any. */
  send(data: string | Buffer): void {
    this.#transcript.sent(data.toString())
    this.#duplex.write(data)
  }

  sendHeader(header: SentHeader): void {
    this.send(headerOf(header))
  }

  sendFeatures(features: SentFeatures): void {
    this.send(featuresOf(features))
  }

  /** Sends a stream error with the closing tag, and ends the connection. */
  sendStreamError(condition: string, text?: string): void {
    this.send(streamErrorXml(condition, text))
    this.hangUp()
  }

  /** Closing tag, then the end of the connection. */
  close(): void {
    this.send('</stream:stream>')
    this.hangUp()
  }

  /** Ends the connection without a closing tag: FIN, after close_notify if there is TLS. */
  hangUp(): void {
    this.#transcript.sent('(end)')
    this.#duplex.end()
  }

  /** Breaks the connection: the other side sees a reset. */
  reset(): void {
    this.#transcript.sent('(reset)')
    if (this.#carrier instanceof Socket) this.#carrier.resetAndDestroy()
    else this.#carrier.destroy()
  }

  /** The next frame, whatever it is and however long it takes; undefined when the connection has ended. */
  async next(): Promise<Frame | undefined> {
    for (;;) {
      const arrived = this.#take()
      if (arrived !== undefined) return typeof arrived === 'string' ? undefined : arrived
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  /** The next stream header. */
  async expectHeader(expected: Expected = {}): Promise<HeaderFrame> {
    const what = `a stream header${described(expected)}`
    const arrived = await this.#arrival(what)
    if (typeof arrived === 'string' || arrived.kind !== 'header') throw this.#unexpected(what, arrived)
    const { from, to, id, version, lang } = arrived
    if (!agrees({ from, to, id, version, 'xml:lang': lang }, expected)) throw this.#unexpected(what, arrived)
    return arrived
  }

  /** The next element, which must have this name, and this namespace and these attributes if they are given. */
  async expect(name: string, namespace?: string, expected: Expected = {}): Promise<Element> {
    const what = `<${name}/>${namespace === undefined ? '' : ` in ${namespace}`}${described(expected)}`
    const arrived = await this.#arrival(what)
    if (typeof arrived === 'string' || arrived.kind !== 'element' || arrived.name !== name) throw this.#unexpected(what, arrived)
    const element = arrived.element()
    if ((namespace !== undefined && arrived.namespace !== namespace) || !agrees(element.attrs, expected))
      throw this.#unexpected(what, arrived)
    return element
  }

  /** The next element, which must be features: what they offer. */
  async expectFeatures(): Promise<StreamFeatures> {
    return readFeatures(await this.expect('features', NS_STREAMS))
  }

  /** The next element, which must be a stream error with this condition. */
  async expectStreamError(condition: string): Promise<Element> {
    const error = await this.expect('error', NS_STREAMS)
    if (error.getChild(condition, NS_STREAM_ERRORS) !== undefined) return error
    throw this.#transcript.failure(`expected the stream error ${condition}, got ${oneLine(error.toString())}`)
  }

  /** The closing tag. */
  async expectClose(): Promise<void> {
    const arrived = await this.#arrival('the closing tag')
    if (typeof arrived === 'string' || arrived.kind !== 'close') throw this.#unexpected('the closing tag', arrived)
  }

  /** The end of the connection; a closing tag may come before. Tells how it ended. */
  async expectEnd(): Promise<Ending> {
    const what = 'the end of the connection'
    let arrived = await this.#arrival(what)
    if (typeof arrived !== 'string' && arrived.kind === 'close') arrived = await this.#arrival(what)
    if (typeof arrived !== 'string') throw this.#unexpected(what, arrived)
    return arrived
  }

  /** Nothing comes and nothing ends while the process goes on until it is at rest. */
  async expectNothing(): Promise<void> {
    await atRest()
    // An end shows only once somebody has read as far as it.
    const arrived = this.#take() ?? (await atRest().then(() => this.#take()))
    if (arrived !== undefined) throw this.#unexpected('nothing', arrived)
  }

  /** A new stream on the same connection, as after SASL: the next frame is a header. */
  restart(): void {
    if (this.#framer.pending > 0) throw this.#transcript.failure('bytes are left over where the stream has to restart')
    this.#framer = new Framer(LIMITS)
  }

  /** Receiving: `<starttls/>` has to come; `<proceed/>` goes, and TLS begins. */
  async acceptStartTls(options: SecureOptions = {}): Promise<Secured> {
    await this.expect('starttls', NS_TLS)
    this.send(PROCEED)
    return await this.secure('receiving', options)
  }

  /** Initiating: `<starttls/>` goes; `<proceed/>` has to come, and TLS begins. */
  async startTls(options: SecureOptions = {}): Promise<Secured> {
    this.send(STARTTLS)
    await this.expect('proceed', NS_TLS)
    return await this.secure('initiating', options)
  }

  /**
   * TLS now, in this role; then a new stream.
   *
   * @throws FederationError as the Tls gives it, when the handshake fails
   */
  async secure(role: End, options: SecureOptions = {}): Promise<Secured> {
    if (this.#framer.pending > 0) throw this.#transcript.failure('bytes are left over in clear where TLS has to begin')
    const { tls = nodeTls(), credentials: own } = this.#options
    const { servername = '', alpn = ['xmpp-server'], credentials = own } = options
    const context = credentials === undefined ? undefined : tls.createContext(credentials)
    const connection = this.#release()
    const deadline = startDeadline(this.#options)
    try {
      const { signal } = deadline
      this.#secured =
        role === 'initiating'
          ? await tls.client(connection, { context, servername, alpn, signal })
          : await tls.server(connection, { contextFor: () => Promise.resolve(context), signal })
    } catch (error) {
      this.#transcript.happened(`no TLS: ${FederationError.from(error).message}`)
      throw error
    } finally {
      deadline.cancel()
    }
    this.#transcript.happened(`${this.#secured.facts.protocol}, certificates: ${this.#secured.chain.length}`)
    this.#duplex = this.#secured.duplex
    this.#framer = new Framer(LIMITS)
    this.#listen()
    return this.#secured
  }

  readonly #onChange = (): void => this.#wake()

  #listen(): void {
    const duplex = this.#duplex.on('error', this.#onChange)
    for (const event of ['readable', 'end', 'close']) duplex.on(event, this.#onChange)
  }

  #release(): Duplex {
    for (const event of ['readable', 'end', 'close']) this.#duplex.off(event, this.#onChange)
    return this.#duplex
  }

  async #arrival(what: string): Promise<Frame | Ending> {
    const deadline = startDeadline(this.#options)
    try {
      for (;;) {
        const arrived = this.#take()
        if (arrived !== undefined) return arrived
        if (deadline.signal.aborted) throw this.#transcript.failure(`expected ${what}, got nothing in time`)
        await wokenBy(deadline.signal, wake => (this.#wake = wake))
      }
    } finally {
      deadline.cancel()
    }
  }

  #take(): Frame | Ending | undefined {
    for (;;) {
      const frame = this.#parse()
      if (frame?.kind === 'header') this.#header = frame
      if (frame !== undefined) return frame
      const chunk = this.#duplex.read() as Buffer | null // a connection is not in object mode
      if (chunk === null) return this.#ending()
      this.#transcript.received(chunk.toString())
      this.#framer.feed(chunk)
    }
  }

  #parse(): Frame | undefined {
    try {
      return this.#framer.next()
    } catch (error) {
      throw this.#transcript.failure(`the other side is not well-formed: ${FederationError.from(error).message}`)
    }
  }

  #ending(): Ending | undefined {
    const { errored, destroyed, readableEnded } = this.#duplex
    if (errored !== null) return 'reset'
    return readableEnded || destroyed ? 'fin' : undefined
  }

  #unexpected(what: string, arrived: Frame | Ending): AssertionError {
    return this.#transcript.failure(`expected ${what}, got ${shown(arrived)}`)
  }
}
