import { MISSING_CERTIFICATE } from '../model/certificate.ts'
import type { CertificateProblem, CertificateState, CertificateVerdict } from '../model/certificate.ts'
import type { Domain } from '../model/domain.ts'

/** What the judge says of a certificate for `name` in one of the states that the testing kit issues; digests are not known. */
export function verdictOfState(state: CertificateState, name: Domain): CertificateVerdict {
  if (state === 'missing') return MISSING_CERTIFICATE
  const problems = problemsOf(state, name)
  const valid = problems.length === 0
  const names = [state === 'wrong-host' ? WRONG_HOST : name]
  return { valid, problems, proof: valid ? 'pkix' : 'none', fingerprint256: undefined, spki256: undefined, names, notAfter: undefined }
}

const WRONG_HOST = 'wrong-host.invalid'

function problemsOf(state: Exclude<CertificateState, 'missing'>, name: Domain): readonly CertificateProblem[] {
  switch (state) {
    case 'valid':
    case 'server-auth-only':
      return []
    case 'self-signed':
      return [{ kind: 'self-signed', fingerprint256: '' }]
    case 'expired':
      return [{ kind: 'expired', notAfter: '2000-01-01T00:00:00.000Z' }]
    case 'not-yet-valid':
      return [{ kind: 'not-yet-valid', notBefore: '2100-01-01T00:00:00.000Z' }]
    case 'wrong-host':
      return [{ kind: 'wrong-identity', expected: name, presented: [WRONG_HOST] }]
    case 'unknown-ca':
      return [{ kind: 'untrusted-issuer', issuer: 'CN=Unknown Authority' }]
    case 'broken-chain':
      return [{ kind: 'broken-chain', detail: 'the intermediate was not sent' }]
  }
}
