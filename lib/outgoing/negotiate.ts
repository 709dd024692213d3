import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Attempt } from '../model/endpoint.ts'
import type { CertificateUse } from '../model/level.ts'
import type { Secured } from '../model/plugs.ts'
import { firstAttempt, nextAttempt } from '../rules/next-attempt.ts'
import { describeNoProof, proofsToTry, untriedProofs, whyNoProof } from '../rules/proofs.ts'
import { describeProblems } from '../rules/sentences.ts'
import { chooseTls } from '../rules/tls-choice.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { Evidence } from '../auth/evidence.ts'
import { reversedEvidence } from '../auth/reversal.ts'
import { goBothWays } from './both-ways.ts'
import type { ReversedIdentity } from './both-ways.ts'
import type { Negotiation } from './negotiation.ts'
import { prove } from './prove.ts'
import { followRedirect } from './redirect.ts'
import type { StepFacts } from './step-facts.ts'
import { checkFrom, dial, directTls, endStream, openStream, resolveEndpoints, restartStream, startTls } from './steps.ts'
import type { OpenStream } from './steps.ts'

/** A stream as far as identity: in clear, or inside TLS with what the certificate may be used for. */
export interface ReadyStream extends OpenStream {
  readonly tls: { readonly secured: Secured; readonly verdict: CertificateVerdict; readonly use: CertificateUse } | undefined
}

/** A stream on which our identity was proved: what a link is made of. */
export interface AuthenticatedStream extends ReadyStream {
  readonly evidence: Evidence
  /** What SASL was offered before identity was proved. */
  readonly mechanisms: readonly string[]
  /** The pair of the opposite flow, where the stream goes both ways. */
  readonly reversed: Evidence | undefined
}

/** What a negotiation is for, once it has a stream: proving a pair, or asking an authoritative server. */
export type Goal<T> = (ready: ReadyStream, attempt: Attempt, n: Negotiation) => Promise<T>

/** Looks for a live stream that will do instead of a connection, before DNS is asked and after; undefined: there is none. */
export type Shortcut<T> = (n: Negotiation) => Promise<T | undefined>

const NO_SHORTCUTS = { beforeDns: () => Promise.resolve(undefined), afterDns: () => Promise.resolve(undefined) }

/** From a domain pair to what it was for, or the first failure that mattered (RFC 6120 §5–6, XEP-0178, XEP-0220). */
export async function negotiateOutgoing<T>(
  n: Negotiation,
  goal: Goal<T>,
  shortcuts: { readonly beforeDns: Shortcut<T>; readonly afterDns: Shortcut<T> } = NO_SHORTCUTS
): Promise<T> {
  if ((await n.ask.admit()) === 'refuse') throw n.refused('resolve', 'admit')
  const known = await shortcuts.beforeDns(n)
  if (known !== undefined) return known
  const { endpoints } = await n.step('resolve', (facts, signal) => resolveEndpoints(n, facts, signal))
  n.endpoints = endpoints
  return (await shortcuts.afterDns(n)) ?? (await climb(n, goal))
}

/** One attempt after another, until one gets there or none is left. */
async function climb<T>(n: Negotiation, goal: Goal<T>): Promise<T> {
  let attempt = firstAttempt(n.endpoints)
  while (attempt !== undefined) {
    n.begin(attempt)
    try {
      return await runAttempt(attempt, n, goal)
    } catch (error) {
      if (n.signal.aborted) throw n.calledOff(error)
      n.record(error)
      followRedirect(error, n)
      attempt = nextAttempt(n.history, n.endpoints, n.clamps())
    }
  }
  throw n.firstFailure()
}

/** One connection, as far up the ladder as it goes. Each stream owns its connection from birth and ends it if the rest fails. */
async function runAttempt<T>(attempt: Attempt, n: Negotiation, goal: Goal<T>): Promise<T> {
  if (attempt.endpoint.tls === 'direct' && n.ask.tls() === 'never') throw n.refused('negotiate-tls', 'tls')
  const connection = await n.step('connect', (facts, signal) => dial(attempt, n, facts, signal))
  if (attempt.endpoint.tls === 'direct') {
    return await runSecured(
      await n.step('negotiate-tls', (facts, signal) => directTls(connection, n, facts, signal), connection),
      attempt,
      n,
      goal
    )
  }
  const clear = await n.step('open-stream', (facts, signal) => openStream(connection, false, n, facts, signal), connection)
  return await owning(clear.stream, n, async () => {
    const wish = n.ask.tls()
    const choice = chooseTls(wish, attempt, clear.features)
    if (choice === 'give-up') throw n.refused('negotiate-tls', 'tls')
    if (choice === 'starttls') {
      if (clear.header.version === undefined)
        throw n.failed('negotiate-tls', 'S2S_TLS_NOT_OFFERED', { detail: 'the peer speaks a version before 1.0' })
      return await runSecured(await n.step('negotiate-tls', (facts, signal) => startTls(clear, n, facts, signal)), attempt, n, goal)
    }
    if (wish !== 'never' && attempt.encryption === 'per-policy' && n.untried() > 0) throw n.failed('negotiate-tls', 'S2S_TLS_NOT_OFFERED')
    if (attempt.encryption === 'none') n.skip('negotiate-tls', 'reconnected-without-tls')
    else if (wish === 'never') n.skip('negotiate-tls', 'policy-never')
    else n.skip('negotiate-tls', 'tls-not-offered', 'absent')
    return await goal({ ...clear, tls: undefined }, attempt, n)
  })
}

/** Inside TLS nothing that was learned in clear counts. The certificate is judged before our first byte. */
async function runSecured<T>(secured: Secured, attempt: Attempt, n: Negotiation, goal: Goal<T>): Promise<T> {
  const { verdict, use } = await n.step(
    'check-certificate',
    facts => {
      facts.verdict = n.judge(secured.chain)
      facts.use = n.ask.certificate(facts.verdict).answer
      if (facts.use === 'reject') return rejectCertificate(secured.duplex, facts.verdict, n)
      return Promise.resolve({ verdict: facts.verdict, use: facts.use })
    },
    secured.duplex
  )
  n.position.authenticated = use === 'authenticate'
  const opened = await n.step('open-stream', (facts, signal) => openStream(secured.duplex, true, n, facts, signal), secured.duplex)
  return await owning(opened.stream, n, async () => {
    checkFrom(opened.header, use === 'authenticate', n)
    return await goal({ ...opened, tls: { secured, verdict, use } }, attempt, n)
  })
}

/** RFC 6120 §13.7.2: the TCP connection is closed, without XML. */
function rejectCertificate(connection: Duplex, verdict: CertificateVerdict, n: Negotiation): Promise<never> {
  connection.destroy()
  return Promise.reject(n.fail('S2S_CERTIFICATE', { detail: describeProblems(verdict) }))
}

/** The goal of a negotiation for stanzas: each proof that policy wants, the peer offers and the certificate allows; best first. */
export const proveIdentity: Goal<AuthenticatedStream> = async (ready, attempt, n) => {
  const { encrypted } = ready.stream
  const wanted = n.ask.proofs(encrypted, ready.tls?.use)
  const wish = wanted.answer
  const floor = n.ask.minimumLevel()
  const facts = n.proofFacts(ready, floor)
  const untried = untriedProofs(wish, facts, attempt)
  for (const { proof, outcome, code } of untried) n.skip(proof, code, outcome)
  const proofs = proofsToTry(wish, facts, attempt)
  const back = await goBothWays(ready, proofs, n)
  for (const proof of proofs) {
    n.position.proof = proof
    const proved = await n.step(proof, (facts: StepFacts<typeof proof>) => prove(proof, ready, n, facts))
    if (!FederationError.is(proved)) return await establish(proved, back, ready, n)
    n.position.streamLives = true
    const refused = proved.located({ step: proof, pair: n.pair })
    if (n.record(refused).answer !== 'next-proof') throw refused
    n.position.streamLives = false
  }
  n.position.proof = undefined
  throw n.failed('establish', whyNoProof(wanted, untried, floor, encrypted), { detail: describeNoProof(untried, proofs, n.peer) })
}

/** SASL restarts the stream once more; dialback does not. From here on the peer may send whole stanzas. */
async function establish(
  evidence: Evidence,
  back: ReversedIdentity | undefined,
  ready: ReadyStream,
  n: Negotiation
): Promise<AuthenticatedStream> {
  const { stream } = ready
  const restarted =
    evidence.proof === 'dialback' ? ready : await n.step('open-stream', (facts, signal) => restartStream(stream, n, facts, signal))
  return await n.step('establish', facts => {
    facts.level = evidence.level
    stream.allowStanzas()
    const reversed = back === undefined ? undefined : reversedEvidence(evidence, back)
    return Promise.resolve({ ...ready, ...restarted, evidence, reversed, mechanisms: ready.features.mechanisms })
  })
}

/** Ends the stream when what was to happen on it fails; hands it on otherwise. */
async function owning<T>(stream: XmlStream, n: Negotiation, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    endStream(stream, FederationError.from(error), n)
    throw error
  }
}
