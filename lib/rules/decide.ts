import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { Admission, AfterFailure, Decision, Guard, Peer, Pin, Policy, Rulebook, StepFailure, TlsWish } from '../model/policy.ts'
import { isThenable } from '../model/thenable.ts'
import {
  ADMISSIONS,
  AFTER_FAILURE,
  FLOORS,
  TLS_WISHES,
  USES,
  askedInTime,
  firstAnswer,
  guardAnswers,
  listOfProofs,
  nameOf,
  unanswered,
  wordOf
} from './answers.ts'
import type { Said } from './answers.ts'
import { clampUse, plainRefusal, proofRefusal } from './clamps.ts'
import { layersOf } from './layers.ts'
import { matchesPin } from './pins.ts'

const admission = wordOf(ADMISSIONS)
const tlsWish = wordOf(TLS_WISHES)
const certificateUse = wordOf(USES)
const afterFailure = wordOf(AFTER_FAILURE)
const floor = wordOf(FLOORS)
const refusal = wordOf<'refuse'>(['refuse'])

/**
 * Whether to deal with the peer at all: asked before DNS (outgoing), after each header and for every further pair (incoming). A
 * guard that refuses at once is enough; otherwise everyone is waited for. Never rejects: who fails has refused.
 */
export function askAdmit(book: Rulebook, peer: Peer): Decision<Admission> | Promise<Decision<Admission>> {
  const guards = book.guards.map(guard => askedInTime(() => guard.admit?.(peer), guard, admission, 'refuse'))
  const refused = guards.find(said => isSettled(said) && said?.answer === 'refuse')
  if (refused !== undefined && isSettled(refused)) return refused
  const policy = admitting(layersOf(book.policy), peer)
  if (isSettled(policy) && guards.every(isSettled)) return strictest(policy, guards.filter(isSaid), ADMISSIONS)
  return Promise.all([policy, ...guards]).then(([said, ...others]) => strictest(said, others.filter(isSaid), ADMISSIONS))
}

function admitting(layers: readonly Policy[], peer: Peer): Said<Admission> | Promise<Said<Admission>> {
  for (const [index, layer] of layers.entries()) {
    const said = askedInTime(() => layer.admit?.(peer), layer, admission, 'refuse')
    if (!isSettled(said)) return said.then(answer => answer ?? admitting(layers.slice(index + 1), peer))
    if (said !== undefined) return said
  }
  return unanswered('refuse')
}

function isSettled<T>(value: T | Promise<T>): value is Exclude<T, PromiseLike<unknown>> {
  return !isThenable(value)
}

function isSaid<T>(said: T | undefined): said is T {
  return said !== undefined
}

/** How much TLS: for initiating when the features in clear are known, for receiving before features are sent. */
export function askTls(book: Rulebook, peer: Peer): Decision<TlsWish> {
  const said = firstAnswer(book.policy, policy => policy.tls?.(peer), tlsWish, 'required')
  const guards = guardAnswers(book.guards, guard => guard.tls?.(peer), tlsWish, 'required')
  const refusing = plainRefusals(book.guards, peer).map(guard => ({ ...guard, answer: 'required' as const }))
  return strictest(said, [...guards, ...refusing], TLS_WISHES)
}

/**
 * What the certificate may be used for. A guard with pins rejects whatever none of its own pins matches: with several guards, one
 * pin of each has to.
 */
export function askCertificate(book: Rulebook, peer: Peer, verdict: CertificateVerdict): Decision<CertificateUse> {
  const said = firstAnswer(book.policy, policy => policy.certificate?.(peer, verdict), certificateUse, 'reject')
  const guards = guardAnswers(book.guards, guard => guard.certificate?.(peer, verdict), certificateUse, 'reject')
  const pinned = book.guards.flatMap(guard => pinRefusal(guard, peer, verdict) ?? [])
  const decided = strictest(said, [...guards, ...pinned], USES)
  const answer = clampUse(decided.answer, verdict)
  return answer === decided.answer
    ? decided
    : { answer, asked: decided.answer, by: 'clamp', because: 'a certificate with problems proves no identity' }
}

/** The proofs to try, in order (initiating), or to offer and accept (receiving). `use` is undefined in clear. */
export function askProofs(book: Rulebook, peer: Peer, encrypted: boolean, use: CertificateUse | undefined): Decision<readonly Proof[]> {
  const said = firstAnswer<readonly Proof[]>(book.policy, policy => policy.proofs?.(peer, encrypted, use), listOfProofs, [])
  const on = {
    encrypted,
    use,
    floor: askMinimumLevel(book, peer).answer,
    tlsRequired: !encrypted && askTls(book, peer).answer === 'required'
  }
  const refusals = new Set<string>()
  const answer = said.answer.filter(proof => {
    const why = proofRefusal(proof, on)
    if (why !== undefined) refusals.add(why)
    return why === undefined
  })
  return refusals.size === 0 ? said : { answer, asked: said.answer, by: 'clamp', because: [...refusals].join('; ') }
}

/** What to do about a failure. An answer that no clamp lets through is replaced: another endpoint, or nothing where none is left. */
export function askAfterFailure(book: Rulebook, peer: Peer, failure: StepFailure): Decision<AfterFailure> {
  const said = firstAnswer(book.policy, policy => policy.afterFailure?.(peer, failure), afterFailure, 'give-up')
  if (said.answer !== 'reconnect-plain') return said
  const why = plainRefusal(failure, attemptClamps(book, peer))
  if (why === undefined) return said
  return { answer: failure.endpointsLeft > 0 ? 'next-endpoint' : 'give-up', asked: said.answer, by: 'clamp', because: why }
}

/** What bounds the attempts of a negotiation with this peer. */
export function attemptClamps(book: Rulebook, peer: Peer): { readonly floor: SecurityLevel; readonly tlsRequiredByUs: boolean } {
  return { floor: askMinimumLevel(book, peer).answer, tlsRequiredByUs: askTls(book, peer).answer === 'required' }
}

/**
 * How a receiving entity ends a stream whose client certificate it rejects. Nobody reconnects from here: a policy that says
 * `reconnect-plain` of it ends TLS politely, so that the peer may come back in clear; otherwise `<not-authorized/>` says why.
 */
export function askRejection(book: Rulebook, peer: Peer): Decision<'end-tls' | 'not-authorized'> {
  const error = new FederationError('S2S_CERTIFICATE')
  const failure: StepFailure = {
    step: 'check-certificate',
    error,
    encrypted: true,
    streamLives: true,
    tlsRequiredByPeer: false,
    endpointsLeft: 0
  }
  const { answer, by, because } = askAfterFailure(book, peer, failure)
  return { answer: answer === 'reconnect-plain' ? 'end-tls' : 'not-authorized', by, because }
}

/**
 * The floor, before a pair is accepted. Guards that refuse every unencrypted rung raise it. A verification accepts no pair, so it
 * has none; what guards say about clear text reaches it through {@link askTls}.
 */
export function askMinimumLevel(book: Rulebook, peer: Peer): Decision<SecurityLevel> {
  if (peer.purpose === 'verification') return { answer: 'plain-dialback', by: 'clamp', because: 'a verification accepts no pair' }
  const said = firstAnswer(book.policy, policy => policy.minimumLevel?.(peer), floor, 'sasl-external')
  const guards = guardAnswers(book.guards, guard => guard.minimumLevel?.(peer), floor, 'sasl-external')
  const refusing = plainRefusals(book.guards, peer).map(guard => ({ ...guard, answer: 'tls-dialback' as const }))
  return strictest(said, [...guards, ...refusing], FLOORS)
}

/** Every pin that a guard holds for the peer, for the judge; undefined where none does. A guard that fails pins to nothing. */
export function pinsFor(book: Rulebook, peer: Peer): readonly Pin[] | undefined {
  const lists = book.guards.flatMap(guard => {
    const pins = pinsOf(guard, peer)
    return pins === undefined ? [] : [pins]
  })
  return lists.length === 0 ? undefined : lists.flat()
}

function pinsOf(guard: Guard, peer: Peer): readonly Pin[] | undefined {
  try {
    const pins: unknown = guard.pins?.(peer)
    if (pins === undefined) return undefined
    return Array.isArray(pins) ? pins.filter(isPin) : []
  } catch {
    return []
  }
}

function isPin(value: unknown): value is Pin {
  if (typeof value !== 'object' || value === null) return false
  const { leaf256, spki256 }: { leaf256?: unknown; spki256?: unknown } = value
  return (leaf256 === undefined || typeof leaf256 === 'string') && (spki256 === undefined || typeof spki256 === 'string')
}

function pinRefusal(guard: Guard, peer: Peer, verdict: CertificateVerdict): Said<CertificateUse> | undefined {
  const pins = pinsOf(guard, peer)
  if (pins === undefined || pins.some(pin => matchesPin(verdict, pin))) return undefined
  return { answer: 'reject', by: nameOf(guard, 'guard'), because: 'no pin matches' }
}

/** The guards that refuse every unencrypted rung. */
function plainRefusals(guards: readonly Guard[], peer: Peer): readonly Said<'refuse'>[] {
  return guardAnswers(guards, guard => guard.plain?.(peer), refusal, 'refuse')
}

/** The strictest of what the policy and the guards said; the policy's own where no guard is stricter. */
function strictest<T>(policy: Said<T>, guards: readonly Said<T>[], words: readonly T[]): Decision<T> {
  const winner = guards.reduce((best, said) => (words.indexOf(said.answer) > words.indexOf(best.answer) ? said : best), policy)
  return winner === policy ? policy : { ...winner, asked: policy.answer }
}
