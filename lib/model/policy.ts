import type { FederationError } from '../errors.ts'
import type { CertificateVerdict, OwnCertificate } from './certificate.ts'
import type { Domain } from './domain.ts'
import type { CertificateUse, Direction, Proof, SecurityLevel } from './level.ts'
import type { PairStatus } from './report.ts'

/** Who a question is about. */
export interface Peer {
  readonly direction: Direction
  readonly local: Domain
  /** undefined while an incoming peer has not named itself. */
  readonly remote: Domain | undefined
  readonly address?: string
  /** `verification`: the receiving server's call to the authoritative server (XEP-0220 §2.1.2); it carries no stanzas. */
  readonly purpose: 'stanzas' | 'verification'
  /** The state of our own certificate for `local`, by the judge that judges peers. */
  readonly ours: OwnCertificate
  /** What is wrong with one that is `invalid`, in a clause, such as "expired on 2026-01-01T00:00:00.000Z". */
  readonly oursBecause?: string
}

/** The state of our own certificate, as a {@link Peer} has it. */
export type OwnState = Pick<Peer, 'ours' | 'oursBecause'>

/** An answer, with its reason where the policy has one to give. */
export type Answer<T extends string> = T | { readonly answer: T; readonly because: string }

/** An answer that may take time. */
export type MaybePromise<T> = T | Promise<T>

/** An answer to `tls`: no TLS, TLS where the other side can, TLS or nothing. */
export type TlsWish = 'never' | 'when-offered' | 'required'

/**
 * An answer to `afterFailure`: the next proof on the stream that lives, else as `reconnect-tls`; the same endpoint again without the proof
 * that failed; the next endpoint; dialback in clear on this endpoint, which comes last and only where no clamp objects; the end.
 */
export type AfterFailure = 'next-proof' | 'reconnect-tls' | 'next-endpoint' | 'reconnect-plain' | 'give-up'

/** An answer to `admit`: whether the peer is dealt with at all. */
export type Admission = 'admit' | 'refuse'

/** The steps of a negotiation, as errors, events and traces name them. */
export type Step =
  'resolve' | 'connect' | 'open-stream' | 'negotiate-tls' | 'check-certificate' | 'sasl-external' | 'sasl-plain' | 'dialback' | 'establish'

/** What `afterFailure` is asked about. */
export interface StepFailure {
  readonly step: Step
  readonly error: FederationError
  readonly encrypted: boolean
  /** Whether the stream it happened on is still usable: a refused proof on a living stream. */
  readonly streamLives: boolean
  readonly tlsRequiredByPeer: boolean
  readonly endpointsLeft: number
}

/**
 * Six optional questions. What is left unanswered is answered by the policy below (`layer`), last by the default preset.
 * Every answer is clamped: no policy can make an invalid certificate authenticate, or try a proof below the floor.
 */
export interface Policy {
  readonly kind?: 'policy'
  readonly name?: string
  /** The preset's options, where the policy is a preset: recorded in reports. */
  readonly options?: LadderOptions
  /** Before DNS (outgoing); after each header, and for every further pair (incoming). The only question that may take time. */
  admit?(peer: Peer): MaybePromise<Answer<Admission> | undefined>
  /** Initiating: when the features in clear are known. Receiving: before features are sent. */
  tls?(peer: Peer): Answer<TlsWish> | undefined
  /** Initiating: after the handshake, before our first byte inside TLS. Receiving: at the first header inside TLS, again for every further pair. */
  certificate?(peer: Peer, verdict: CertificateVerdict): Answer<CertificateUse> | undefined
  /** Initiating: the proofs to try, best first. Receiving: the set to offer and accept. `use` is undefined in clear. */
  proofs?(peer: Peer, encrypted: boolean, use: CertificateUse | undefined): readonly Proof[] | undefined
  /** Initiating, once per failure, a refused proof on a living stream included. */
  afterFailure?(peer: Peer, failed: StepFailure): Answer<AfterFailure> | undefined
  /** The floor, before a pair is accepted, both directions. */
  minimumLevel?(peer: Peer): SecurityLevel | undefined
}

/**
 * The options of presets; each preset has its own defaults (docs/policy.md), and `openfire36` takes three of them.
 * They change what the preset answers, and no clamp.
 */
export interface LadderOptions {
  readonly tls?: TlsWish
  readonly invalidCertificate?: 'abort' | 'encrypt-only' | 'reconnect-plain'
  readonly acceptSelfSigned?: boolean
  readonly external?: boolean
  readonly dialback?: 'never' | 'over-tls' | 'always'
  readonly verification?: 'when-offered' | 'required'
  readonly minimumLevel?: SecurityLevel
}

/** SHA-256 of the leaf's DER, or of its SubjectPublicKeyInfo, hex. A match stands in for chain and name, not for dates. */
export interface Pin {
  readonly leaf256?: string
  readonly spki256?: string
}

/** A guard only tightens; every guard is asked and the strictest answer wins over the policy, whatever the order. */
export interface Guard {
  readonly kind: 'guard'
  readonly name: string
  /** Handed to the judge: undefined, where this guard pins nothing for the peer. */
  pins?(peer: Peer): readonly Pin[] | undefined
  admit?(peer: Peer): MaybePromise<Answer<'refuse'> | undefined>
  tls?(peer: Peer): Answer<'required'> | undefined
  certificate?(peer: Peer, verdict: CertificateVerdict): Answer<'reject' | 'encrypt-only'> | undefined
  /** Refuses every unencrypted rung. */
  plain?(peer: Peer): Answer<'refuse'> | undefined
  minimumLevel?(peer: Peer): SecurityLevel | undefined
  /** Told of each pair that was authenticated under it, by the engine: for guards that remember. Not a question. */
  learn?(pair: PairStatus): void
}

/** What is asked: one policy that answers everything, and the guards over it. */
export interface Rulebook {
  readonly policy: Policy
  readonly guards: readonly Guard[]
}

/** An answer after guards and clamps: what counts. */
export interface Decision<T> {
  readonly answer: T
  /** What the policy said, where a guard or a clamp made it another answer. */
  readonly asked?: T
  /** Whose answer it is: a policy's or guard's name, or `clamp`. */
  readonly by: string
  readonly because: string | undefined
}
