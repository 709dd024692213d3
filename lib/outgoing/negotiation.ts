import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'
import type { LocalServer } from '../auth/local-server.ts'
import { abortReason } from '../model/aborted.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Attempt, Endpoint } from '../model/endpoint.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { Admission, Decision, OwnState, Peer, Rulebook, Step, StepFailure, TlsWish } from '../model/policy.ts'
import type { Outcome, PolicyFacts, TraceEntry } from '../model/report.ts'
import { askAdmit, askAfterFailure, askCertificate, askMinimumLevel, askProofs, askTls, pinsFor } from '../rules/decide.ts'
import { untriedEndpoints } from '../rules/next-attempt.ts'
import type { AttemptClamps, Tried } from '../rules/next-attempt.ts'
import type { ProofFacts } from '../rules/proofs.ts'
import { Deadline } from '../transport/deadline.ts'
import type { ReadyStream } from './negotiate.ts'
import { emptyFacts, factsAsEntry } from './step-facts.ts'
import type { StepFacts } from './step-facts.ts'

export interface NegotiationOptions {
  readonly id: string
  /** Stanzas will flow sender → target; we are the sender's server. */
  readonly pair: DomainPair
  readonly purpose: Peer['purpose']
  /** Whether the stream becomes a link, which can go both ways, or ends with the report. */
  readonly result: 'link' | 'report'
  readonly own: OwnState
  /** The rulebook in force when the negotiation began, or a probe's own. */
  readonly rulebook: Rulebook
  readonly signal: AbortSignal | undefined
}

/** Where on the ladder the current connection stands: what `record` has to know of a failure. */
interface Position {
  encrypted: boolean
  /** Whether the certificate of this connection authenticates the peer. */
  authenticated: boolean
  streamLives: boolean
  tlsRequiredByPeer: boolean
  proof: Proof | undefined
}

/**
 * What one negotiation carries from step to step: who it is about, what the policy answers, what has been tried, and the trace.
 * `step` is the one place that adds the deadline, the trace entry and the error's location, so that the story stays free of them.
 */
export class Negotiation {
  readonly id: string
  readonly pair: DomainPair
  readonly peer: Peer
  readonly server: LocalServer
  readonly book: Rulebook
  readonly startedAt: number
  readonly result: NegotiationOptions['result']
  readonly trace: TraceEntry[] = []
  readonly history: Tried[] = []
  readonly position: Position = { encrypted: false, authenticated: false, streamLives: false, tlsRequiredByPeer: false, proof: undefined }
  endpoints: readonly Endpoint[] = []
  attempt: Attempt | undefined
  readonly #deadline: Deadline
  readonly #recorded = new WeakMap<FederationError, Tried>()
  readonly #reasons = new Map<PolicyFacts['question'], string>()
  #attempts = 0
  #floor: SecurityLevel | undefined

  constructor(server: LocalServer, options: NegotiationOptions) {
    const { sender, target } = options.pair
    this.id = options.id
    this.pair = options.pair
    this.server = server
    this.book = options.rulebook
    this.result = options.result
    this.peer = { direction: 'outgoing', local: sender, remote: target, purpose: options.purpose, ...options.own }
    this.startedAt = server.clock.now()
    this.#deadline = new Deadline(server.clock, server.timeouts.negotiation, 'the whole negotiation', options.signal)
  }

  /** Aborted when the negotiation as a whole is over: by its deadline or by the caller. */
  get signal(): AbortSignal {
    return this.#deadline.signal
  }

  /** Ends the negotiation's own deadline. */
  finish(): void {
    this.#deadline.cancel()
  }

  /** Begins an attempt: the trace counts connections, and every connection starts in clear. */
  begin(attempt: Attempt): void {
    this.attempt = attempt
    this.#attempts += 1
    Object.assign(this.position, { encrypted: false, authenticated: false, streamLives: false, tlsRequiredByPeer: false, proof: undefined })
  }

  /**
   * Runs one step under its deadline and writes it into the trace, whatever its end. A step that cannot begin any more destroys the
   * connection that it was to own from then on.
   */
  async step<S extends Step, T>(step: S, run: (facts: StepFacts<S>, signal: AbortSignal) => Promise<T>, takesOver?: Duplex): Promise<T> {
    const startedAt = this.server.clock.now()
    const facts = emptyFacts(step, this)
    const deadline = new Deadline(this.server.clock, this.#stepTimeout(step), step, this.signal)
    try {
      if (deadline.signal.aborted) {
        takesOver?.destroy()
        throw abortReason(deadline.signal)
      }
      const result = await deadline.race(run(facts, deadline.signal))
      // A refusal that leaves the stream alive is an answer, not an exception.
      if (FederationError.is(result)) this.#enter(step, 'refused', result.code, facts, startedAt, result.message)
      else this.#enter(step, 'ok', 'ok', facts, startedAt)
      return result
    } catch (thrown) {
      const error = FederationError.from(thrown).located({ step, pair: this.pair })
      this.#enter(step, error.fault === 'policy' ? 'refused' : 'failed', error.code, facts, startedAt, error.message)
      throw error
    } finally {
      deadline.cancel()
    }
  }

  /** A step that was not taken, with the reason: skipped by us, or absent because the peer does not offer it. */
  skip(step: Step, code: string, outcome: Extract<Outcome, 'skipped' | 'absent'> = 'skipped'): void {
    this.#enter(step, outcome, code, emptyFacts(step, this), this.server.clock.now())
  }

  /** A step that the connection of a live link has behind it, or that needs no time: it is in the trace as if it were taken now. */
  note<S extends Step>(step: S, facts: StepFacts<S>): void {
    this.#enter(step, 'ok', 'ok', facts, this.server.clock.now())
  }

  /** Whether the stream goes both ways, for the trace. */
  enterBidi(pair: DomainPair, outcome: Outcome, code: string): void {
    this.#push({ at: this.server.clock.now(), attempt: this.#attempts, step: 'bidi', outcome, code, took: 0, facts: { pair } })
  }

  /** The address that is talked to. */
  get address(): string | undefined {
    const connected = this.trace.findLast(entry => entry.step === 'connect')
    return connected?.step === 'connect' ? connected.facts.address : undefined
  }

  /** Work that must not outlast the negotiation. */
  async race<T>(work: Promise<T>): Promise<T> {
    return await this.#deadline.race(work)
  }

  fail(code: ErrorCode, details: ErrorDetails = {}): FederationError {
    return new FederationError(code, { pair: this.pair, ...details })
  }

  readonly ask = {
    admit: async (): Promise<Admission> => this.#answered('admit', await this.race(Promise.resolve(askAdmit(this.book, this.peer)))),
    tls: (): TlsWish => this.#answered('tls', askTls(this.book, this.peer)),
    /** Without a line in the trace: for the clamps, which look at what was asked before. */
    tlsQuietly: (): TlsWish => askTls(this.book, this.peer).answer,
    certificate: (verdict: CertificateVerdict): Decision<CertificateUse> =>
      this.#decided('certificate', askCertificate(this.book, this.peer, verdict)),
    proofs: (encrypted: boolean, use: CertificateUse | undefined): Decision<readonly Proof[]> =>
      this.#decided('proofs', askProofs(this.book, this.peer, encrypted, use)),
    minimumLevel: (): SecurityLevel => {
      const floor = this.#floor ?? this.#answered('minimumLevel', askMinimumLevel(this.book, this.peer))
      this.#floor = floor
      return floor
    }
  }

  /** The error for what ends an attempt between steps, entered in the trace as the end of the step it belongs to. */
  failed(step: Step, code: ErrorCode, details: ErrorDetails = {}): FederationError {
    const error = this.fail(code, { ...details, step })
    const outcome: Outcome = code === 'S2S_TLS_NOT_OFFERED' ? 'absent' : error.fault === 'policy' ? 'refused' : 'failed'
    this.#enter(step, outcome, code, emptyFacts(step, this), this.server.clock.now(), error.message)
    return error
  }

  /** The error for a refusal by policy, with the reason that the policy gave. */
  refused(step: Step, question: PolicyFacts['question']): FederationError {
    const because = this.#reasons.get(question)
    return this.failed(step, 'S2S_POLICY', because === undefined ? {} : { detail: because })
  }

  /** What to say when the negotiation as a whole ended while a step was under way: an earlier reason is worth more than the clock. */
  calledOff(thrown: unknown): FederationError {
    const reason: unknown = this.signal.reason
    const error = FederationError.is(reason) ? reason : FederationError.from(thrown)
    return error.code === 'S2S_TIMEOUT' && this.history.length > 0
      ? this.firstFailure().asTemporary()
      : error.located({ pair: this.pair, ...locationOf(thrown) })
  }

  /** Whatever was thrown, as an error that names the pair. */
  asError(thrown: unknown): FederationError {
    return FederationError.from(thrown).located({ pair: this.pair })
  }

  /** What bounds the next attempt, whatever the policy answered. */
  clamps(): AttemptClamps {
    const floor = this.ask.minimumLevel()
    return { floor, tlsRequiredByUs: this.ask.tlsQuietly() === 'required' }
  }

  /** What the choice of proofs looks at. */
  proofFacts(ready: ReadyStream, floor: SecurityLevel): ProofFacts {
    return {
      encrypted: ready.stream.encrypted,
      use: ready.tls?.use,
      features: ready.features,
      floor,
      ours: this.peer.ours,
      hasPassword: this.server.passwords.has(this.pair.target),
      namespaceDialback: ready.header.dialback
    }
  }

  /** Judges what the peer presented, with the pins that guards hold for it. */
  judge(chain: readonly Buffer[]): CertificateVerdict {
    return this.server.judge.judge(chain, this.pair.target, this.server.clock.now(), pinsFor(this.book, this.peer))
  }

  /** Asks `afterFailure`, once per error, and remembers the failure. */
  record(thrown: unknown): Tried {
    const error = FederationError.from(thrown)
    const known = this.#recorded.get(error)
    if (known !== undefined) return known
    if (this.attempt === undefined) throw error
    const { encrypted, streamLives, tlsRequiredByPeer, proof } = this.position
    const failure: StepFailure = {
      step: error.step ?? 'establish',
      error,
      encrypted,
      streamLives,
      tlsRequiredByPeer,
      endpointsLeft: this.untried()
    }
    const answer = this.#answered('afterFailure', askAfterFailure(this.book, this.peer, failure))
    const tried: Tried = { attempt: this.attempt, failure, answer, ...(proof === undefined ? {} : { proof }) }
    this.#recorded.set(error, tried)
    this.history.push(tried)
    return tried
  }

  /** Endpoints not yet tried encrypted, beside the current one. */
  untried(): number {
    return this.attempt === undefined ? 0 : untriedEndpoints(this.history, this.endpoints, this.attempt)
  }

  /**
   * The first failure that mattered: an address that nobody answered at is worth less than what happened on a connection. It is for a
   * time only where something that was tried after it failed for a time only: that may have got there.
   */
  firstFailure(): FederationError {
    const errors = this.history.map(each => each.failure.error)
    const first = errors.find(error => error.step !== 'connect') ?? errors[0] ?? this.fail('S2S_DNS_NO_SERVICE')
    return errors.some(({ temporary }) => temporary) ? first.asTemporary() : first
  }

  #stepTimeout(step: Step): number {
    const { timeouts } = this.server
    if (step === 'resolve' || step === 'connect' || step === 'dialback') return timeouts[step]
    return timeouts.step
  }

  #answered<T>(question: PolicyFacts['question'], decision: Decision<T>): T {
    return this.#decided(question, decision).answer
  }

  #decided<T>(question: PolicyFacts['question'], decision: Decision<T>): Decision<T> {
    const { answer, asked, by, because } = decision
    if (because !== undefined) this.#reasons.set(question, because)
    const facts: PolicyFacts = {
      question,
      answer: String(answer),
      ...(asked === undefined ? {} : { asked: String(asked) }),
      by,
      ...(because === undefined ? {} : { because })
    }
    this.#push({ at: this.server.clock.now(), attempt: this.#attempts, step: 'policy', outcome: 'ok', code: 'ok', took: 0, facts })
    return decision
  }

  #enter<S extends Step>(step: S, outcome: Outcome, code: string, facts: StepFacts<S>, startedAt: number, message?: string): void {
    const at = this.server.clock.now()
    const took = at - startedAt
    this.#push(
      factsAsEntry(step, facts, { at, attempt: this.#attempts, outcome, code, took, ...(message === undefined ? {} : { message }) })
    )
  }

  #push(entry: TraceEntry): void {
    this.trace.push(entry)
    this.server.observer.emit('negotiation-step', { id: this.id, peer: this.peer, entry })
  }
}

function locationOf(thrown: unknown): { readonly step?: Step } {
  return FederationError.is(thrown) && thrown.step !== undefined ? { step: thrown.step } : {}
}
