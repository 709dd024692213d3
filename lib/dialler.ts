import type { AssembledServer } from './assemble.ts'
import { statusOf } from './auth/evidence.ts'
import type { Evidence } from './auth/evidence.ts'
import { FederationError } from './errors.ts'
import type { IncomingParts } from './incoming/parts.ts'
import { OutgoingLink } from './links/outgoing-link.ts'
import { checkedPair } from './links/router.ts'
import { unlessAborted } from './model/aborted.ts'
import type { Domain, DomainPair } from './model/domain.ts'
import type { OwnState, Rulebook } from './model/policy.ts'
import type { Report } from './model/report.ts'
import { createId } from './outgoing/id.ts'
import type { AuthenticatedStream } from './outgoing/negotiate.ts'
import { Negotiation } from './outgoing/negotiation.ts'
import { runNegotiation } from './outgoing/outcome.ts'
import type { Outcome, Reached } from './outgoing/outcome.ts'
import { SharedStreams } from './outgoing/shared-streams.ts'
import type { Carrier } from './streams/carrier.ts'
import type { LostStream } from './streams/lost-stream.ts'
import { connectionOf } from './rules/multiplexing.ts'
import { warnOfSmallLimit } from './streams/small-limit.ts'
import { underSettingsOfNow } from './streams/standing.ts'
import type { LiveLink, PairOnStream } from './streams/standing.ts'

/** So often a negotiation begins anew because settings have changed while it went on. */
const MOST_TRIES = 3

type Joined = Extract<Reached, { kind: 'joined' }>

/** Negotiates outgoing links, and keeps them among the engine's links as long as they live. */
export class Dialler {
  readonly #server: AssembledServer
  readonly #links: Set<LiveLink>
  readonly #stopped: AbortSignal
  /** What comes back on a stream that goes both ways is received with. */
  readonly #parts: () => IncomingParts
  /** The live streams that a further pair might join. */
  readonly #shared = new SharedStreams()

  constructor(server: AssembledServer, links: Set<LiveLink>, stopped: AbortSignal, parts: () => IncomingParts) {
    this.#parts = parts
    this.#server = server
    this.#links = links
    this.#stopped = stopped
  }

  /**
   * What takes a pair's stanzas: a live stream that the pair has joined, or a link of its own. What began under other settings counts
   * only if the pair stands under those of now; if not, it begins anew, if the pair is still ours to open.
   *
   * @param lost the pair's last stream, which is to be taken up again
   * @throws FederationError the first failure that mattered; `S2S_NOT_HOSTED` or `S2S_LOCAL_DOMAIN` where domains have come or gone
   */
  async dial(pair: DomainPair, lost: LostStream | undefined): Promise<Carrier> {
    // What was lost with a connection of the pair's own is taken up on one of its own.
    const live = lost === undefined && this.#server.extensions.multiplexing ? this.#shared : undefined
    for (let tries = 1; ; tries += 1) {
      const { epoch } = this.#server
      checkedPair(pair, this.#server)
      const { report, reached, error } = await this.negotiate(pair, this.#server.rulebook(), 'link', undefined, live)
      const result =
        reached === undefined
          ? error
          : reached.kind === 'joined'
            ? await this.#join(reached, epoch)
            : await this.#establish(reached.stream, report, epoch, lost)
      if (!FederationError.is(result)) return result
      const isTelling = epoch === this.#server.epoch && !isGone(reached)
      if (isTelling || tries === MOST_TRIES || this.#stopped.aborted) throw result
    }
  }

  /** One negotiation, under these rules. Never rejects for what the remote did. */
  async negotiate(
    pair: DomainPair,
    rulebook: Rulebook,
    result: 'link' | 'report',
    caller: AbortSignal | undefined,
    live?: SharedStreams
  ): Promise<Outcome> {
    const signal = caller === undefined ? this.#stopped : AbortSignal.any([this.#stopped, caller])
    const own = await this.#ownState(pair.sender, signal)
    const n = new Negotiation(this.#server, { id: createId(), pair, purpose: 'stanzas', result, own, rulebook, signal })
    return await runNegotiation(n, live)
  }

  /** What is called off while a key store thinks is called off in its report, as at any other moment. */
  async #ownState(local: Domain, signal: AbortSignal): Promise<OwnState> {
    try {
      return await unlessAborted(this.#server.ourCertificate(local), signal)
    } catch (error) {
      if (signal.aborted) return { ours: 'missing' }
      throw error
    }
  }

  /** The stream may have ended while the settings of now were asked: then it is not the pair's, nor is what was lost with it. */
  async #join({ stream, evidence, reversed }: Joined, epoch: number): Promise<Carrier | FederationError> {
    const { carrier, chain, connection } = stream
    const { observer } = this.#server
    const on = onStream({ evidence, reversed }, { encrypted: true, chain, address: connection?.address })
    const taken: Carrier[] = []
    try {
      const fallen = await underSettingsOfNow(on, epoch, this.#server, this.#stopped, () => {
        if (!carrier.usable) return
        observer.emit('pair-authenticated', { link: carrier.link, pair: stream.add(evidence, reversed) })
        if (reversed !== undefined) observer.emit('pair-authenticated', { link: carrier.link, pair: statusOf(reversed) })
        taken.push(carrier)
      })
      return taken[0] ?? fallen ?? ended(evidence.pair)
    } finally {
      if (taken.length === 0) stream.forget(evidence.pair)
    }
  }

  async #establish(
    established: AuthenticatedStream,
    report: Report,
    epoch: number,
    lost: LostStream | undefined
  ): Promise<OutgoingLink | FederationError> {
    const { stream, tls } = established
    const links: OutgoingLink[] = []
    const on = onStream(established, {
      encrypted: stream.encrypted,
      chain: tls?.secured.chain ?? [],
      address: connectionOf(report)?.address
    })
    const fallen = await underSettingsOfNow(on, epoch, this.#server, this.#stopped, () => {
      const link = new OutgoingLink(createId(), established, { report, lost, server: this.#server, parts: this.#parts() })
      this.#keep(link)
      links.push(link)
    })
    const [link] = links
    if (link !== undefined) return link
    const error = fallen ?? new FederationError('S2S_STOPPED', { pair: established.evidence.pair })
    this.#server.background(stream.end(error))
    return error
  }

  #keep(link: OutgoingLink): void {
    const { observer } = this.#server
    this.#links.add(link)
    this.#shared.add(link.shared)
    observer.emit('link-established', { link })
    for (const pair of link.pairs) observer.emit('pair-authenticated', { link, pair })
    if (link.pairs[0] !== undefined) warnOfSmallLimit(link.maxBytes, link.pairs[0].pair, observer)
    const gone = link.ended.then(error => {
      this.#links.delete(link)
      this.#shared.delete(link.shared)
      observer.emit('link-closed', { link, error })
    })
    this.#server.background(gone)
  }
}

/** A stream that was joined and has ended says nothing of the pair. */
function isGone(reached: Reached | undefined): boolean {
  return reached?.kind === 'joined' && !reached.stream.carrier.usable
}

function ended(pair: DomainPair): FederationError {
  return new FederationError('S2S_STREAM_CLOSED', { pair, step: 'establish', detail: 'the stream that was joined has ended' })
}

/** What a negotiation has yielded, to be judged again. What we send is asked about without an address, as before a dial. */
function onStream(
  { evidence, reversed }: { readonly evidence: Evidence; readonly reversed: Evidence | undefined },
  { address, ...stream }: { readonly encrypted: boolean; readonly chain: readonly Buffer[]; readonly address: string | undefined }
): readonly PairOnStream[] {
  const there = { status: statusOf(evidence), ...stream }
  if (reversed === undefined) return [there]
  return [there, { status: statusOf(reversed), ...stream, ...(address === undefined ? {} : { address }) }]
}
