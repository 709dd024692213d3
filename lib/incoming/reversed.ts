import { identityBy } from '../auth/dialback-receiving.ts'
import type { Evidence } from '../auth/evidence.ts'
import { statusOf } from '../auth/evidence.ts'
import { reversedEvidence } from '../auth/reversal.ts'
import type { FederationError } from '../errors.ts'
import { pairKey, reversed } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Link } from '../model/link.ts'
import type { Proof } from '../model/level.ts'
import type { Peer } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { askAdmit, pinsFor } from '../rules/decide.ts'
import { reachesHigherAlone, reversalRefusal } from '../rules/reversal.ts'
import type { Reversal } from '../rules/reversal.ts'
import { commonOptions } from '../streams/acknowledgements-options.ts'
import { Acknowledgements } from '../streams/acknowledgements.ts'
import type { Carrier } from '../streams/carrier.ts'
import type { Consignment, Ended } from '../streams/consignment.ts'
import type { KeptStream } from '../streams/kept-stream.ts'
import { warnOfSmallLimit } from '../streams/small-limit.ts'
import { underSettingsOfNow } from '../streams/standing.ts'
import { Deadline } from '../transport/deadline.ts'
import { readLimits } from '../xml/features.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_LIMITS, NS_SM } from '../xml/namespaces.ts'
import type { XmlStream } from '../xml/stream.ts'
import { featuresOf } from './features.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import type { OpenStream } from './stage.ts'
import { onStream } from './standing.ts'

/** `<bidi/>` has no answer (XEP-0288 §2.2): where it was not offered, the stream goes on one way. */
export function receiveBidi(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): undefined {
  if (!featuresOf(open, n.server).bidi) return
  const limits = frame.element().getChild('limits', NS_LIMITS)
  n.authenticated.goBothWays(open.stream, limits === undefined ? {} : readLimits(limits))
}

/**
 * The sending half of an incoming stream whose initiating entity wants it to go both ways. For each pair that is authenticated on
 * it the reversed pair is asked about as if it were dialled: outgoing policy, guards, pins and floor. Whatever else the peer has
 * proved, no stanza of another pair is sent here (XEP-0288 §2.2).
 */
export class ReversedPairs {
  readonly acknowledgements: Acknowledgements
  /** By `pairKey`. */
  readonly pairs = new Map<string, PairStatus>()
  /** On the engine's clock. */
  lastSent = 0
  /** Resolves when it is known of each pair that was proved whether it may be sent here. Never rejects. */
  asked: Promise<unknown> = Promise.resolve()
  /** By `pairKey`. */
  readonly #carriers = new Map<string, Carrier>()
  #kept: KeptStream | undefined
  readonly #n: IncomingNegotiation
  readonly #stream: XmlStream
  readonly #maxBytes: number | undefined
  readonly #closed: Promise<undefined>
  #tellClosed: (end: undefined) => void = () => undefined

  /** @param maxBytes the largest stanza that the peer takes (XEP-0478); undefined: it has not said */
  constructor(n: IncomingNegotiation, stream: XmlStream, maxBytes: number | undefined) {
    this.#n = n
    this.#stream = stream
    this.#maxBytes = maxBytes
    this.#closed = new Promise(resolve => (this.#tellClosed = resolve))
    this.acknowledgements = new Acknowledgements({
      ...commonOptions(n.server),
      maxBytes,
      resumption: undefined,
      write: stream.write.bind(stream),
      fail: error => n.stop(error)
    })
  }

  /** Asks whether the pair of the opposite flow may be sent here, and offers it to its route if so. */
  add(evidence: Evidence, open: OpenStream, link: Link): void {
    const asking = this.#ask(evidence, open, link)
    this.asked = Promise.all([this.asked, asking])
    this.#n.server.background(asking)
  }

  /** What takes the stanzas of the one pair that may be sent here; undefined: there is none, or there are several. */
  get only(): Carrier | undefined {
    const [first, ...others] = this.#carriers.values()
    return others.length > 0 ? undefined : first
  }

  /**
   * The stream is lost, and its peer may come back for it: keeps what was sent and is not acknowledged.
   *
   * @returns undefined: nothing is, or the stream has several pairs and nobody resumes it
   */
  keep(cause: FederationError): KeptStream | undefined {
    const { timeouts } = this.#n.server
    if (this.only === undefined || this.#n.authenticated.size > 1) return undefined
    return (this.#kept ??= this.acknowledgements.keep(cause, Math.min(timeouts.step, timeouts.resumption)))
  }

  /** A policy that does not answer has not let it. Never rejects. */
  async #ask(evidence: Evidence, open: OpenStream, link: Link): Promise<void> {
    const { server, signal, trace } = this.#n
    const deadline = new Deadline(server.clock, server.timeouts.step, 'policy for the opposite flow', signal)
    try {
      await deadline.race(this.#judge(evidence, open, link, deadline.signal))
    } catch {
      if (!signal.aborted) trace.enterBidi({ pair: reversed(evidence.pair) }, 'policy')
    } finally {
      deadline.cancel()
    }
  }

  async #judge(evidence: Evidence, open: OpenStream, link: Link, signal: AbortSignal): Promise<void> {
    const n = this.#n
    const pair = reversed(evidence.pair)
    const { epoch } = n.server
    const book = n.server.rulebook()
    const { ours } = await n.peerOf(pair.sender, pair.target)
    const peer: Peer = { direction: 'outgoing', local: pair.sender, remote: pair.target, purpose: 'stanzas', ours }
    const admission = await askAdmit(book, peer)
    if (signal.aborted || n.isLeaving) return
    const verdict = n.server.judge.judge(open.tls?.chain ?? [], pair.target, n.server.clock.now(), pinsFor(book, peer))
    const peerIdentity = identityBy({ verdict, use: 'authenticate' })
    const refusal =
      admission.answer === 'refuse' ? 'policy' : this.#refusal({ book, peer, verdict, proofs: [evidence.proof] }, evidence.proof)
    if (refusal !== undefined || peerIdentity === 'dns') {
      n.trace.enterBidi({ pair }, refusal ?? 'certificate-not-valid')
      return
    }
    const status = statusOf(reversedEvidence(evidence, peerIdentity))
    const fallen = await underSettingsOfNow([onStream(status, open, n)], epoch, n.server, signal, () => {
      if (!n.isLeaving) this.#let(status, link)
    })
    if (fallen !== undefined) throw fallen
  }

  #refusal(reversal: Reversal, proof: Proof): string | undefined {
    const { server } = this.#n
    const { remote } = reversal.peer
    const hasPassword = remote !== undefined && server.passwords.has(remote)
    return reversalRefusal(reversal) ?? (reachesHigherAlone(proof, reversal, hasPassword) ? 'higher-alone' : undefined)
  }

  #let(status: PairStatus, link: Link): void {
    const { trace, server, parts } = this.#n
    trace.enterBidi({ pair: status.pair }, 'ok')
    if (this.pairs.size === 0) warnOfSmallLimit(this.#maxBytes, status.pair, server.observer)
    this.pairs.set(pairKey(status.pair), status)
    server.observer.emit('pair-authenticated', { link, pair: status })
    const carrier = this.#carrierFor(link)
    this.#carriers.set(pairKey(status.pair), carrier)
    parts.carriers.add(status.pair, carrier)
  }

  /** The pair is not to be sent here any more. */
  drop(pair: DomainPair): void {
    this.pairs.delete(pairKey(pair))
    this.#carriers.delete(pairKey(pair))
  }

  /** After our closing tag: what the peer still acknowledges counts. */
  hear(late: ElementFrame): void {
    if (late.namespace === NS_SM && late.name === 'a') this.acknowledgements.receive(late)
  }

  /** The connection is gone: what was written, is not acknowledged and not kept is in doubt. */
  end(error: FederationError | undefined): void {
    this.acknowledgements.end(error)
    // Whatever ended it, the pair can be dialled: it was not a dial of ours that failed.
    this.#tellClosed(undefined)
  }

  #carrierFor(link: Link): Carrier {
    const n = this.#n
    const stream = this.#stream
    const { acknowledgements } = this
    const kept = (): KeptStream | undefined => this.#kept
    return {
      link,
      maxBytes: this.#maxBytes,
      closed: this.#closed,
      get kept() {
        return kept()
      },
      get usable() {
        return !n.signal.aborted && !n.isLeaving && stream.writable
      },
      get full() {
        return stream.full || acknowledgements.full
      },
      async drained() {
        await stream.drained()
        await acknowledgements.room()
      },
      send: (consignment: Consignment, ended: Ended) => {
        this.lastSent = n.server.clock.now()
        acknowledgements.send(consignment, ended)
        n.authenticated.wrote()
      }
    }
  }
}
