import assert from 'node:assert/strict'
import { proofRefusal } from '../../lib/rules/clamps.ts'
import type { ProofClamps } from '../../lib/rules/clamps.ts'

describe('rules/clamps', () => {
  const open: ProofClamps = { encrypted: true, use: 'authenticate', floor: 'plain-dialback', tlsRequired: false }
  const clear: ProofClamps = { ...open, encrypted: false, use: undefined }

  it('refuses SASL outside TLS, whatever is claimed of a certificate', () => {
    assert.equal(proofRefusal('sasl-external', { ...open, encrypted: false }), 'sasl-external outside TLS')
    assert.equal(proofRefusal('sasl-plain', { ...open, encrypted: false }), 'sasl-plain outside TLS')
  })
  it('refuses every proof on a stream whose certificate was rejected or never judged', () => {
    for (const use of ['reject', undefined] as const) assert.notEqual(proofRefusal('dialback', { ...open, use }), undefined)
  })
  it('refuses what is below the floor, and dialback in clear where TLS is required', () => {
    assert.equal(proofRefusal('dialback', { ...clear, floor: 'tls-dialback' }), 'plain-dialback is below the minimum level tls-dialback')
    assert.equal(proofRefusal('dialback', { ...clear, tlsRequired: true }), 'dialback in clear where TLS is required')
    assert.equal(proofRefusal('sasl-plain', { ...open, floor: 'sasl-external' }), 'sasl-plain is below the minimum level sasl-external')
  })
  it('refuses nothing else', () => {
    assert.equal(proofRefusal('dialback', clear), undefined)
    assert.equal(proofRefusal('dialback', { ...open, use: 'encrypt-only', floor: 'tls-dialback' }), undefined)
    assert.equal(proofRefusal('sasl-external', { ...open, floor: 'sasl-external' }), undefined)
  })
})
