import { ERRORS, FederationError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Attempt, Endpoint } from '../model/endpoint.ts'
import type { Proof } from '../model/level.ts'
import type { Admission, Step } from '../model/policy.ts'
import type { Report, TraceEntry, VerifiedOver } from '../model/report.ts'
import { NO_FEATURES } from '../model/stream.ts'
import type { Met, MetProof, MetStream, World } from './world.ts'

/** A fact that a replay would need and that nobody learned. It never leaves the rules. */
export class UnknownFact extends Error {
  readonly fact: string

  constructor(fact: string) {
    super(fact)
    this.fact = fact
  }
}

type EntryOf<S extends TraceEntry['step']> = Extract<TraceEntry, { step: S }>

/** One recorded connection. */
interface Recorded {
  readonly endpoint: Endpoint
  readonly encryption: Attempt['encryption']
  readonly entries: readonly TraceEntry[]
}

/**
 * What the peer did in a recorded negotiation. Facts are looked up on the connection that corresponds to the attempt, then on the
 * others to the same endpoint; one that was never learned is an {@link UnknownFact}.
 */
export class RecordedWorld implements World {
  readonly hasPassword: boolean
  readonly #report: Report
  readonly #notes: string[]
  readonly #connections: readonly Recorded[]
  readonly #visits = new Map<string, number>()
  #current: Recorded | undefined

  constructor(report: Report, notes: string[]) {
    this.#report = report
    this.#notes = notes
    this.#connections = connectionsOf(report.trace)
    this.hasPassword = report.trace.some(entry => entry.step === 'sasl-plain' && entry.code !== 'no-password')
  }

  resolve(): Met<'resolve'> {
    const entry = this.#report.trace.find(each => isTaken(each, 'resolve'))
    const [first] = this.#connections
    // A pair that joins a live link to its own target has looked nothing up: the link's server is one of the target's.
    if (entry === undefined && first !== undefined) return { facts: { endpoints: [first.endpoint], failures: [] } }
    if (entry?.step !== 'resolve') throw new UnknownFact('the servers of the domain')
    return met(entry)
  }

  connect(attempt: Attempt): Met<'connect'> {
    const same = this.#connections.filter(each => isOf(each, attempt) && each.encryption === attempt.encryption)
    const key = `${attempt.encryption} ${keyOf(attempt.endpoint)}`
    const visit = this.#visits.get(key) ?? 0
    this.#visits.set(key, visit + 1)
    this.#current = same[visit] ?? same.at(-1)
    const { facts, error } = met(this.#find(attempt, 'connect', 'whether a connection can be made'))
    const { endpoint, encryption } = attempt
    return { facts: { ...facts, endpoint, encryption }, ...(error === undefined ? {} : { error }) }
  }

  openStream(attempt: Attempt, encrypted: boolean): MetStream {
    const where = encrypted ? 'the features inside TLS' : 'the features in clear'
    const entry = this.#search(attempt, 'open-stream').find(each => each.facts.encrypted === encrypted)
    if (entry === undefined) return encrypted ? this.#assumedStream(attempt) : unlearned(where, attempt)
    return { ...met(entry), features: entry.facts.features ?? NO_FEATURES }
  }

  negotiateTls(attempt: Attempt, requiredByPeer: boolean): Met<'negotiate-tls'> {
    const { facts, error } = met(this.#find(attempt, 'negotiate-tls', 'how TLS would have gone'))
    return { facts: { ...facts, requiredByPeer }, ...(error === undefined ? {} : { error }) }
  }

  certificate(attempt: Attempt): CertificateVerdict {
    return this.#find(attempt, 'check-certificate', 'the certificate').facts.verdict
  }

  prove(proof: Proof, attempt: Attempt, encrypted: boolean): MetProof {
    if (proof === 'dialback') return this.#dialback(attempt, encrypted)
    const entry = this.#find(attempt, proof, `the answer to ${proof}`)
    return { ...met(entry), lives: entry.outcome === 'refused' }
  }

  restart(attempt: Attempt): Met<'open-stream'> {
    const entries = this.#current?.entries ?? []
    const begun = entries.flatMap(entry => (entry.step === 'open-stream' && entry.facts.encrypted ? [entry] : []))
    return begun[1] === undefined ? unlearned('the stream after SASL', attempt) : met<'open-stream'>(begun[1])
  }

  verify(attempt: Attempt, verifiedOver: VerifiedOver): Met<'dialback'> {
    const { facts, error } = met(this.#find(attempt, 'dialback', 'the answer of the authoritative server'))
    return { facts: { ...facts, verifiedOver }, ...(error === undefined ? {} : { error }) }
  }

  admitLater(): Admission {
    throw new UnknownFact('admit')
  }

  #dialback(attempt: Attempt, encrypted: boolean): MetProof {
    const entries = this.#search(attempt, 'dialback')
    const entry = entries.find(each => each.facts.encrypted === encrypted)
    if (entry !== undefined) return { ...met(entry), lives: entry.outcome === 'refused' || entry.facts.answer === 'error' }
    const confirmed = this.#report.trace.find(each => each.step === 'dialback' && each.outcome === 'ok')
    if (confirmed === undefined) return unlearned(`the answer to dialback ${encrypted ? 'inside TLS' : 'in clear'}`, attempt)
    this.#assume(`dialback ${encrypted ? 'inside TLS' : 'in clear'} is confirmed as it was ${encrypted ? 'in clear' : 'inside TLS'}`)
    return { facts: { encrypted, answer: 'valid' }, lives: true }
  }

  /**
   * The stream inside TLS was not opened, because its certificate was rejected. A peer that took our dialback in clear takes it
   * there, unless our own certificate is one that it may reject in turn; about mechanisms nothing is known, which does not matter
   * where its certificate authenticates nobody.
   */
  #assumedStream(attempt: Attempt): MetStream {
    const tookDialback = this.#report.trace.some(each => each.step === 'dialback' && each.outcome === 'ok' && !each.facts.encrypted)
    const { ours } = this.#report.peer
    const mayBeRejected = ours !== 'trusted' && ours !== 'missing'
    if (!tookDialback || mayBeRejected || this.certificate(attempt).valid) return unlearned('the features inside TLS', attempt)
    this.#assume('dialback is taken inside TLS as it was in clear')
    const features = { ...NO_FEATURES, dialback: true }
    return { facts: { encrypted: true, version: '1.0', features }, features }
  }

  #assume(note: string): void {
    if (!this.#notes.includes(note)) this.#notes.push(note)
  }

  #find<S extends Step>(attempt: Attempt, step: S, fact: string): EntryOf<S> {
    return this.#search(attempt, step)[0] ?? unlearned(fact, attempt)
  }

  /** Every entry of a step that was taken on a connection to the endpoint, the corresponding connection's first. */
  #search<S extends Step>(attempt: Attempt, step: S): readonly EntryOf<S>[] {
    const current = this.#current === undefined ? [] : [this.#current]
    const others = this.#connections.filter(each => isOf(each, attempt) && each !== this.#current)
    return [...current, ...others].flatMap(({ entries }) => entries.filter((entry): entry is EntryOf<S> => isTaken(entry, step)))
  }
}

/** Whether an entry tells what the peer did; what our own policy refused tells nothing of it. */
function isTaken({ step, outcome, code }: TraceEntry, wanted: Step): boolean {
  return step === wanted && outcome !== 'skipped' && outcome !== 'absent' && code !== 'S2S_POLICY'
}

function connectionsOf(trace: readonly TraceEntry[]): readonly Recorded[] {
  return trace.flatMap(connect => {
    if (connect.step !== 'connect' || connect.outcome === 'skipped') return []
    const { endpoint, encryption, joined } = connect.facts
    const entries = trace.filter(entry => entry.attempt === connect.attempt)
    // What was said of a pair on somebody else's connection, and led nowhere, says nothing of one of its own.
    if (joined !== undefined && !entries.some(entry => entry.step === 'establish' && entry.outcome === 'ok')) return []
    return [{ endpoint, encryption, entries }]
  })
}

function isOf({ endpoint }: Recorded, attempt: Attempt): boolean {
  return keyOf(endpoint) === keyOf(attempt.endpoint)
}

function keyOf({ host, port, tls }: Endpoint): string {
  return `${host}:${port}/${tls}`
}

function unlearned(fact: string, { endpoint }: Attempt): never {
  throw new UnknownFact(`${fact}, at ${endpoint.host}:${endpoint.port}`)
}

function met<S extends Step>(entry: EntryOf<S>): Met<S> {
  const taken: TraceEntry = entry
  // An entry of step S has the facts of step S; the union does not narrow by a type parameter.
  const facts = taken.facts as unknown as Met<S>['facts']
  return taken.outcome === 'ok' ? { facts } : { facts, error: errorOf(taken) }
}

/** The error that an entry tells of. */
function errorOf({ code, message, facts }: TraceEntry): FederationError {
  const known = isErrorCode(code) ? code : 'S2S_INTERNAL'
  const start = `${ERRORS[known].sentence}: `
  const detail = message?.startsWith(start) === true ? message.slice(start.length).replace(/\.$/u, '') : undefined
  const condition = 'condition' in facts ? facts.condition : undefined
  return new FederationError(known, { ...(detail === undefined ? {} : { detail }), ...(condition === undefined ? {} : { condition }) })
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}
