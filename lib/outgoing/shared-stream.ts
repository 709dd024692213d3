import { keyXml, readAnswer } from '../auth/dialback-initiating.ts'
import type { DialbackOutcome, DialbackRequest } from '../auth/dialback-initiating.ts'
import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import type { OwnCertificate } from '../model/certificate.ts'
import { pairKey } from '../model/domain.ts'
import type { Domain, DomainPair } from '../model/domain.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { connectionOf } from '../rules/multiplexing.ts'
import type { LinkConnection, StreamFacts } from '../rules/multiplexing.ts'
import type { Carrier } from '../streams/carrier.ts'
import { DialbackRequests } from '../streams/dialback-requests.ts'
import type { ElementFrame } from '../xml/framer.ts'
import type { AuthenticatedStream } from './negotiate.ts'

/** What a stream needs of the link that it is. */
export interface SharedStreamOptions {
  readonly carrier: Carrier
  readonly established: AuthenticatedStream
  /** Of the negotiation that made the stream. */
  readonly report: Report
  readonly mostPairs: number
  /** What takes the pairs of the opposite flow; undefined: the stream goes one way. */
  readonly back: { add(evidence: Evidence): void } | undefined
  readonly write: (xml: string) => void
  /** A pair has joined. */
  readonly grown: () => void
  /** No new stanza is to leave on it: it ends when what is on its way is acknowledged. */
  readonly retire: () => void
}

/** The pairs of one outgoing stream: the one that it was opened for, and those that join it by dialback (XEP-0220 §2.6). */
export class SharedStream {
  readonly carrier: Carrier
  /** Where it is connected to; undefined: that is not known, and nobody joins it. */
  readonly connection: LinkConnection | undefined
  readonly #options: SharedStreamOptions
  readonly #requests = new DialbackRequests()
  /** Pairs that the peer has answered about and that are not decided, by `pairKey`: what to call when they are. */
  readonly #undecided = new Map<string, () => void>()
  #pairs: readonly PairStatus[]
  #wasJoined = false
  #refusals = 0

  constructor(options: SharedStreamOptions) {
    this.carrier = options.carrier
    this.connection = connectionOf(options.report)
    this.#options = options
    this.#pairs = [statusOf(options.established.evidence)]
  }

  get pairs(): readonly PairStatus[] {
    return this.#pairs
  }

  /** Whether nobody has ever joined the pair that it was opened for. */
  get isOfOnePair(): boolean {
    return !this.#wasJoined
  }

  /** The target that its header named. */
  get target(): Domain | undefined {
    return this.#options.report.peer.remote
  }

  get encrypted(): boolean {
    return this.#options.established.stream.encrypted
  }

  get goesBothWays(): boolean {
    return this.#options.back !== undefined
  }

  /** What the peer presented, DER, leaf first. */
  get chain(): readonly Buffer[] {
    return this.#options.established.tls?.secured.chain ?? []
  }

  /** Our own certificate for the sender that the stream was opened for. */
  get shown(): OwnCertificate {
    return this.#options.report.peer.ours
  }

  /** What a rule has to know of it for one pair. */
  factsFor(pair: DomainPair): StreamFacts {
    const { established, mostPairs } = this.#options
    return {
      isUsable: this.carrier.usable && this.connection !== undefined && established.header.id !== undefined,
      encrypted: this.encrypted,
      pairs: this.#pairs.length + this.#requests.size,
      mostPairs,
      pending: this.#requests.size,
      wasAsked: this.#requests.has(pair),
      refusals: this.#refusals,
      isSameTarget: this.target === pair.target,
      features: this.features,
      declaresDialback: established.header.dialback
    }
  }

  /** What is offered now, with the mechanisms that were offered before identity was proved. */
  get features(): StreamFeatures {
    const { features, mechanisms } = this.#options.established
    return { ...features, mechanisms }
  }

  /**
   * Sends the key of a further pair and waits for its answer (XEP-0220 §2.1.1); the pairs that are there flow on meanwhile.
   *
   * Whatever comes of it, {@link add} or {@link forget} has to follow.
   *
   * @returns evidence, or the dialback error, after which the stream lives on
   * @throws FederationError `S2S_DIALBACK_INVALID`, after which no new stanza leaves on the stream; or what the stream ended with
   */
  async ask(request: Omit<DialbackRequest, 'streamId'>, facts: DialbackOutcome): Promise<Evidence | FederationError> {
    const { established, write } = this.#options
    const { header, stream } = established
    const answer = this.#requests.answerTo(request.pair)
    write(keyXml({ ...request, streamId: header.id ?? '' }))
    try {
      const read = readAnswer(await answer, request, stream.encrypted, facts)
      if (FederationError.is(read)) this.#refusals += 1
      return read
    } catch (error) {
      if (FederationError.is(error) && error.code === 'S2S_DIALBACK_INVALID') this.#options.retire()
      throw error
    }
  }

  /**
   * The pair is not to be on the stream. On one that goes both ways the peer may have said `valid`, or may say it still, and then send
   * for the reversed pair: such a stream takes nothing more.
   *
   * @param error what the peer has answered with, if it was an error: then it sends nothing for the pair
   */
  forget(pair: DomainPair, error?: FederationError): void {
    const wasPending = this.#requests.forget(pair)
    const wasValid = this.#decide(pair) && error?.code !== 'S2S_DIALBACK_ERROR'
    if (this.goesBothWays && (wasPending || wasValid)) this.#options.retire()
  }

  /**
   * Evidence makes a pair of the stream: from now on its stanzas may leave on it.
   *
   * @param reversed the pair of the opposite flow, whose stanzas may come from now on
   */
  add(evidence: Evidence, reversed: Evidence | undefined): PairStatus {
    const status = statusOf(evidence)
    this.#pairs = [...this.#pairs, status]
    this.#wasJoined = true
    if (reversed !== undefined) this.#options.back?.add(reversed)
    this.#options.grown()
    this.#decide(evidence.pair)
    return status
  }

  /** These pairs are not its pairs any more. */
  drop(fallen: readonly DomainPair[]): void {
    const keys = new Set(fallen.map(pairKey))
    this.#pairs = this.#pairs.filter(({ pair }) => !keys.has(pairKey(pair)))
  }

  /**
   * An answer from the peer; one that nobody has asked for here is dropped.
   *
   * @returns a promise on a stream that goes both ways: it must not be read on before it is decided whether the reversed pair may come
   */
  receive(frame: ElementFrame): Promise<void> | undefined {
    const pair = this.#requests.receive(frame)
    if (pair === undefined || !this.goesBothWays) return undefined
    return new Promise(resolve => this.#undecided.set(pairKey(pair), resolve))
  }

  /** @returns whether it was answered about, and not decided */
  #decide(pair: DomainPair): boolean {
    const key = pairKey(pair)
    const tell = this.#undecided.get(key)
    tell?.()
    return this.#undecided.delete(key)
  }

  /** The stream is over for whoever still waits. */
  end(cause: FederationError | undefined): void {
    this.#requests.end(cause ?? new FederationError('S2S_STREAM_CLOSED', { detail: 'the stream ended while dialback was pending' }))
    for (const tell of this.#undecided.values()) tell()
    this.#undecided.clear()
  }
}
