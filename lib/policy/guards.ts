import type { CertificateVerdict } from '../model/certificate.ts'
import type { Guard, Peer, Pin } from '../model/policy.ts'
import { readPatterns } from '../rules/domain-patterns.ts'
import { checkKeys, objectAt, shown, unusable, wrong } from '../rules/option-value.ts'
import { matchesPin } from '../rules/pins.ts'
import { scopedGuard } from './layer.ts'

/**
 * Holds remote domains to certificates: TLS required, one of these certificates (SHA-256 of the leaf or of its key, hex) and no
 * other, even one that verifies; nothing in clear. A match stands in for chain and name, not for dates.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern, for no pin, and for a pin that is no SHA-256 digest
 */
export function pin(patterns: readonly string[], pins: readonly Pin[]): Guard {
  const digests = readPins(pins)
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
  return scopedGuard(readPatterns(patterns, 'pin: patterns'), guard)
}

const SHA256 = /^[0-9a-f]{64}$/

function readPins(given: unknown): readonly Pin[] {
  if (!Array.isArray(given)) throw wrong('pin: pins', 'a list of pins', shown(given))
  if (given.length === 0) throw unusable('pin: pins', 'is empty; to refuse a domain, block it')
  return given.map((each: unknown, index) => readPin(each, `pin: pins[${index}]`))
}

function readPin(given: unknown, where: string): Pin {
  const pin = objectAt(given, where, '{ leaf256 } or { spki256 }')
  checkKeys(pin, ['leaf256', 'spki256'], where)
  const digests = Object.entries(pin).filter(([, value]) => value !== undefined)
  if (digests.length === 0) throw unusable(where, 'has to have leaf256 or spki256')
  return Object.fromEntries(digests.map(([key, value]) => [key, readDigest(value, `${where}.${key}`)]))
}

function readDigest(value: unknown, where: string): string {
  const digest = typeof value === 'string' ? value.replaceAll(':', '').toLowerCase() : ''
  if (!SHA256.test(digest)) throw wrong(where, 'a SHA-256 digest, 64 hexadecimal digits', shown(value))
  return digest
}

/**
 * Refuses remote domains, in both directions.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern
 */
export function block(patterns: readonly string[]): Guard {
  const guard: Guard = { kind: 'guard', name: 'block', admit: () => ({ answer: 'refuse', because: 'the domain is blocked' }) }
  return scopedGuard(readPatterns(patterns, 'block: patterns'), guard)
}

/**
 * Refuses every remote domain but these, in both directions. An incoming peer that has not named itself is let in to do so.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern
 */
export function allowOnly(patterns: readonly string[]): Guard {
  const domains = readPatterns(patterns, 'allowOnly: patterns')
  const isAllowed = (peer: Peer): boolean => peer.remote === undefined || domains.matches(peer.remote)
  return Object.freeze({
    kind: 'guard' as const,
    name: 'allow-only',
    admit: peer => (isAllowed(peer) ? undefined : { answer: 'refuse', because: 'the domain is not on the list' })
  } satisfies Guard)
}
