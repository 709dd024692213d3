import type { JudgedCertificate } from '../auth/dialback-receiving.ts'
import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { denied } from '../incoming/keys.ts'
import type { KeyStream } from '../incoming/keys.ts'
import type { IncomingParts } from '../incoming/parts.ts'
import { RefusedKeys } from '../incoming/refused-keys.ts'
import { outcomeOf } from '../incoming/trace.ts'
import type { StepFacts } from '../incoming/trace.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Peer } from '../model/policy.ts'
import { MOST_REFUSALS } from '../rules/multiplexing.ts'
import { askAdmit, askCertificate, askProofs, pinsFor } from '../rules/decide.ts'
import { underSettingsOfNow } from '../streams/standing.ts'
import { Deadline } from '../transport/deadline.ts'
import type { ReverseFlow, ReverseFlowOptions } from './reverse-flow.ts'

/** No settings were ever in force then: what is let in is judged in any case. */
const BEFORE_ALL = -1

/**
 * The keys that the receiving entity sends on an outgoing stream that goes both ways (XEP-0288 §2.2): here we are the receiving
 * server, with the same questions, limits and answers as on a stream that the peer has opened. What counts as its certificate is the
 * one it has as TLS server on this connection.
 */
export class KeysBack implements KeyStream {
  readonly encrypted = true
  readonly pending = new Set<string>()
  readonly refusedKeys: RefusedKeys
  readonly signal: AbortSignal
  readonly #options: ReverseFlowOptions
  readonly #flow: ReverseFlow
  #refusals = 0

  constructor(options: ReverseFlowOptions, flow: ReverseFlow, signal: AbortSignal) {
    this.#options = options
    this.#flow = flow
    this.signal = signal
    const { clock, limits } = options.parts.server
    this.refusedKeys = new RefusedKeys(clock, limits.pairsPerStream)
  }

  get parts(): IncomingParts {
    return this.#options.parts
  }

  get id(): string {
    return this.#options.streamId
  }

  get address(): string | undefined {
    return this.#options.address
  }

  get pairs(): number {
    return this.#options.link.pairs.length
  }

  isOver(): boolean {
    return this.signal.aborted
  }

  has(pair: DomainPair): boolean {
    return this.#flow.has(pair)
  }

  write(xml: string): void {
    this.#options.stream.write(xml)
  }

  async step<T>(facts: StepFacts<'dialback'>, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeouts } = this.parts.server
    const startedAt = clock.now()
    const deadline = new Deadline(clock, timeouts.dialback, 'dialback', this.signal)
    try {
      const result = await deadline.race(run(deadline.signal))
      this.#tell(facts, startedAt, FederationError.is(result) ? result : undefined)
      return result
    } catch (thrown) {
      const error = FederationError.from(thrown).located({ step: 'dialback' })
      this.#tell(facts, startedAt, error)
      throw error
    } finally {
      deadline.cancel()
    }
  }

  async allowed(pair: DomainPair): Promise<{ readonly certificate: JudgedCertificate } | FederationError> {
    const { server } = this.parts
    const peer: Peer = { ...this.#peerOf(pair), ...(await server.ourCertificate(pair.target)) }
    const book = server.rulebook()
    if ((await askAdmit(book, peer)).answer === 'refuse') return new FederationError('S2S_POLICY', { condition: 'not-authorized', pair })
    const verdict = server.judge.judge(this.#options.chain, pair.sender, server.clock.now(), pinsFor(book, peer))
    const use = askCertificate(book, peer, verdict).answer
    if (use === 'reject') return new FederationError('S2S_CERTIFICATE', { condition: 'not-authorized', pair })
    if (!askProofs(book, peer, true, use).answer.includes('dialback')) return denied('not-authorized', 'dialback is not accepted here')
    return { certificate: { verdict, use } }
  }

  accept(evidence: Evidence): Promise<FederationError | undefined> {
    const { chain, address, link } = this.#options
    const { server } = this.parts
    const pair = statusOf(evidence)
    const on = { status: pair, encrypted: true, chain, ...(address === undefined ? {} : { address }) }
    return underSettingsOfNow([on], BEFORE_ALL, server, this.signal, () => {
      if (this.isOver()) return
      this.#flow.add(evidence)
      server.observer.emit('pair-authenticated', { link, pair })
    })
  }

  /** Another server decides how many keys it sends: one that is refused is told, and a stream on which many are is of no more use. */
  remember(error: FederationError): void {
    const { server } = this.parts
    this.#refusals += 1
    if (this.#refusals === 1) server.observer.warn(error)
    if (this.#refusals === MOST_REFUSALS) server.background(this.#options.link.close())
  }

  /** Not of its own accord: our own pair is authenticated here whatever the peer's keys are worth. */
  stop(error: FederationError): void {
    this.#options.link.reset(error)
  }

  #peerOf(pair: DomainPair): Peer {
    const { address } = this
    return {
      direction: 'incoming',
      local: pair.target,
      remote: pair.sender,
      ...(address === undefined ? {} : { address }),
      purpose: 'stanzas',
      ours: 'missing'
    }
  }

  #tell(facts: StepFacts<'dialback'>, startedAt: number, error: FederationError | undefined): void {
    const { clock, observer } = this.parts.server
    const at = clock.now()
    const ending =
      error === undefined ? { outcome: 'ok' as const, code: 'ok' } : { outcome: outcomeOf(error), code: error.code, message: error.message }
    const { pair } = facts
    if (pair === undefined) return
    const entry = { ...ending, step: 'dialback' as const, facts: { ...facts }, at, attempt: 1, took: at - startedAt }
    observer.emit('negotiation-step', { id: this.#options.link.id, peer: this.#peerOf(pair), entry })
  }
}
