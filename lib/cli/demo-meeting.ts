import { Element } from 'ltx'
import { createFederation, dnsResolver, domain, FederationError, policies, predict } from '../index.ts'
import type { CertificateState, Domain, Federation, Policy, Report, SecurityLevel, Side, Stanza } from '../index.ts'
import { createAuthority, startDnsServer } from '../testing/index.ts'
import { answerTo } from './answers.ts'
import type { DemoPeer } from './demo-peers.ts'

/** What came of meeting one peer. */
export interface Meeting {
  readonly peer: DemoPeer
  readonly predicted: Levels
  /** What the negotiations ended at. */
  readonly reached: Levels
  readonly stanzas: { readonly there: number; readonly back: number }
  readonly milliseconds: number
  /** Levels and stanzas are what was predicted. */
  readonly agrees: boolean
  /** The initiating side's own report of each direction. */
  readonly reports: { readonly outgoing: Report | undefined; readonly incoming: Report | undefined }
}

/** Seen from verona.example. undefined: no link. */
export interface Levels {
  readonly outgoing: SecurityLevel | undefined
  readonly incoming: SecurityLevel | undefined
}

/** Everything that the demo runs in: a DNS server and an authority of its own on loopback, and one engine that meets the others. */
export interface Lab {
  meet(peer: DemoPeer): Promise<Meeting>
  stop(): Promise<void>
}

export const VERONA = domain('verona.example')

const LOOPBACK = '127.0.0.1'
/** Stanzas cross loopback in less than a millisecond; this is for a machine that is busy elsewhere. */
const PATIENCE = 5_000

/** Starts the lab. The peers come and go with {@link Lab.meet}. */
export async function openLab(): Promise<Lab> {
  const authority = createAuthority()
  const dns = await startDnsServer()
  const resolver = dnsResolver({ servers: [`${dns.address}:${dns.port}`] })
  const received = new Tally()

  const open = async (
    name: Domain,
    certificate: CertificateState,
    policy: Policy,
    onStanza: (stanza: Stanza) => void
  ): Promise<Federation> => {
    const federation: Federation = createFederation({
      domains: { [name]: authority.issue(name, { state: certificate }) },
      policy,
      resolver,
      trust: { default: [authority.certificate] },
      listen: [{ host: LOOPBACK, port: 0 }],
      allowPrivateAddresses: true,
      // Each direction is to show a negotiation of its own.
      extensions: { bidi: false },
      // What comes is counted, pings and their answers.
      answerPings: false,
      onStanza: stanza => {
        onStanza(stanza)
        const answer = answerTo(stanza, false)
        if (answer !== undefined) void federation.send(answer)
      }
    })
    await federation.start()
    const [listening] = federation.addresses
    if (listening === undefined) throw new FederationError('S2S_INTERNAL', { detail: `${name} listens nowhere` })
    dns.zone.server(name, { addresses: [LOOPBACK], port: listening.port })
    return federation
  }

  const verona = await open(VERONA, 'valid', VERONA_POLICY, ({ from }) => received.add(from.domain))
  return {
    async meet(peer) {
      const there = new Tally()
      const other = await open(peer.domain, peer.certificate, peer.policy, ({ from }) => there.add(from.domain))
      try {
        return await meet(peer, { verona, other, received, there })
      } finally {
        await other.stop()
      }
    },
    async stop() {
      await verona.stop()
      await dns.close()
    }
  }
}

const VERONA_POLICY = policies.ladder()

interface Parties {
  readonly verona: Federation
  readonly other: Federation
  /** What verona.example received, by sender. */
  readonly received: Tally
  /** What the peer received. */
  readonly there: Tally
}

async function meet(peer: DemoPeer, { verona, other, received, there }: Parties): Promise<Meeting> {
  const predicted = predictedLevels(peer)
  const started = performance.now()
  const out = await negotiate(verona, VERONA, peer.domain)
  const back = await negotiate(other, peer.domain, VERONA)
  // The receiving side's own word for the second direction: it is verona.example that the table speaks for.
  const reached = { outgoing: out?.level, incoming: incomingLevel(verona, peer.domain) }
  const both = reached.outgoing !== undefined && reached.incoming !== undefined
  if (reached.outgoing !== undefined) void verona.send(ping(VERONA, peer.domain))
  if (reached.incoming !== undefined) void other.send(ping(peer.domain, VERONA))
  // A ping each way; its answer needs the other direction.
  const due = (level: SecurityLevel | undefined): number => (level === undefined ? 0 : both ? 2 : 1)
  await Promise.all([there.reaches(VERONA, due(reached.outgoing)), received.reaches(peer.domain, due(reached.incoming))])
  const stanzas = { there: there.of(VERONA), back: received.of(peer.domain) }
  const agrees =
    reached.outgoing === predicted.outgoing &&
    reached.incoming === predicted.incoming &&
    back?.level === reached.incoming &&
    stanzas.there === due(predicted.outgoing) &&
    stanzas.back === due(predicted.incoming)
  return {
    peer,
    predicted,
    reached,
    stanzas,
    milliseconds: performance.now() - started,
    agrees,
    reports: { outgoing: out, incoming: back }
  }
}

function predictedLevels(peer: DemoPeer): Levels {
  const verona: Side = { domain: VERONA, policy: VERONA_POLICY, certificate: 'valid' }
  const other: Side = { domain: peer.domain, policy: peer.policy, certificate: peer.certificate }
  return { outgoing: predict(verona, other).level, incoming: predict(other, verona).level }
}

/** The initiating side's report, whether or not a link came of it. */
async function negotiate(by: Federation, sender: Domain, target: Domain): Promise<Report | undefined> {
  let last: Report | undefined
  const remember = ({ report }: { readonly report: Report }): void => {
    const { direction, purpose, remote } = report.peer
    if (direction === 'outgoing' && purpose === 'stanzas' && remote === target) last = report
  }
  by.on('negotiation-ended', remember)
  try {
    const link = await by.connect({ sender, target })
    return link.report
  } catch (error) {
    if (!FederationError.is(error)) throw error
    return last
  } finally {
    by.off('negotiation-ended', remember)
  }
}

function incomingLevel(verona: Federation, from: Domain): SecurityLevel | undefined {
  const pairs = verona.links().flatMap(link => (link.direction === 'incoming' ? link.pairs : []))
  return pairs.find(({ pair, flow }) => flow === 'receive' && pair.sender === from)?.level
}

function ping(from: Domain, to: Domain): Element {
  const iq = new Element('iq', { type: 'get', id: `ping-${to}`, from, to })
  iq.append(new Element('ping', { xmlns: 'urn:xmpp:ping' }))
  return iq
}

/** Counts stanzas by sender, and lets others wait for a count. */
class Tally {
  readonly #counts = new Map<Domain, number>()
  readonly #waiting = new Set<() => void>()

  add(sender: Domain): void {
    this.#counts.set(sender, this.of(sender) + 1)
    for (const look of this.#waiting) look()
  }

  of(sender: Domain): number {
    return this.#counts.get(sender) ?? 0
  }

  /** Resolves when that many have come, or when it makes no sense to wait any longer. */
  reaches(sender: Domain, count: number): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const look = (): void => {
        if (this.of(sender) >= count) done()
      }
      const timer = setTimeout(done, PATIENCE)
      this.#waiting.add(look)
      look()
    })
  }
}
