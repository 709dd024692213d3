import type { CertificateProblem, CertificateVerdict } from '../model/certificate.ts'
import type { CertificateFacts, ChainFacts, PublicKeyFacts } from '../model/chain.ts'
import type { Domain } from '../model/domain.ts'
import type { Pin } from '../model/policy.ts'
import { escapeText } from './escape.ts'
import { nameConstraintViolations } from './name-constraints.ts'
import { isNameFor, nameText } from './names.ts'
import { applyPins } from './pins.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const STRONG_HASHES: readonly string[] = ['sha256', 'sha384', 'sha512', 'none']
const TLS_USAGES: readonly string[] = ['digitalSignature', 'keyEncipherment', 'keyAgreement']
const FEWEST_RSA_BITS = 2048
const MOST_RSA_BITS = 8192
const MOST_NAMES_SHOWN = 64

/**
 * Judges a chain for one reference identifier, the same for both directions and both TLS roles (RFC 5280 §6.1, RFC 9525,
 * RFC 6120 §13.7; XEP-0178 for the purpose, which is serverAuth always). Reports every problem, on both axes: chain and name.
 *
 * @param now milliseconds since the epoch
 * @param pins undefined: none applies. Otherwise one of them has to match and nothing else counts; a match stands in for the
 * chain and the name, not for the leaf's dates
 */
export function judgeCertificate(facts: ChainFacts, identity: Domain, now: number, pins?: readonly Pin[]): CertificateVerdict {
  const [leaf] = facts.path
  const names = (leaf?.names ?? []).map(name => escapeText(nameText(name)))
  const shown =
    names.length > MOST_NAMES_SHOWN ? [...names.slice(0, MOST_NAMES_SHOWN), `and ${names.length - MOST_NAMES_SHOWN} more`] : names
  const problems = [
    ...endProblems(facts),
    ...facts.path.flatMap((one, at) => dateProblems(one, at, now)),
    ...(leaf?.names.some(name => isNameFor(name, identity)) === true
      ? []
      : [{ kind: 'wrong-identity', expected: identity, presented: shown } as const]),
    ...facts.path.flatMap(usageProblems),
    ...facts.defects.map(constraint),
    ...facts.path.flatMap((one, at) => constraintProblems(facts, one, at)),
    ...nameConstraintViolations(facts.path).map(({ issuer, violation }) => constraint(`${issuer.subject} ${violation}`)),
    ...facts.path.flatMap((one, at) => weaknesses(facts, one, at))
  ]
  const valid = problems.length === 0
  const { fingerprint256, spki256 } = facts
  const judged = {
    valid,
    problems,
    proof: valid ? 'pkix' : 'none',
    fingerprint256,
    spki256,
    names: shown,
    notAfter: earliestEnd(facts.path)
  } as const
  // A pin does not stand in for dates, so one on a certificate without any matches nothing.
  const verdict = applyPins(judged, leaf?.notBefore === undefined || leaf.notAfter === undefined ? pins && [] : pins)
  return verdict.proof === 'pin' && leaf !== undefined ? { ...verdict, notAfter: earliestEnd([leaf]) } : verdict
}

function endProblems({ end, path, fingerprint256 }: ChainFacts): CertificateProblem[] {
  const last = path.at(-1)
  switch (end) {
    case 'anchor':
      return []
    case 'self-signed':
      return [{ kind: 'self-signed', fingerprint256 }]
    case 'self-issued':
      return [{ kind: 'untrusted-issuer', issuer: last?.subject ?? '' }]
    case 'no-issuer':
      return last === undefined ? [] : [{ kind: 'broken-chain', detail: `the issuer of ${last.subject} was not sent: ${last.issuer}` }]
    case 'gave-up':
      return [{ kind: 'broken-chain', detail: 'no path to an authority was found within the limits' }]
  }
}

function dateProblems(one: CertificateFacts, at: number, now: number): CertificateProblem[] {
  const { notBefore, notAfter } = one
  const of = at === 0 ? {} : { subject: one.subject }
  if (notBefore === undefined || notAfter === undefined) return [constraint(`${one.subject}: its validity is not in dates of RFC 5280`)]
  const problems: CertificateProblem[] = []
  if (now < notBefore) problems.push({ kind: 'not-yet-valid', notBefore: new Date(notBefore).toISOString(), ...of })
  if (now >= notAfter) problems.push({ kind: 'expired', notAfter: new Date(notAfter).toISOString(), ...of })
  return problems
}

// anyExtendedKeyUsage alone does not do: OpenSSL refuses it for servers, and nothing it refuses is accepted here.
function usageProblems(one: CertificateFacts, at: number): CertificateProblem[] {
  const presented = one.extendedKeyUsage
  if (presented === undefined || presented.includes(SERVER_AUTH)) return []
  return [{ kind: 'wrong-usage', presented, ...(at === 0 ? {} : { subject: one.subject }) }]
}

function constraintProblems(facts: ChainFacts, one: CertificateFacts, at: number): CertificateProblem[] {
  const details = one.defects.map(defect => `${one.subject}: ${defect}`)
  if (one.unknownCritical.length > 0) {
    details.push(`${one.subject} has critical extensions that are not understood: ${one.unknownCritical.slice(0, 8).join(', ')}`)
  }
  if (at === 0) details.push(...leafDetails(facts, one))
  else details.push(...issuerDetails(facts, one, at))
  return details.map(constraint)
}

function leafDetails(facts: ChainFacts, leaf: CertificateFacts): string[] {
  const details: string[] = []
  // RFC 6120 §13.7.1.1. One that stands for itself is often a CA too, and no path runs through it.
  const standsForItself = facts.end === 'self-signed' || (facts.end === 'anchor' && facts.path.length === 1)
  if (leaf.ca && !standsForItself) details.push(`${leaf.subject} is a CA, not a server`)
  if (leaf.keyUsage !== undefined && !TLS_USAGES.some(usage => leaf.keyUsage?.includes(usage)))
    details.push(`${leaf.subject}: its key usage is not for TLS`)
  return details
}

function issuerDetails({ path, end }: ChainFacts, issuer: CertificateFacts, at: number): string[] {
  const details: string[] = []
  const isAnchor = end === 'anchor' && at === path.length - 1
  // Version 1 knows no extensions; that it is a CA is then for whoever made it an anchor to know (RFC 5280 §6.1.4 k).
  if (!issuer.ca && !(isAnchor && issuer.version === 1))
    details.push(`${issuer.subject} is not a CA, but signed ${path[at - 1]?.subject ?? ''}`)
  if (issuer.keyUsage !== undefined && !issuer.keyUsage.includes('keyCertSign'))
    details.push(`${issuer.subject}: its key usage is not to sign certificates`)
  const between = path.slice(1, at).filter(one => !one.selfIssued).length
  if (issuer.pathLength !== undefined && between > issuer.pathLength)
    details.push(`${issuer.subject} allows ${issuer.pathLength} CAs below it, not ${between}`)
  return details
}

function weaknesses({ path, end }: ChainFacts, one: CertificateFacts, at: number): CertificateProblem[] {
  const details: string[] = []
  const key = keyWeakness(one.key)
  if (key !== undefined) details.push(`${one.subject}: ${key}`)
  // An anchor is trusted for being there; its own signature proves nothing.
  const isAnchor = end === 'anchor' && at === path.length - 1
  if (!isAnchor && !STRONG_HASHES.includes(one.signatureHash)) details.push(`${one.subject} is signed with ${one.signatureHash}`)
  return details.map(detail => ({ kind: 'weak', detail }))
}

function keyWeakness(key: PublicKeyFacts): string | undefined {
  switch (key.kind) {
    case 'rsa':
      if (key.bits < FEWEST_RSA_BITS) return `an RSA key of ${key.bits} bits is too short`
      return key.bits > MOST_RSA_BITS || key.exponentBits > 64
        ? `an RSA key of ${key.bits} bits with an exponent of ${key.exponentBits} is not used`
        : undefined
    case 'unknown':
      return `${key.text} is not used`
    case 'ec':
    case 'ed25519':
    case 'ed448':
      return undefined
  }
}

function earliestEnd(path: readonly CertificateFacts[]): string | undefined {
  const ends = path.flatMap(one => (one.notAfter === undefined ? [] : [one.notAfter]))
  return ends.length === 0 ? undefined : new Date(Math.min(...ends)).toISOString()
}

function constraint(detail: string): CertificateProblem {
  return { kind: 'constraint', detail }
}
