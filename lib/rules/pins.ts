import type { CertificateVerdict } from '../model/certificate.ts'
import type { Pin } from '../model/policy.ts'

/** Whether what was presented is the pinned certificate or key; both, where the pin names both. A pin that names nothing matches nothing. */
export function matchesPin(verdict: Pick<CertificateVerdict, 'fingerprint256' | 'spki256'>, pin: Pin): boolean {
  if (pin.leaf256 === undefined && pin.spki256 === undefined) return false
  const isLeaf = pin.leaf256 === undefined || pin.leaf256.toLowerCase() === verdict.fingerprint256
  const isKey = pin.spki256 === undefined || pin.spki256.toLowerCase() === verdict.spki256
  return isLeaf && isKey
}

/**
 * What pins make of a verdict: a match stands in for chain and name, not for the dates of the certificate itself; without a match
 * nothing else will do, not even a chain that verifies. Without pins the verdict stays as it is.
 */
export function applyPins(verdict: CertificateVerdict, pins: readonly Pin[] | undefined): CertificateVerdict {
  if (pins === undefined) return verdict
  if (pins.some(pin => matchesPin(verdict, pin))) {
    const valid = !verdict.problems.some(
      problem => (problem.kind === 'expired' || problem.kind === 'not-yet-valid') && problem.subject === undefined
    )
    return { ...verdict, valid, proof: valid ? 'pin' : 'none' }
  }
  return { ...verdict, valid: false, proof: 'none', problems: [...verdict.problems, { kind: 'constraint', detail: 'no pin matches' }] }
}
