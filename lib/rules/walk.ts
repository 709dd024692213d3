import { FederationError } from '../errors.ts'
import type { ErrorCode, ErrorDetails } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Attempt, Endpoint } from '../model/endpoint.ts'
import { levelOf } from '../model/level.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { Admission, Decision, Peer, Rulebook, Step, StepFailure } from '../model/policy.ts'
import type { PolicyFacts, TraceEntry, VerifiedOver } from '../model/report.ts'
import { askAdmit, askAfterFailure, askCertificate, askMinimumLevel, askProofs, askTls, attemptClamps } from './decide.ts'
import { isThenable } from '../model/thenable.ts'
import { firstAttempt, nextAttempt, untriedEndpoints } from './next-attempt.ts'
import type { Tried } from './next-attempt.ts'
import { policyFacts } from './policy-entry.ts'
import { describeNoProof, proofsToTry, untriedProofs, whyNoProof } from './proofs.ts'
import { describeProblems } from './sentences.ts'
import { chooseTls } from './tls-choice.ts'
import type { FactsOf, Met, MetStream, World } from './world.ts'

/** Where a walk ended. */
export interface Walked {
  /** undefined: no link, or a verification. */
  readonly level: SecurityLevel | undefined
  readonly verifiedOver: VerifiedOver | undefined
  readonly trace: readonly TraceEntry[]
  readonly error: FederationError | undefined
}

/** A stream as far as identity. */
interface Ready {
  readonly encrypted: boolean
  readonly use: CertificateUse | undefined
  readonly opened: MetStream
}

/**
 * The outgoing story without a socket: the same questions, in the same order, through the same rules, against a world that answers at
 * once. Prediction and replay are this walk against two worlds.
 */
export function walk(book: Rulebook, peer: Peer, world: World): Walked {
  return new Walk(book, peer, world).run()
}

class Walk {
  readonly #book: Rulebook
  readonly #peer: Peer
  readonly #world: World
  readonly #trace: TraceEntry[] = []
  readonly #history: Tried[] = []
  #endpoints: readonly Endpoint[] = []
  #attempts = 0
  #floor: SecurityLevel | undefined
  #position = { encrypted: false, tlsRequiredByPeer: false }

  constructor(book: Rulebook, peer: Peer, world: World) {
    this.#book = book
    this.#peer = peer
    this.#world = world
  }

  run(): Walked {
    try {
      return { ...this.#negotiate(), trace: this.#trace, error: undefined }
    } catch (thrown) {
      if (!FederationError.is(thrown)) throw thrown
      return { level: undefined, verifiedOver: undefined, trace: this.#trace, error: thrown }
    }
  }

  #negotiate(): Pick<Walked, 'level' | 'verifiedOver'> {
    if (this.#admit() === 'refuse') throw this.#failed('resolve', { endpoints: [], failures: [] }, failure('S2S_POLICY', 'resolve'))
    this.#endpoints = this.#step('resolve', this.#world.resolve()).endpoints
    let attempt = firstAttempt(this.#endpoints)
    while (attempt !== undefined) {
      this.#attempts += 1
      this.#position = { encrypted: false, tlsRequiredByPeer: false }
      try {
        return this.#runAttempt(attempt)
      } catch (thrown) {
        this.#record(thrown, attempt)
        this.#minimumLevel()
        attempt = nextAttempt(this.#history, this.#endpoints, attemptClamps(this.#book, this.#peer))
      }
    }
    const errors = this.#history.map(tried => tried.failure.error)
    throw errors.find(error => error.fault !== 'network') ?? errors[0] ?? failure('S2S_DNS_NO_SERVICE', 'resolve')
  }

  #runAttempt(attempt: Attempt): Pick<Walked, 'level' | 'verifiedOver'> {
    const isDirect = attempt.endpoint.tls === 'direct'
    if (isDirect && this.#tls() === 'never') throw this.#withoutTls('S2S_POLICY', 'the endpoint is for direct TLS')
    this.#step('connect', this.#world.connect(attempt))
    if (isDirect) return this.#runSecured(attempt)
    const clear = this.#openStream(attempt, false)
    const wish = this.#tls()
    const choice = chooseTls(wish, attempt, clear.features)
    if (choice === 'give-up') throw this.#withoutTls('S2S_POLICY', 'one side requires TLS and the other goes without')
    if (choice === 'starttls') {
      if (clear.features.starttls === 'absent' && clear.facts.version === undefined) throw this.#withoutTls('S2S_TLS_NOT_OFFERED')
      return this.#runSecured(attempt)
    }
    const isFirstTry = wish !== 'never' && attempt.encryption === 'per-policy'
    if (isFirstTry && this.#untried(attempt) > 0) throw this.#withoutTls('S2S_TLS_NOT_OFFERED')
    this.#leaveOutTls(isFirstTry ? 'tls-not-offered' : wish === 'never' ? 'policy-never' : 'reconnected-without-tls')
    return this.#reach({ encrypted: false, use: undefined, opened: clear }, attempt)
  }

  #runSecured(attempt: Attempt): Pick<Walked, 'level' | 'verifiedOver'> {
    this.#step('negotiate-tls', this.#world.negotiateTls(attempt, this.#position.tlsRequiredByPeer))
    this.#position.encrypted = true
    const verdict = this.#world.certificate(attempt)
    const use = this.#certificate(verdict)
    const facts: FactsOf<'check-certificate'> = { verdict, use, ours: this.#peer.ours }
    const rejected = use === 'reject' ? { error: failure('S2S_CERTIFICATE', 'check-certificate', describeProblems(verdict)) } : {}
    this.#step('check-certificate', { facts, ...rejected })
    const opened = this.#openStream(attempt, true)
    const { from } = opened.facts
    if (from !== undefined && from !== this.#peer.remote && use !== 'authenticate')
      throw failure('S2S_STREAM_ERROR_SENT', 'open-stream', `the peer calls itself ${from}`)
    return this.#reach({ encrypted: true, use, opened }, attempt)
  }

  #reach(ready: Ready, attempt: Attempt): Pick<Walked, 'level' | 'verifiedOver'> {
    if (this.#peer.purpose === 'stanzas') return { level: this.#prove(ready, attempt), verifiedOver: undefined }
    const verifiedOver = verifiedOverOf(ready)
    this.#step('dialback', this.#world.verify(attempt, verifiedOver))
    return { level: undefined, verifiedOver }
  }

  #prove({ encrypted, use, opened }: Ready, attempt: Attempt): SecurityLevel {
    const wanted = askProofs(this.#book, this.#peer, encrypted, use)
    const wish = this.#decided('proofs', wanted)
    const { ours } = this.#peer
    const { hasPassword } = this.#world
    const facts = {
      encrypted,
      use,
      features: opened.features,
      floor: this.#minimumLevel(),
      ours,
      hasPassword,
      namespaceDialback: opened.facts.declaresDialback ?? false
    }
    const untried = untriedProofs(wish, facts, attempt)
    for (const { proof, outcome, code } of untried) {
      this.#enter(proof === 'dialback' ? { step: proof, outcome, code, facts: { encrypted } } : { step: proof, outcome, code, facts: {} })
    }
    const proofs = proofsToTry(wish, facts, attempt)
    for (const proof of proofs) {
      const { lives, error, ...met } = this.#world.prove(proof, attempt, encrypted)
      if (error === undefined) {
        this.#step(proof, met)
        // SASL begins the stream anew (RFC 6120 §6.4.6); dialback does not.
        if (proof !== 'dialback') this.#step('open-stream', this.#world.restart(attempt))
        const level = levelOf(proof, encrypted)
        this.#step('establish', { facts: { level } })
        return level
      }
      const located = error.located({ step: proof })
      this.#enterFailed(proof, met.facts, located, lives)
      if (!lives || this.#record(located, attempt, { lives, proof }).answer !== 'next-proof') throw located
    }
    const why = whyNoProof(wanted, untried, facts.floor, encrypted)
    throw this.#failed('establish', {}, failure(why, 'establish', describeNoProof(untried, proofs, this.#peer)))
  }

  #openStream(attempt: Attempt, encrypted: boolean): MetStream {
    const opened = this.#world.openStream(attempt, encrypted)
    this.#step('open-stream', opened)
    this.#position.tlsRequiredByPeer ||= opened.features.starttls === 'required'
    return opened
  }

  /** Asks once per error what is to follow. */
  #record(thrown: unknown, attempt: Attempt, refused?: { readonly lives: boolean; readonly proof: Proof }): Tried {
    if (!FederationError.is(thrown)) throw thrown
    const known = this.#history.find(tried => tried.failure.error === thrown)
    if (known !== undefined) return known
    const endpointsLeft = this.#untried(attempt)
    const failed: StepFailure = {
      step: thrown.step ?? 'establish',
      error: thrown,
      streamLives: refused?.lives ?? false,
      endpointsLeft,
      ...this.#position
    }
    const answer = this.#decided('afterFailure', askAfterFailure(this.#book, this.#peer, failed))
    const tried: Tried = { attempt, failure: failed, answer, ...(refused === undefined ? {} : { proof: refused.proof }) }
    this.#history.push(tried)
    return tried
  }

  #untried(attempt: Attempt): number {
    return untriedEndpoints(this.#history, this.#endpoints, attempt)
  }

  #admit(): Admission {
    const decision = askAdmit(this.#book, this.#peer)
    return isThenable(decision) ? this.#world.admitLater() : this.#decided('admit', decision)
  }

  #tls(): ReturnType<typeof askTls>['answer'] {
    return this.#decided('tls', askTls(this.#book, this.#peer))
  }

  #certificate(verdict: CertificateVerdict): CertificateUse {
    return this.#decided('certificate', askCertificate(this.#book, this.#peer, verdict))
  }

  #minimumLevel(): SecurityLevel {
    this.#floor ??= this.#decided('minimumLevel', askMinimumLevel(this.#book, this.#peer))
    return this.#floor
  }

  #decided<T extends string | readonly string[]>(question: PolicyFacts['question'], decision: Decision<T>): T {
    this.#enter({ step: 'policy', outcome: 'ok', code: 'ok', facts: policyFacts(question, decision) })
    return decision.answer
  }

  #step<S extends Step>(step: S, met: Met<S>): FactsOf<S> {
    if (met.error !== undefined) {
      this.#enterFailed(step, met.facts, met.error, false)
      throw met.error.located({ step })
    }
    this.#enter(entryOf(step, met.facts, { outcome: 'ok', code: 'ok' }))
    return met.facts
  }

  /** A failure that is our own decision, not something the peer did. */
  #failed<S extends Step>(step: S, facts: FactsOf<S>, error: FederationError): FederationError {
    this.#enterFailed(step, facts, error, false)
    return error
  }

  #withoutTls(code: 'S2S_POLICY' | 'S2S_TLS_NOT_OFFERED', detail?: string): FederationError {
    return this.#failed('negotiate-tls', { requiredByPeer: this.#position.tlsRequiredByPeer }, failure(code, 'negotiate-tls', detail))
  }

  #leaveOutTls(code: 'tls-not-offered' | 'policy-never' | 'reconnected-without-tls'): void {
    const outcome = code === 'tls-not-offered' ? 'absent' : 'skipped'
    this.#enter({ step: 'negotiate-tls', outcome, code, facts: { requiredByPeer: this.#position.tlsRequiredByPeer } })
  }

  #enterFailed<S extends Step>(step: S, facts: FactsOf<S>, { code, fault, message }: FederationError, lives: boolean): void {
    const outcome = code === 'S2S_TLS_NOT_OFFERED' ? 'absent' : lives || fault === 'policy' ? 'refused' : 'failed'
    this.#enter(entryOf(step, facts, { outcome, code, message }))
  }

  #enter(entry: Unplaced): void {
    this.#trace.push({ ...entry, at: 0, took: 0, attempt: this.#attempts })
  }
}

type Placed = 'at' | 'took' | 'attempt'
type Unplaced = TraceEntry extends infer E ? (E extends TraceEntry ? Omit<E, Placed> : never) : never

// The pairing of step and facts is what `Met` proves at every call; a generic union member is more than the compiler follows.
function entryOf<S extends Step>(step: S, facts: FactsOf<S>, rest: Pick<TraceEntry, 'outcome' | 'code' | 'message'>): Unplaced {
  return { step, facts, ...rest } as unknown as Unplaced
}

function verifiedOverOf({ encrypted, use }: Ready): VerifiedOver {
  if (!encrypted) return 'clear'
  return use === 'authenticate' ? 'verified-tls' : 'tls'
}

function failure(code: ErrorCode, step: Step, detail?: string): FederationError {
  const details: ErrorDetails = detail === undefined ? { step } : { step, detail }
  return new FederationError(code, details)
}
