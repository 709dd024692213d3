import assert from 'node:assert/strict'
import { acceptsStartTls, offerInClear, offerInTls } from '../../lib/rules/offer.ts'

describe('rules/offer', () => {
  it('[RFC6120-5.3.1-a] offers nothing but STARTTLS where TLS is required, and marks it so', () => {
    assert.deepEqual(offerInClear({ tls: 'required', haveCertificate: true, proofs: ['dialback'] }), {
      starttls: 'required',
      mechanisms: [],
      dialback: false
    })
  })
  it('offers nothing at all where TLS is required and there is no certificate', () => {
    assert.deepEqual(offerInClear({ tls: 'required', haveCertificate: false, proofs: ['dialback'] }), {
      starttls: 'absent',
      mechanisms: [],
      dialback: false
    })
  })
  it('offers STARTTLS where there is a certificate and policy does not forbid, and dialback in clear where it would be accepted', () => {
    assert.deepEqual(offerInClear({ tls: 'when-offered', haveCertificate: true, proofs: ['dialback'] }), {
      starttls: 'offered',
      mechanisms: [],
      dialback: true
    })
    assert.deepEqual(offerInClear({ tls: 'when-offered', haveCertificate: false, proofs: ['dialback'] }), {
      starttls: 'absent',
      mechanisms: [],
      dialback: true
    })
    assert.deepEqual(offerInClear({ tls: 'never', haveCertificate: true, proofs: [] }), {
      starttls: 'absent',
      mechanisms: [],
      dialback: false
    })
  })
  it('proceeds with TLS where it can, asked after an offer or not', () => {
    assert.equal(acceptsStartTls({ tls: 'when-offered', haveCertificate: true }), true)
    assert.equal(acceptsStartTls({ tls: 'required', haveCertificate: false }), false)
    assert.equal(acceptsStartTls({ tls: 'never', haveCertificate: true }), false)
  })
  it('[RFC6120-6.3.4-a] offers EXTERNAL only where the certificate authenticates and it would be accepted, first of all', () => {
    const all = ['dialback', 'sasl-plain', 'sasl-external'] as const
    assert.deepEqual(offerInTls({ proofs: all, use: 'authenticate', hasPassword: true }), {
      starttls: 'absent',
      mechanisms: ['EXTERNAL', 'PLAIN'],
      dialback: true
    })
    assert.deepEqual(offerInTls({ proofs: all, use: 'encrypt-only', hasPassword: true }), {
      starttls: 'absent',
      mechanisms: [],
      dialback: true
    })
    assert.deepEqual(offerInTls({ proofs: all, use: 'authenticate', hasPassword: false }).mechanisms, ['EXTERNAL'])
    assert.deepEqual(offerInTls({ proofs: ['dialback'], use: 'authenticate', hasPassword: true }).mechanisms, [])
    assert.deepEqual(offerInTls({ proofs: all, use: 'reject', hasPassword: true }), { starttls: 'absent', mechanisms: [], dialback: false })
  })
})
