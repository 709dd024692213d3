import type { ErrorCode } from '../errors.ts'
import type { CertificateVerdict, OwnCertificate } from './certificate.ts'
import type { DomainPair } from './domain.ts'
import type { Endpoint } from './endpoint.ts'
import type { CertificateUse, SecurityLevel } from './level.ts'
import type { LadderOptions, Peer, Step } from './policy.ts'
import type { StreamFeatures } from './stream.ts'

/** How a step ended. Failed, absent, refused and skipped are four words: went wrong, was not there, was denied, was not tried. */
export type Outcome = 'ok' | 'failed' | 'refused' | 'skipped' | 'absent'

/** One thing that happened in a negotiation, and the facts of it. */
export interface Traced<S extends string, F> {
  /** Milliseconds since the epoch, on the engine's clock. */
  readonly at: number
  /** Counts connections of this negotiation from 1; 0 before the first. */
  readonly attempt: number
  readonly step: S
  readonly outcome: Outcome
  /** `ok`, an {@link ErrorCode}, or the reason of a skip, such as `tls-not-offered`. */
  readonly code: string
  /** Milliseconds the step took. */
  readonly took: number
  /** The sentence of the error, escaped, for a failed or refused step. */
  readonly message?: string
  readonly facts: F
}

/** Dialback: over what the authoritative server was called: TLS with a certificate that verified, TLS, in clear. */
export type VerifiedOver = 'verified-tls' | 'tls' | 'clear'

/** Where an answer came from and what it was, as asked and as it counted. */
export interface PolicyFacts {
  readonly question: 'admit' | 'tls' | 'certificate' | 'proofs' | 'afterFailure' | 'minimumLevel'
  readonly answer: string
  /** What the policy said, where a guard or a clamp changed it. */
  readonly asked?: string
  readonly by: string
  readonly because?: string
}

/** One thing that happened, with exactly the facts that a replay needs. */
export type TraceEntry =
  | Traced<'resolve', { readonly endpoints: readonly Endpoint[]; readonly failures: readonly string[] }>
  | Traced<
      'connect',
      {
        readonly endpoint: Endpoint
        readonly encryption: 'per-policy' | 'none'
        readonly address?: string
        /** The live link that the pair joined, by its id: nothing was dialled (XEP-0220 §2.6). */
        readonly joined?: string
      }
    >
  | Traced<
      'open-stream',
      {
        readonly encrypted: boolean
        readonly id?: string
        readonly from?: string
        readonly to?: string
        readonly version?: string
        /** Whether the peer's header declared dialback: some servers do that alone, and list no feature (XEP-0220 §2.1). */
        readonly declaresDialback?: boolean
        readonly features?: StreamFeatures
      }
    >
  | Traced<'negotiate-tls', { readonly protocol?: string; readonly cipher?: string; readonly requiredByPeer: boolean }>
  | Traced<'check-certificate', { readonly verdict: CertificateVerdict; readonly use?: CertificateUse; readonly ours: OwnCertificate }>
  | Traced<'sasl-external', { readonly condition?: string; readonly text?: string }>
  | Traced<'sasl-plain', { readonly condition?: string; readonly text?: string }>
  | Traced<
      'dialback',
      {
        readonly encrypted: boolean
        readonly answer?: 'valid' | 'invalid' | 'error'
        readonly condition?: string
        readonly verifiedOver?: VerifiedOver
        /** Receiving: why the authoritative server could not be asked. Its own report was told by the event `negotiation-ended`. */
        readonly unverified?: { readonly code: ErrorCode; readonly step?: Step }
        readonly pair?: DomainPair
        /** The key was never asked for: the certificate spoke for it (XEP-0344). */
        readonly withoutDialback?: boolean
      }
    >
  | Traced<'establish', { readonly level?: SecurityLevel }>
  /** Whether stanzas flow back on the stream as well (XEP-0288): for which pair. */
  | Traced<'bidi', { readonly pair: DomainPair }>
  | Traced<'policy', PolicyFacts>

/** A step of the negotiation, an answer of the policy, or whether the stream goes both ways. */
export type TraceStep = Step | 'bidi' | 'policy'

/** One pair on a link: its flow, and what it was proved by. */
export interface PairStatus {
  readonly pair: DomainPair
  readonly flow: 'send' | 'receive'
  readonly level: SecurityLevel
  /** How we know who the peer is, whatever proved us to it. */
  readonly peerIdentity: 'pkix' | 'pin' | 'dns'
  /** Dialback: over what the authoritative server was called. */
  readonly verifiedOver?: VerifiedOver
}

/** A better rung, and what it would take. */
export interface Alternative {
  readonly change: string
  readonly level: SecurityLevel
}

/** What happened in one negotiation. Plain JSON: safe to store, compare, replay. */
export interface Report {
  readonly schema: 1
  readonly peer: Peer
  readonly policy: { readonly name: string; readonly options: LadderOptions | undefined }
  readonly startedAt: number
  readonly endedAt: number
  /** undefined: no link. */
  readonly level: SecurityLevel | undefined
  readonly endpoint: Endpoint | undefined
  readonly pairs: readonly PairStatus[]
  readonly trace: readonly TraceEntry[]
  /** Every step down the ladder, in order, each with its reason. */
  readonly downgrades: readonly Downgrade[]
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly step?: Step } | undefined
  readonly alternatives: readonly Alternative[]
}

/** One rung down. */
export interface Downgrade {
  readonly from: SecurityLevel
  readonly to: SecurityLevel
  readonly because: string
}

/** Where two described sides would end. */
export interface Prediction {
  readonly level: SecurityLevel | undefined
  readonly steps: readonly TraceEntry[]
  /** What was assumed, such as an asynchronous `admit` taken as `admit`. */
  readonly notes: readonly string[]
}
