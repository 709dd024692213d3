import assert from 'node:assert/strict'
import { vouchedByCertificate } from '../../lib/auth/dialback-receiving.ts'
import { mintEvidence, statusOf } from '../../lib/auth/evidence.ts'
import { FederationError } from '../../lib/errors.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'

const pair = { sender: domain('capulet.example'), target: domain('montague.example') }
const VALID: CertificateVerdict = { ...MISSING_CERTIFICATE, valid: true, problems: [], proof: 'pkix' }

describe('auth/dialback-receiving', () => {
  it('[XEP0344-a] takes a certificate that authenticates the sender for its key', () => {
    const evidence = vouchedByCertificate(pair, { verdict: VALID, use: 'authenticate' })
    assert.ok(evidence !== undefined)
    assert.deepEqual(statusOf(evidence), { pair, flow: 'receive', level: 'tls-dialback', peerIdentity: 'pkix' })
    assert.equal(vouchedByCertificate(pair, { verdict: { ...VALID, proof: 'pin' }, use: 'authenticate' })?.peerIdentity, 'pin')
  })

  it('[XEP0344-b] takes no certificate that was not verified, and none that policy does not let authenticate (CVE-2021-32919)', () => {
    assert.equal(vouchedByCertificate(pair, undefined), undefined)
    assert.equal(vouchedByCertificate(pair, { verdict: MISSING_CERTIFICATE, use: 'authenticate' }), undefined)
    assert.equal(vouchedByCertificate(pair, { verdict: { ...VALID, valid: false }, use: 'authenticate' }), undefined)
    assert.equal(vouchedByCertificate(pair, { verdict: VALID, use: 'encrypt-only' }), undefined)
  })
})

describe('auth/evidence', () => {
  it('is made only for a level that its proof can give', () => {
    const facts = { pair, flow: 'receive', peerIdentity: 'dns' } as const
    assert.equal(mintEvidence({ ...facts, proof: 'dialback', level: 'plain-dialback' }).level, 'plain-dialback')
    for (const level of ['sasl-external', 'sasl-plain'] as const) {
      assert.throws(
        () => mintEvidence({ ...facts, proof: 'dialback', level }),
        (error: unknown) => FederationError.is(error)
      )
    }
  })
})
