/** One name of a subjectAltName, as its DER says (RFC 5280 §4.2.1.6). Only the first three kinds can name an XMPP server. */
export type PresentedName =
  | { readonly kind: 'dns' | 'srv' | 'xmpp' | 'email' | 'uri'; readonly value: string }
  /** Hex. */
  | { readonly kind: 'ip'; readonly value: string }
  | { readonly kind: 'directory'; readonly value: DistinguishedName }
  /** `value` says which: an otherName's object identifier, or the form's name. */
  | { readonly kind: 'other'; readonly value: string }

/** A Name, comparable: one string per RDN, outermost first, case and spaces folded (RFC 5280 §7.1). */
export type DistinguishedName = readonly string[]

/** One subtree of a name constraint (RFC 5280 §4.2.1.10). */
export type NameSubtree =
  | { readonly kind: 'dns' | 'email' | 'uri'; readonly base: string }
  /** Hex; as long as the address. */
  | { readonly kind: 'ip'; readonly address: string; readonly mask: string }
  | { readonly kind: 'directory'; readonly base: DistinguishedName }
  /** A form that nobody here understands, or a minimum or maximum, which RFC 5280 forbids. */
  | { readonly kind: 'unknown'; readonly form: string }

export interface NameConstraints {
  readonly permitted: readonly NameSubtree[]
  readonly excluded: readonly NameSubtree[]
}

export type PublicKeyFacts =
  | { readonly kind: 'rsa'; readonly bits: number; readonly exponentBits: number }
  | { readonly kind: 'ec'; readonly curve: 'P-256' | 'P-384' | 'P-521' }
  | { readonly kind: 'ed25519' | 'ed448' }
  | { readonly kind: 'unknown'; readonly text: string }

/** What one certificate says of itself. Read, not judged. */
export interface CertificateFacts {
  /** For people, with peers' text escaped. */
  readonly subject: string
  readonly issuer: string
  readonly subjectName: DistinguishedName
  /** Common names and e-mail addresses in the subject name nobody, but name constraints speak of them too. */
  readonly commonNames: readonly string[]
  readonly subjectEmails: 'none' | 'some' | 'not-ia5'
  readonly version: number
  /** Subject and issuer are the same name. */
  readonly selfIssued: boolean
  /** Milliseconds since the epoch; undefined: not a date. */
  readonly notBefore: number | undefined
  readonly notAfter: number | undefined
  readonly key: PublicKeyFacts
  /** The hash under the issuer's signature: `sha256`, `sha1`, `none` for EdDSA, or the algorithm's object identifier where unknown. */
  readonly signatureHash: string
  readonly ca: boolean
  /** undefined: unlimited. */
  readonly pathLength: number | undefined
  /** undefined: the extension is absent, everything is allowed. */
  readonly keyUsage: readonly string[] | undefined
  /** Object identifiers. undefined: the extension is absent, everything is allowed. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly nameConstraints: NameConstraints | undefined
  readonly names: readonly PresentedName[]
  /** Object identifiers of critical extensions that are not understood. */
  readonly unknownCritical: readonly string[]
  /** What is wrong with its encoding, a clause each. */
  readonly defects: readonly string[]
}

/**
 * Where a path ended. `self-signed`: at the leaf, which its own key signed. `self-issued`: at a certificate that names itself
 * as its issuer and is no anchor. `no-issuer`: at one whose issuer was not presented. `gave-up`: the path was too long, or
 * finding it too much work; a defect says which.
 */
export type PathEnd = 'anchor' | 'self-signed' | 'self-issued' | 'no-issuer' | 'gave-up'

/** One linear path from a presented leaf, as far as it led. Holds no judgement and no time, so it may be kept. */
export interface ChainFacts {
  /** SHA-256 of the leaf's DER and of its SubjectPublicKeyInfo, lower-case hex. */
  readonly fingerprint256: string
  readonly spki256: string | undefined
  /** Leaf first, each signed by the next. With `anchor`, the last is the anchor; it may be the leaf. Empty: the leaf is not readable. */
  readonly path: readonly CertificateFacts[]
  readonly end: PathEnd
  /** What was wrong with the path rather than with one certificate, a clause each. */
  readonly defects: readonly string[]
}
