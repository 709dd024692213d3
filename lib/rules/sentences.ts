import { ownCertificate } from '../model/certificate.ts'
import type { CertificateProblem, CertificateVerdict, OwnCertificate } from '../model/certificate.ts'
import type { OwnState } from '../model/policy.ts'
import { escapeText } from './escape.ts'

/** One problem as a clause that a stranger understands: "expired on 2026-01-01". */
function describeProblem(problem: CertificateProblem): string {
  switch (problem.kind) {
    case 'missing':
      return 'no certificate was presented'
    case 'self-signed':
      return 'self-signed'
    case 'untrusted-issuer':
      return `issued by an authority that is not trusted here (${escapeText(problem.issuer)})`
    case 'broken-chain':
      return `the chain is incomplete (${escapeText(problem.detail)})`
    case 'constraint':
      return `not allowed for this use (${escapeText(problem.detail)})`
    case 'expired':
      return `expired on ${problem.notAfter}`
    case 'not-yet-valid':
      return `not valid before ${problem.notBefore}`
    case 'wrong-identity':
      return `not valid for ${problem.expected} (it names ${list(problem.presented)})`
    case 'wrong-usage':
      return `not meant for servers (its uses are ${list(problem.presented)})`
    case 'weak':
      return `too weak (${escapeText(problem.detail)})`
  }
}

/** All problems of a verdict in one clause. */
export function describeProblems(verdict: CertificateVerdict): string {
  return verdict.valid ? 'valid' : verdict.problems.map(describeProblem).join('; ')
}

const OURS: Readonly<Record<OwnCertificate, string | undefined>> = {
  trusted: undefined,
  'self-signed': 'our own certificate is self-signed',
  invalid: 'our own certificate does not verify',
  missing: 'we have no certificate of our own'
}

/** What a verdict on our own certificate makes of it. */
export function ownState(verdict: CertificateVerdict): OwnState {
  const ours = ownCertificate(verdict)
  return ours === 'invalid' ? { ours, oursBecause: describeProblems(verdict) } : { ours }
}

/** What may be wrong with what we show ourselves; undefined: nothing. */
export function describeOurs({ ours, oursBecause }: OwnState): string | undefined {
  return oursBecause === undefined ? OURS[ours] : `${OURS[ours] ?? 'our own certificate'}: ${oursBecause}`
}

const MOST_NAMES = 5

function list(names: readonly string[]): string {
  if (names.length === 0) return 'none'
  const shown = names
    .slice(0, MOST_NAMES)
    .map(name => escapeText(name))
    .join(', ')
  return names.length > MOST_NAMES ? `${shown} and ${names.length - MOST_NAMES} more` : shown
}
