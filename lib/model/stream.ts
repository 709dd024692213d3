import type { Domain } from './domain.ts'

/** A stream header as received (RFC 6120 §4.7). `from` and `to` are parsed; a malformed one is an error before this exists. */
export interface StreamHeader {
  readonly from: Domain | undefined
  readonly to: Domain | undefined
  readonly id: string | undefined
  /** undefined: the attribute was absent, a pre-1.0 peer. */
  readonly version: { readonly major: number; readonly minor: number } | undefined
  readonly lang: string | undefined
  /** Whether `jabber:server:dialback` was declared on the header (XEP-0220 §2.1). */
  readonly dialback: boolean
}

/** What the receiving entity advertises after one header (RFC 6120 §4.3.2). */
export interface StreamFeatures {
  readonly starttls: 'absent' | 'offered' | 'required'
  readonly mechanisms: readonly string[]
  readonly dialback: boolean
  readonly dialbackErrors: boolean
  readonly bidi: boolean
  /** Stream management, `urn:xmpp:sm:3`. */
  readonly sm: boolean
  readonly limits?: { readonly maxBytes?: number; readonly idleSeconds?: number }
}

/** The features of a peer that sent none: pre-1.0, or not yet read. */
export const NO_FEATURES: StreamFeatures = {
  starttls: 'absent',
  mechanisms: [],
  dialback: false,
  dialbackErrors: false,
  bidi: false,
  sm: false
}

/** What a handshake gave: shown on links and in reports (RFC 7590 §3.6). */
export interface TlsFacts {
  readonly protocol: string
  readonly cipher: string
}
