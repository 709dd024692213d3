import type { Proof } from './level.ts'

/** Where to dial. What to say (`to`, SNI) and what to check (the reference identifier) are the pair's, never the host's. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly tls: 'starttls' | 'direct'
  /** `redirect`: a peer whose certificate authenticates it has sent us there (RFC 6120 §4.9.3.19). */
  readonly source: 'srv' | 'fallback' | 'override' | 'redirect'
}

/** One connection of a negotiation. Attempts are monotone: every endpoint encrypted first, plain once and last. */
export interface Attempt {
  readonly endpoint: Endpoint
  readonly encryption: 'per-policy' | 'none'
  readonly skipProofs: readonly Proof[]
}
