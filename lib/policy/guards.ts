import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Guard, Peer, Pin } from '../model/policy.ts'
import { readPatterns } from '../rules/domain-patterns.ts'
import { matchesPin } from '../rules/pins.ts'
import { forDomains } from './layer.ts'

/**
 * Holds remote domains to certificates: TLS required, one of these certificates (SHA-256 of the leaf or of its key, hex) and no
 * other, even one that verifies; nothing in clear. A match stands in for chain and name, not for dates.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern, for no pin, and for a pin that is no SHA-256 digest
 */
export function pin(patterns: readonly string[], pins: readonly Pin[]): Guard {
  if (pins.length === 0) throw new FederationError('S2S_CONFIG', { detail: 'pin needs at least one pin; to refuse a domain, block it' })
  const digests = pins.map(readPin)
  const isPinned = (verdict: CertificateVerdict): boolean => digests.some(each => matchesPin(verdict, each))
  const guard: Guard = {
    kind: 'guard',
    name: 'pin',
    pins: () => digests,
    tls: () => ({ answer: 'required', because: 'the certificate is pinned' }),
    certificate: (_peer, verdict) => {
      if (!isPinned(verdict)) return { answer: 'reject', because: 'no pin matches' }
      return verdict.valid ? undefined : { answer: 'reject', because: 'the pinned certificate is out of date' }
    },
    plain: () => ({ answer: 'refuse', because: 'the certificate is pinned' })
  }
  return forDomains(patterns, guard)
}

const SHA256 = /^[0-9a-f]{64}$/

function readPin(given: Pin): Pin {
  const keys = Object.entries(given).filter(([, value]) => value !== undefined)
  if (keys.length === 0) throw new FederationError('S2S_CONFIG', { detail: 'a pin needs leaf256 or spki256' })
  return Object.fromEntries(keys.map(([key, value]) => [key, readDigest(key, value)]))
}

function readDigest(key: string, value: unknown): string {
  if (key !== 'leaf256' && key !== 'spki256')
    throw new FederationError('S2S_CONFIG', { detail: `a pin has leaf256 or spki256, not ${JSON.stringify(key)}` })
  const digest = typeof value === 'string' ? value.replaceAll(':', '').toLowerCase() : ''
  if (!SHA256.test(digest)) throw new FederationError('S2S_CONFIG', { detail: `${key} must be a SHA-256 digest: 64 hexadecimal digits` })
  return digest
}

/**
 * Refuses remote domains, in both directions.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern
 */
export function block(patterns: readonly string[]): Guard {
  const guard: Guard = { kind: 'guard', name: 'block', admit: () => ({ answer: 'refuse', because: 'the domain is blocked' }) }
  return forDomains(patterns, guard)
}

/**
 * Refuses every remote domain but these, in both directions. An incoming peer that has not named itself is let in to do so.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern
 */
export function allowOnly(patterns: readonly string[]): Guard {
  const domains = readPatterns(patterns)
  const isAllowed = (peer: Peer): boolean => peer.remote === undefined || domains.matches(peer.remote)
  return Object.freeze({
    kind: 'guard' as const,
    name: 'allow-only',
    admit: peer => (isAllowed(peer) ? undefined : { answer: 'refuse', because: 'the domain is not on the list' })
  } satisfies Guard)
}
