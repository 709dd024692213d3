import type { AssembledServer } from './assemble.ts'
import { statusOf } from './auth/evidence.ts'
import type { Evidence } from './auth/evidence.ts'
import { FederationError } from './errors.ts'
import { OutgoingLink } from './links/outgoing-link.ts'
import type { DomainPair } from './model/domain.ts'
import type { Rulebook } from './model/policy.ts'
import type { Report } from './model/report.ts'
import { createId } from './outgoing/id.ts'
import type { AuthenticatedStream } from './outgoing/negotiate.ts'
import { Negotiation } from './outgoing/negotiation.ts'
import { runNegotiation } from './outgoing/outcome.ts'
import type { Outcome } from './outgoing/outcome.ts'
import type { SharedStream } from './outgoing/shared-stream.ts'
import { SharedStreams } from './outgoing/shared-streams.ts'
import type { Carrier } from './streams/carrier.ts'
import type { LostStream } from './streams/lost-stream.ts'
import { underSettingsOfNow } from './streams/standing.ts'
import type { LiveLink } from './streams/standing.ts'

/** So often a negotiation begins anew because settings have changed while it went on. */
const MOST_TRIES = 3

/** Negotiates outgoing links, and keeps them among the engine's links as long as they live. */
export class Dialler {
  readonly #server: AssembledServer
  readonly #links: Set<LiveLink>
  readonly #stopped: AbortSignal
  /** The live streams that a further pair might join. */
  readonly #shared = new SharedStreams()

  constructor(server: AssembledServer, links: Set<LiveLink>, stopped: AbortSignal) {
    this.#server = server
    this.#links = links
    this.#stopped = stopped
  }

  /**
   * What takes a pair's stanzas: a live stream that the pair has joined, or a link of its own. What began under other settings counts
   * only if the pair stands under those of now; if not, it begins anew.
   *
   * @param lost the pair's last stream, which is to be taken up again
   * @throws FederationError the first failure that mattered
   */
  async dial(pair: DomainPair, lost: LostStream | undefined): Promise<Carrier> {
    // What was lost with a connection of the pair's own is taken up on one of its own.
    const live = lost === undefined && this.#server.extensions.multiplexing ? this.#shared : undefined
    for (let tries = 1; ; tries += 1) {
      const { epoch } = this.#server
      const { report, reached, error } = await this.negotiate(pair, this.#server.rulebook(), undefined, live)
      const result =
        reached === undefined
          ? error
          : reached.kind === 'joined'
            ? await this.#join(reached.stream, reached.evidence, epoch)
            : await this.#establish(reached.stream, report, epoch, lost)
      if (!FederationError.is(result)) return result
      if (epoch === this.#server.epoch || tries === MOST_TRIES || this.#stopped.aborted) throw result
    }
  }

  /** One negotiation, under these rules. Never rejects for what the remote did. */
  async negotiate(pair: DomainPair, rulebook: Rulebook, caller: AbortSignal | undefined, live?: SharedStreams): Promise<Outcome> {
    const ours = await this.#server.ourCertificate(pair.sender)
    const signal = caller === undefined ? this.#stopped : AbortSignal.any([this.#stopped, caller])
    return await runNegotiation(new Negotiation(this.#server, { id: createId(), pair, purpose: 'stanzas', ours, rulebook, signal }), live)
  }

  async #join(stream: SharedStream, evidence: Evidence, epoch: number): Promise<Carrier | FederationError> {
    const { carrier } = stream
    const on = { status: statusOf(evidence), encrypted: true, chain: stream.chain }
    const fallen = await underSettingsOfNow([on], epoch, this.#server, () =>
      this.#server.observer.emit('pair-authenticated', { link: carrier.link, pair: stream.add(evidence) })
    )
    return fallen ?? carrier
  }

  async #establish(
    established: AuthenticatedStream,
    report: Report,
    epoch: number,
    lost: LostStream | undefined
  ): Promise<OutgoingLink | FederationError> {
    const { evidence, stream, tls } = established
    const links: OutgoingLink[] = []
    const on = { status: statusOf(evidence), encrypted: stream.encrypted, chain: tls?.secured.chain ?? [] }
    const fallen = await underSettingsOfNow([on], epoch, this.#server, () => {
      if (this.#stopped.aborted) return
      const link = new OutgoingLink(createId(), established, report, this.#server, lost)
      this.#keep(link)
      links.push(link)
    })
    const [link] = links
    if (link !== undefined) return link
    const error = fallen ?? new FederationError('S2S_STOPPED', { pair: evidence.pair })
    this.#server.background(stream.end(error))
    return error
  }

  #keep(link: OutgoingLink): void {
    const { observer } = this.#server
    this.#links.add(link)
    this.#shared.add(link.shared)
    observer.emit('link-established', { link })
    for (const pair of link.pairs) observer.emit('pair-authenticated', { link, pair })
    const gone = link.closed.then(error => {
      this.#links.delete(link)
      this.#shared.delete(link.shared)
      observer.emit('link-closed', { link, error })
    })
    this.#server.background(gone)
  }
}
