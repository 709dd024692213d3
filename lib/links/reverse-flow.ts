import { answerVerify } from '../auth/authoritative.ts'
import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { receiveKeyOn, unaddressed } from '../incoming/keys.ts'
import type { IncomingParts } from '../incoming/parts.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { PairStatus, Report } from '../model/report.ts'
import type { AuthenticatedStream } from '../outgoing/negotiate.ts'
import { admitStanza } from '../rules/addressing.ts'
import { connectionOf } from '../rules/multiplexing.ts'
import { kindOf } from '../rules/permitted.ts'
import { Delivery } from '../streams/delivery.ts'
import type { LiveLink } from '../streams/standing.ts'
import { crowdedController } from '../transport/deadline.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { createStanza } from '../xml/stanza.ts'
import type { XmlStream } from '../xml/stream.ts'
import { KeysBack } from './keys-back.ts'

/** What an outgoing stream that goes both ways is received on. */
export interface ReverseFlowOptions {
  readonly link: LiveLink
  readonly stream: XmlStream
  /** The id in the peer's last header. */
  readonly streamId: string
  /** What the peer presented, DER, leaf first. */
  readonly chain: readonly Buffer[]
  readonly address: string | undefined
  readonly parts: IncomingParts
}

/** What comes back on an outgoing stream that goes both ways (XEP-0288 §2.2): the receiving entity's stanzas, and its dialback. */
export class ReverseFlow {
  readonly delivery: Delivery
  /** By `pairKey`. */
  readonly #pairs = new Map<string, PairStatus>()
  readonly #options: ReverseFlowOptions
  readonly #keys: KeysBack
  readonly #over = crowdedController()

  constructor(first: Evidence, options: ReverseFlowOptions) {
    this.#options = options
    this.delivery = new Delivery(options.parts.onStanza, options.parts.order, options.parts.server)
    this.delivery.readAhead()
    const { link, stream } = options
    this.delivery.from({
      stream,
      supersede: error => link.reset(error)
    })
    this.#keys = new KeysBack(options, this, this.#over.signal)
    this.add(first)
  }

  /** Evidence makes a pair: from now on its stanzas may come. */
  add(evidence: Evidence): void {
    const status = statusOf(evidence)
    this.#pairs.set(pairKey(status.pair), status)
    this.delivery.join(status)
  }

  /** Nothing of these pairs is delivered any more. */
  drop(fallen: readonly DomainPair[]): void {
    for (const pair of fallen) this.delivery.refuse(pair)
  }

  has(pair: DomainPair): boolean {
    return this.#pairs.has(pairKey(pair))
  }

  get pairs(): readonly PairStatus[] {
    return [...this.#pairs.values()].filter(({ pair }) => !this.delivery.refuses(pair))
  }

  /**
   * Acts on one element.
   *
   * @returns `unexpected` if it has no business here; a promise where the stream must not be read on before it settles
   * @throws FederationError that ends the stream, for a stanza of a pair that is not authenticated in this direction
   */
  receive(frame: ElementFrame): Promise<void> | 'unexpected' | undefined {
    switch (kindOf(frame)) {
      case 'stanza':
        return this.#deliver(frame)
      case 'dialback-key':
        receiveKeyOn(this.#keys, frame)
        return undefined
      case 'dialback-verify':
        this.#answerVerify(frame)
        return undefined
      default:
        return 'unexpected'
    }
  }

  /** Nothing more is delivered, and nothing that is being found out counts. */
  end(error: FederationError | undefined): void {
    this.#over.abort(error ?? new FederationError('S2S_STREAM_CLOSED'))
    this.delivery.end()
  }

  #deliver(frame: ElementFrame): Promise<void> | undefined {
    const { link } = this.#options
    const judged = admitStanza(frame, this.#pairs)
    if (!judged.admitted) {
      const { condition, because } = judged
      throw new FederationError('S2S_STREAM_ERROR_SENT', { condition, stream: condition, detail: because })
    }
    return this.delivery.deliver(createStanza(frame, judged.from, judged.to), { link, pair: judged.status }, frame.size)
  }

  /** The authoritative server's part: due to anyone (XEP-0220 §2.2.2). */
  #answerVerify(frame: ElementFrame): void {
    const { stream, parts } = this.#options
    const { from = '', to = '', id = '' } = frame
    const answer = answerVerify({ from, to, id, key: frame.element().getText() }, parts.server)
    if (answer === undefined) throw unaddressed()
    stream.write(answer)
  }
}

/** What comes back on the stream of a link; undefined: it goes one way. */
export function flowBack(
  { reversed, stream, header, tls }: AuthenticatedStream,
  { report, ...by }: Pick<ReverseFlowOptions, 'link' | 'parts'> & { readonly report: Report }
): ReverseFlow | undefined {
  if (reversed === undefined) return undefined
  const chain = tls?.secured.chain ?? []
  return new ReverseFlow(reversed, { ...by, stream, streamId: header.id ?? '', chain, address: connectionOf(report)?.address })
}
