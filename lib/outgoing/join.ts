import { reversedEvidence } from '../auth/reversal.ts'
import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import { reversed } from '../model/domain.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { CertificateUse } from '../model/level.ts'
import { askCertificate, askMinimumLevel, askProofs, askTls } from '../rules/decide.ts'
import { afterFailedJoin, whyNotJoined, whyNotShared } from '../rules/multiplexing.ts'
import type { JoinRefusal } from '../rules/multiplexing.ts'
import { untriedProofs } from '../rules/proofs.ts'
import { Deadline } from '../transport/deadline.ts'
import { serverKey, serversOf } from '../transport/same-server.ts'
import type { Server } from '../transport/same-server.ts'
import { identityBack } from './both-ways.ts'
import type { ReversedIdentity } from './both-ways.ts'
import type { Negotiation } from './negotiation.ts'
import type { Reached } from './outcome.ts'
import { identityOf } from './prove.ts'
import type { SharedStream } from './shared-stream.ts'
import type { SharedStreams } from './shared-streams.ts'
import { dialOptions } from './steps.ts'

/** A stream with what policy lets its certificate count for, for the pair that is about to join it. */
interface Judged {
  readonly stream: SharedStream
  /** The endpoint of the pair's own target that leads to it. */
  readonly endpoint: Endpoint
  readonly verdict: CertificateVerdict
  readonly use: CertificateUse
}

/** Streams to one server seldom differ in what policy says of them, and each costs the judging of a certificate. */
const MOST_JUDGED = 4

/** Another sender to the target of a live stream: nothing need be looked up (XEP-0220 §2.6.1). */
export async function joinForSender(n: Negotiation, live: SharedStreams): Promise<Reached | undefined> {
  return await joinOneOf(n, live.to(n.pair.target), [])
}

/** Another target of a server that we are connected to (XEP-0220 §2.6.2, RFC 7712 §4.4.2). DNS has said where it is served. */
export async function joinForTarget(n: Negotiation, live: SharedStreams): Promise<Reached | undefined> {
  if (!live.areForTargets) return undefined
  const servers = await serversFor(n)
  const others = live.at(servers).filter(stream => stream.target !== n.pair.target)
  return await joinOneOf(n, others, servers)
}

/** The first stream that a rule lets the pair join; where none does, the report says why the first would not do. */
async function joinOneOf(n: Negotiation, live: readonly SharedStream[], servers: readonly Server[]): Promise<Reached | undefined> {
  let refusal: JoinRefusal | undefined
  let left = MOST_JUDGED
  for (const stream of live) {
    const unfit = whyNotShared(stream.factsFor(n.pair))
    const judged = unfit ?? judge(n, stream, servers)
    const back = typeof judged === 'string' || !stream.goesBothWays ? undefined : await identityBack(onStream(stream), n)
    // Admission may have taken its time.
    const late = back === undefined ? undefined : whyNotShared(stream.factsFor(n.pair))
    if (typeof judged === 'string') refusal ??= judged
    else if (typeof back === 'object') refusal ??= 'other-way-refused'
    else if (late !== undefined) refusal ??= late
    else return await join(n, judged, back)
    if (unfit === undefined) left -= 1
    if (left === 0) break
  }
  if (refusal !== undefined) n.skip('connect', refusal)
  return undefined
}

/** Asks the rule, and for its sake the policy, about a pair on a stream. Nothing of it is in the trace yet. */
function judge(n: Negotiation, stream: SharedStream, servers: readonly Server[]): Judged | JoinRefusal {
  const { book, peer, pair, server } = n
  const facts = stream.factsFor(pair)
  const verdict = n.judge(stream.chain)
  const use = askCertificate(book, peer, verdict).answer
  const endpoint = facts.isSameTarget ? stream.connection?.endpoint : endpointAt(stream, servers)
  const refusal = whyNotJoined(facts, {
    isSameServer: endpoint !== undefined,
    tls: askTls(book, peer).answer,
    use,
    proofs: askProofs(book, peer, true, use).answer,
    floor: askMinimumLevel(book, peer).answer,
    ours: peer.ours,
    shown: stream.shown,
    hasPassword: server.passwords.has(pair.target)
  })
  if (refusal !== undefined) return refusal
  return endpoint === undefined ? 'elsewhere' : { stream, endpoint, verdict, use }
}

/** On a stream that goes both ways the peer may send for the reversed pair as soon as it has said `valid`: it is asked about first. */
function onStream({ chain, connection }: SharedStream): Parameters<typeof identityBack>[0] {
  return { chain, address: connection?.address, proofs: ['dialback'] }
}

/** The dialback of a further pair. undefined: the pair needs a connection of its own, and the trace says why. */
async function join(n: Negotiation, judged: Judged, back: ReversedIdentity | undefined): Promise<Reached | undefined> {
  const { stream, verdict, use } = judged
  const { pair, server } = n
  arrive(n, judged)
  const request = { pair, secret: server.dialbackSecrets.current, peerIdentity: identityOf({ verdict, use }) }
  try {
    const evidence = await n.step('dialback', facts => stream.ask(request, facts))
    if (FederationError.is(evidence)) throw evidence.located({ step: 'dialback', pair })
    if (!stream.carrier.usable) throw n.failed('establish', 'S2S_STREAM_CLOSED', { detail: 'the stream that was joined has ended' })
    n.note('establish', { level: evidence.level })
    if (back === undefined) return { kind: 'joined', stream, evidence, reversed: undefined }
    n.enterBidi(reversed(pair), 'ok', 'ok')
    return { kind: 'joined', stream, evidence, reversed: reversedEvidence(evidence, back) }
  } catch (thrown) {
    const error = FederationError.from(thrown)
    stream.forget(pair, error)
    if (n.signal.aborted) throw n.calledOff(thrown)
    if (afterFailedJoin(error) === 'give-up') throw error
    return undefined
  }
}

/** What a connection of the pair's own would have had to find out is in the trace as this stream has it. */
function arrive(n: Negotiation, { stream, endpoint, verdict, use }: Judged): void {
  const { connection, features } = stream
  if (connection === undefined) throw n.fail('S2S_INTERNAL', { detail: 'a stream that is nowhere was to be joined' })
  const { address, entries } = connection
  n.begin({ endpoint, encryption: 'per-policy', skipProofs: [] })
  n.position.encrypted = true
  n.note('connect', { endpoint, encryption: 'per-policy', address, joined: stream.carrier.link.id })
  n.ask.tls()
  for (const entry of entries) n.note(entry.step, { ...entry.facts })
  n.ask.certificate(verdict)
  n.note('check-certificate', { verdict, use, ours: n.peer.ours })
  const { declaresDialback } = stream.factsFor(n.pair)
  n.note('open-stream', { encrypted: true, version: '1.0', declaresDialback, features })
  const wish = n.ask.proofs(true, use).answer
  const floor = n.ask.minimumLevel()
  const { ours } = n.peer
  const hasPassword = n.server.passwords.has(n.pair.target)
  const facts = { encrypted: true, use, features, floor, ours, hasPassword, namespaceDialback: declaresDialback }
  for (const { proof, outcome, code } of untriedProofs(wish, facts, { skipProofs: [] })) n.skip(proof, code, outcome)
}

async function serversFor(n: Negotiation): Promise<readonly Server[]> {
  const deadline = new Deadline(n.server.clock, n.server.timeouts.resolve, 'resolve', n.signal)
  try {
    return await deadline.race(serversOf(n.endpoints, dialOptions(n, deadline.signal)))
  } catch (error) {
    if (n.signal.aborted) throw n.calledOff(error)
    return []
  } finally {
    deadline.cancel()
  }
}

/** Which of the target's endpoints leads to the very server of a stream, if one does. */
function endpointAt({ connection }: SharedStream, servers: readonly Server[]): Endpoint | undefined {
  if (connection === undefined) return undefined
  const key = serverKey(connection)
  return servers.find(server => serverKey(server) === key)?.endpoint
}
