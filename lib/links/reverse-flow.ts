import { answerVerify } from '../auth/authoritative.ts'
import { statusOf } from '../auth/evidence.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Link } from '../model/link.ts'
import type { PairStatus } from '../model/report.ts'
import type { IncomingParts } from '../incoming/parts.ts'
import { admitStanza } from '../rules/addressing.ts'
import { kindOf } from '../rules/permitted.ts'
import { Delivery } from '../streams/delivery.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { createStanza } from '../xml/stanza.ts'
import type { XmlStream } from '../xml/stream.ts'

/** What comes back on an outgoing stream that goes both ways (XEP-0288 §2.2): the receiving entity's stanzas, and its dialback. */
export class ReverseFlow {
  readonly delivery: Delivery
  /** By `pairKey`. */
  readonly #pairs = new Map<string, PairStatus>()
  readonly #stream: XmlStream
  readonly #parts: IncomingParts

  constructor(first: Evidence, stream: XmlStream, parts: IncomingParts) {
    this.#stream = stream
    this.#parts = parts
    this.delivery = new Delivery(parts.onStanza, parts.server)
    this.delivery.readAhead()
    this.add(first)
  }

  /** Evidence makes a pair: from now on its stanzas may come. */
  add(evidence: Evidence): void {
    this.#pairs.set(pairKey(evidence.pair), statusOf(evidence))
  }

  remove(pair: DomainPair): void {
    this.#pairs.delete(pairKey(pair))
  }

  get pairs(): readonly PairStatus[] {
    return [...this.#pairs.values()]
  }

  /**
   * Acts on one element.
   *
   * @returns `unexpected` if it has no business here; a promise where the stream must not be read on before it settles
   * @throws FederationError that ends the stream, for a stanza of a pair that is not authenticated in this direction
   */
  receive(frame: ElementFrame, link: Link): Promise<void> | 'unexpected' | undefined {
    switch (kindOf(frame)) {
      case 'stanza':
        return this.#deliver(frame, link)
      case 'dialback-verify':
        this.#answerVerify(frame)
        return undefined
      default:
        return 'unexpected'
    }
  }

  #deliver(frame: ElementFrame, link: Link): Promise<void> | undefined {
    const judged = admitStanza(frame, this.#pairs)
    if (!judged.admitted) throw refused(judged.condition, judged.because)
    return this.delivery.deliver(createStanza(frame, judged.from, judged.to), { link, pair: judged.status }, frame.size)
  }

  /** The authoritative server's part: due to anyone (XEP-0220 §2.2.2). */
  #answerVerify(frame: ElementFrame): void {
    const { from = '', to = '', id = '' } = frame
    const answer = answerVerify({ from, to, id, key: frame.element().getText() }, this.#parts.server)
    if (answer === undefined) throw refused('improper-addressing', 'a dialback element names no two domains')
    this.#stream.write(answer)
  }
}

function refused(condition: string, detail: string): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', { condition, stream: condition, detail })
}
