import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'
import { domain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Timer } from '../model/plugs.ts'
import type { OwnState, Peer, Step } from '../model/policy.ts'
import type { Report } from '../model/report.ts'
import { alternativesOf } from '../rules/alternatives.ts'
import { crowdedController, Deadline } from '../transport/deadline.ts'
import { XmlStream } from '../xml/stream.ts'
import { AuthenticatedPairs } from './authenticated.ts'
import { Farewell } from './farewell.ts'
import type { IncomingParts } from './parts.ts'
import { RefusedKeys } from './refused-keys.ts'
import { outcomeOf, Trace } from './trace.ts'
import type { StepFacts } from './trace.ts'

/** Where a connection came from, and how. */
export interface Arrival {
  readonly address?: string
  readonly tls?: 'direct'
}

/**
 * What one incoming stream carries from element to element: who it is with, what is authenticated, what is pending, and the trace.
 * `step` adds deadline, trace entry and the error's location, so that the story stays free of them.
 */
export class IncomingNegotiation {
  readonly id = randomBytes(6).toString('base64url')
  readonly server: LocalServer
  readonly parts: IncomingParts
  readonly arrival: Arrival
  readonly trace: Trace
  readonly authenticated: AuthenticatedPairs
  /** Pairs whose keys are being verified, by `pairKey`; none outlives the header that it came under. */
  readonly pending = new Set<string>()
  readonly refusedKeys: RefusedKeys
  #header = crowdedController()
  peer: Peer
  saslFailures = 0
  /** How many questions of other receiving servers were answered. */
  verified = 0
  /** Whether a TLS handshake was begun, and whether a key of ours was shown. */
  hasBegunTls = false
  hasShownKey = false
  /** What is still being said to the peer when the story is over. */
  ending: Promise<void> = Promise.resolve()
  /** Resolves with the report of the negotiation: at the first authenticated pair, or when the stream ended without one. */
  readonly negotiated: Promise<Report>
  readonly #startedAt: number
  readonly #over = crowdedController()
  readonly #deadline: Timer
  readonly #farewell: Farewell
  #stopped: FederationError | undefined
  #failure: FederationError | undefined
  #wake: (() => void) | undefined
  #gone: Promise<void>
  #tell: (report: Report) => void = () => undefined
  #leave: () => void = () => undefined

  constructor(parts: IncomingParts, arrival: Arrival) {
    const { server } = parts
    this.parts = parts
    this.server = server
    this.arrival = arrival
    this.refusedKeys = new RefusedKeys(server.clock, server.limits.pairsPerStream)
    this.#farewell = new Farewell(this)
    this.peer = this.#stranger()
    this.trace = new Trace({ id: this.id, clock: server.clock, observer: server.observer, peer: () => this.peer })
    this.authenticated = new AuthenticatedPairs(this)
    this.#startedAt = server.clock.now()
    this.negotiated = new Promise(resolve => (this.#tell = resolve))
    this.#gone = new Promise(resolve => (this.#leave = resolve))
    const { negotiation } = server.timeouts
    this.#deadline = server.clock.setTimeout(
      () => this.stop(new FederationError('S2S_TIMEOUT', { detail: `the whole negotiation took more than ${negotiation} ms` })),
      negotiation
    )
    server.observer.emit('negotiation-started', { id: this.id, peer: this.peer })
  }

  /** Aborted when the stream is over, for whatever reason. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Aborted when another header follows, or the stream is over: what was asked under the header before is of no use then. */
  get headerSignal(): AbortSignal {
    return this.#header.signal
  }

  /** Another header follows: nothing that is still being found out under the one before may count (RFC 6120 §5.4.3.3, §6.4.6). */
  leaveHeader(): void {
    this.#header.abort(new FederationError('S2S_STREAM_CLOSED', { detail: 'the stream began anew' }))
    this.#header = crowdedController()
    this.pending.clear()
  }

  /** Our closing tag is sent. */
  get isClosing(): boolean {
    return this.#farewell.isSaid
  }

  /** The stream is being ended politely: nothing is sent on it any more. */
  get isLeaving(): boolean {
    return this.#farewell.isBegun
  }

  /** The peer's closing tag has come. */
  hearClosing(): void {
    this.#farewell.hear()
  }

  openXml(duplex: Duplex, encrypted: boolean): XmlStream {
    const { limits, clock, timeouts } = this.server
    return new XmlStream(duplex, { limits, encrypted, clock, closeTimeout: timeouts.close })
  }

  /** Nothing that was said in clear counts inside TLS (RFC 6120 §5.4.3.3). */
  forgetPeer(): void {
    this.peer = this.#stranger()
  }

  async peerOf(local: Domain, remote: Domain | undefined): Promise<Peer> {
    const { address } = this.arrival
    return {
      direction: 'incoming',
      local,
      remote,
      ...(address === undefined ? {} : { address }),
      purpose: 'stanzas',
      ...(await this.#own(local))
    }
  }

  /**
   * Runs one step under its deadline and writes it into the trace, whatever its end. A FederationError that is returned is a refusal
   * on a stream that lives on.
   */
  async step<S extends Step, T>(step: S, facts: StepFacts<S>, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeouts } = this.server
    const startedAt = clock.now()
    const deadline = new Deadline(clock, step === 'dialback' ? timeouts.dialback : timeouts.step, step, this.signal)
    const end = (error?: FederationError): void => {
      const took = clock.now() - startedAt
      if (error === undefined) this.trace.enter(step, facts, { outcome: 'ok', code: 'ok', took })
      else this.trace.enter(step, facts, { outcome: outcomeOf(error), code: error.code, took, message: error.message })
    }
    try {
      const result = await deadline.race(run(deadline.signal))
      end(FederationError.is(result) ? result : undefined)
      return result
    } catch (thrown) {
      const error = FederationError.from(thrown).located({ step })
      end(error)
      throw error
    } finally {
      deadline.cancel()
    }
  }

  fail(code: ErrorCode, details: ErrorDetails = {}): FederationError {
    return new FederationError(code, details)
  }

  /** The peer broke a rule: the stream error it gets. */
  refused(condition: string, because: string): FederationError {
    return new FederationError('S2S_STREAM_ERROR_SENT', { condition, stream: condition, detail: because })
  }

  /** Remembers why something went wrong: the first is what the report says of a stream that never gets further. */
  remember(error: FederationError): void {
    this.#failure ??= error
  }

  /** Why the stream has to end now, if it has to. */
  get stopped(): FederationError | undefined {
    return this.#stopped
  }

  /** Resolves when the work has settled, or when the stream has to end. */
  untilStopped(work: Promise<unknown>): Promise<void> {
    return new Promise<void>(resolve => {
      this.#wake = resolve
      const settled = (): void => resolve()
      work.then(settled, settled)
    })
  }

  /** Ends the stream from outside its story, with the error's stream condition. The first reason counts. */
  stop(error: FederationError): void {
    this.#stopped ??= error
    this.#over.abort(this.#stopped)
    this.authenticated.stop()
    this.#wake?.()
  }

  /** Ends the stream politely. */
  close(stream: XmlStream, because?: FederationError): Promise<void> {
    this.#farewell.hurry()
    this.#farewell.begin(stream, because)
    return this.#gone
  }

  /** The same as soon as what was sent is acknowledged, however long that takes while the peer handles some of it. */
  retire(stream: XmlStream, because: FederationError): void {
    this.#farewell.begin(stream, because)
  }

  /** Ends the stream politely where it has authenticated somebody, and with an error where not. */
  shutDown(error: FederationError): Promise<void> {
    const { link } = this.authenticated
    if (link === undefined) this.stop(error)
    else void link.closeWith(error)
    return this.#gone
  }

  /** We have made the effort of a TLS handshake for a peer that has shown neither who it is nor that we had called it. */
  get wastedTls(): boolean {
    return this.hasBegunTls && !this.hasShownKey && this.authenticated.link === undefined
  }

  /** What a stream that the peer closed without a word lacks; nothing, where it came to ask or has proved something. */
  nothingProved(): FederationError | undefined {
    if (this.authenticated.link !== undefined || this.verified > 0) return undefined
    return new FederationError('S2S_STREAM_CLOSED', { detail: 'the peer closed the stream before it proved anything' })
  }

  /** The story is over: tells everyone, and resolves when the connection is gone. */
  finish(error: FederationError | undefined): Promise<void> {
    this.#deadline.cancel()
    this.#farewell.end()
    this.#over.abort(error ?? new FederationError('S2S_STREAM_CLOSED'))
    if (this.authenticated.link === undefined) this.conclude(error)
    else this.authenticated.end(this.isClosing ? undefined : error)
    void this.ending.then(() => {
      this.authenticated.reversed?.end(error)
      this.#leave()
    })
    return this.#gone
  }

  report(): Report {
    const book = this.server.rulebook()
    const { name, options } = book.policy
    const { level } = this.authenticated
    const error = level === undefined ? this.#failure : undefined
    const report: Report = {
      schema: 1,
      peer: this.peer,
      policy: { name: name ?? 'policy', options },
      startedAt: this.#startedAt,
      endedAt: this.server.clock.now(),
      level,
      endpoint: undefined,
      pairs: this.authenticated.statuses,
      trace: [...this.trace.entries],
      downgrades: [...this.authenticated.downgrades],
      error:
        error === undefined
          ? undefined
          : { code: error.code, message: error.message, ...(error.step === undefined ? {} : { step: error.step }) },
      alternatives: []
    }
    return level === 'sasl-external' ? report : { ...report, alternatives: alternativesOf(report, book) }
  }

  /** The negotiation has its result: the first pair, or none. */
  conclude(error: FederationError | undefined): void {
    this.#deadline.cancel()
    if (error !== undefined) this.remember(error)
    const report = this.report()
    this.server.observer.emit('negotiation-ended', { id: this.id, report })
    this.#tell(report)
  }

  #stranger(): Peer {
    const { hosted } = this.server
    const { address } = this.arrival
    // A key store may hold no domain yet: then everybody is a stranger to a name that nobody has (RFC 2606).
    const local = hosted.defaultDomain ?? domain('invalid')
    return {
      direction: 'incoming',
      local,
      remote: undefined,
      ...(address === undefined ? {} : { address }),
      purpose: 'stanzas',
      ours: 'missing'
    }
  }

  async #own(local: Domain): Promise<OwnState> {
    return (await this.parts.contexts.of(local)) === undefined ? { ours: 'missing' } : await this.server.ourCertificate(local)
  }
}
