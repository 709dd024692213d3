/** Which side opened the connection, seen from us. */
export type Direction = 'outgoing' | 'incoming'

/** What a pair on a link was proved by, strongest first; derived from evidence, never assigned. */
export type SecurityLevel = 'sasl-external' | 'sasl-plain' | 'tls-dialback' | 'plain-dialback'

/** How an identity is shown. */
export type Proof = 'sasl-external' | 'sasl-plain' | 'dialback'

/** What a certificate may be used for. Only a valid verdict ever yields `authenticate`. */
export type CertificateUse = 'authenticate' | 'encrypt-only' | 'reject'

/** The ladder, from the strongest rung to the weakest. */
export const LEVELS: readonly SecurityLevel[] = ['sasl-external', 'sasl-plain', 'tls-dialback', 'plain-dialback']

/** Whether `level` is at or above `floor`. */
export function atLeast(level: SecurityLevel, floor: SecurityLevel): boolean {
  return LEVELS.indexOf(level) <= LEVELS.indexOf(floor)
}

/** The stronger of two levels: the floor that satisfies both. */
export function strongest(a: SecurityLevel, b: SecurityLevel): SecurityLevel {
  return atLeast(a, b) ? a : b
}

/** The weaker of two levels: what a link with both is worth. */
export function weakest(a: SecurityLevel, b: SecurityLevel): SecurityLevel {
  return atLeast(a, b) ? b : a
}

/** The level that a proof gives on a stream. */
export function levelOf(proof: Proof, encrypted: boolean): SecurityLevel {
  if (proof === 'dialback') return encrypted ? 'tls-dialback' : 'plain-dialback'
  return proof
}
