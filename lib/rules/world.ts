import type { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Attempt } from '../model/endpoint.ts'
import type { Proof } from '../model/level.ts'
import type { Admission, Step } from '../model/policy.ts'
import type { TraceEntry, VerifiedOver } from '../model/report.ts'
import type { StreamFeatures } from '../model/stream.ts'

/** The facts that a trace has of a step. */
export type FactsOf<S extends TraceEntry['step']> = Extract<TraceEntry, { step: S }>['facts']

/** What a step came to: its facts, and the error where it failed. */
export interface Met<S extends Step> {
  readonly facts: FactsOf<S>
  readonly error?: FederationError
}

/** A stream as the peer opened it. */
export interface MetStream extends Met<'open-stream'> {
  readonly features: StreamFeatures
}

/** How the peer took a proof; `lives`: the stream goes on after a refusal. */
export interface MetProof extends Met<Proof> {
  readonly lives: boolean
}

/** The other side of a walk: what the peer would do, or what one is recorded to have done. */
export interface World {
  resolve(): Met<'resolve'>
  connect(attempt: Attempt): Met<'connect'>
  openStream(attempt: Attempt, encrypted: boolean): MetStream
  negotiateTls(attempt: Attempt, requiredByPeer: boolean): Met<'negotiate-tls'>
  /** Pins included, as the judge has them. */
  certificate(attempt: Attempt): CertificateVerdict
  prove(proof: Proof, attempt: Attempt, encrypted: boolean): MetProof
  /** The stream that begins anew after SASL. */
  restart(attempt: Attempt): Met<'open-stream'>
  /** The call to the authoritative server, of a walk that is a verification. */
  verify(attempt: Attempt, verifiedOver: VerifiedOver): Met<'dialback'>
  readonly hasPassword: boolean
  /** What an `admit` that takes its time is taken to have said. */
  admitLater(): Admission
}
