import type { AuthenticatedStream } from '../outgoing/negotiate.ts'
import { statusOf } from '../auth/evidence.ts'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { TlsFacts } from '../model/stream.ts'
import { Lifetime } from '../incoming/lifetime.ts'
import { escapeText } from '../rules/escape.ts'
import { NS_DIALBACK } from '../xml/namespaces.ts'
import type { CloseFrame, ElementFrame } from '../xml/framer.ts'
import type { XmlStream } from '../xml/stream.ts'

/** One outgoing stream that carries stanzas of its pair one way (RFC 6120 §4.5). What the peer sends on it is never delivered. */
export class OutgoingLink implements Link {
  readonly id: string
  readonly direction = 'outgoing'
  readonly pairs: readonly PairStatus[]
  readonly level: SecurityLevel
  readonly tls?: TlsFacts
  readonly certificate?: CertificateVerdict
  readonly since: number
  readonly report: Report
  /** Resolves with the error that ended the link, or undefined for a polite end, when the connection is gone. */
  readonly closed: Promise<FederationError | undefined>
  /** The largest stanza that the peer takes, in bytes (XEP-0478); undefined: it has not said. */
  readonly maxBytes: number | undefined
  readonly #stream: XmlStream
  readonly #server: LocalServer
  readonly #lifetime: Lifetime
  #lastSent: number
  #open = true
  #closing: Promise<void> | undefined

  constructor(id: string, established: AuthenticatedStream, report: Report, server: LocalServer) {
    const { evidence, stream, tls } = established
    this.id = id
    this.pairs = [statusOf(evidence)]
    this.level = evidence.level
    if (tls !== undefined) {
      this.tls = tls.secured.facts
      this.certificate = tls.verdict
    }
    this.since = server.clock.now()
    this.report = report
    this.maxBytes = established.features.limits?.maxBytes
    this.#stream = stream
    this.#server = server
    this.#lastSent = this.since
    this.#lifetime = new Lifetime({
      clock: server.clock,
      idle: server.timeouts.idle,
      lastHeard: () => Math.max(this.#lastSent, stream.lastHeard),
      notAfter: () => (evidence.peerIdentity === 'dns' ? undefined : tls?.verdict.notAfter),
      onIdle: () => server.background(this.close()),
      onExpiry: () => server.background(this.closeWith(expired()))
    })
    this.closed = this.#run()
  }

  /** Whether stanzas can still be handed over. */
  get usable(): boolean {
    return this.#open
  }

  /** Whether the socket's buffer is full; {@link drained} says when it no longer is. */
  get full(): boolean {
    return this.#stream.full
  }

  drained(): Promise<void> {
    return this.#stream.drained()
  }

  /** Hands one serialised stanza to the stream. `taken` is called once: with nothing when the socket has it, else with the error. */
  send(xml: string | Buffer, taken: (error: Error | undefined) => void): void {
    this.#lastSent = this.#server.clock.now()
    this.#stream.write(xml, taken)
  }

  async close(reason?: string): Promise<void> {
    await this.#end(
      reason === undefined ? undefined : new FederationError('S2S_STOPPED', { detail: reason, stream: 'undefined-condition' })
    )
  }

  /** Ends the stream with the error's own stream condition. */
  async closeWith(error: FederationError): Promise<void> {
    await this.#end(error)
  }

  #end(error: FederationError | undefined): Promise<void> {
    this.#open = false
    this.#closing ??= this.#stream.end(error)
    return this.#closing
  }

  async #run(): Promise<FederationError | undefined> {
    try {
      await this.#read()
      await this.#end(undefined)
      return undefined
    } catch (thrown) {
      const error = FederationError.from(thrown)
      const ours = this.#closing !== undefined
      await this.#end(error)
      return ours ? undefined : error
    } finally {
      this.#open = false
      this.#lifetime.end()
    }
  }

  async #read(): Promise<void> {
    while (this.#open) {
      const frame = this.#stream.take()
      if (frame === undefined) await this.#stream.readable()
      else if (frame.kind === 'close') return
      else this.#refuse(frame)
    }
  }

  /** Without XEP-0288 the peer has nothing to say here. An unsolicited dialback answer is dropped (XEP-0220 §3.1); the rest ends the link. */
  #refuse(frame: Exclude<ElementFrame | CloseFrame, CloseFrame>): void {
    if (frame.namespace === NS_DIALBACK && frame.type !== undefined) return
    throw new FederationError('S2S_STREAM_ERROR_SENT', {
      detail: `<${escapeText(frame.name)}/> from the receiving entity of a one-way stream`,
      condition: 'unsupported-stanza-type',
      stream: 'unsupported-stanza-type'
    })
  }
}

/** RFC 6120 §13.7.2.3. */
function expired(): FederationError {
  return new FederationError('S2S_CERTIFICATE', { detail: 'it has expired since the stream began', stream: 'reset' })
}
