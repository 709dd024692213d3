import assert from 'node:assert/strict'
import { applyPins, matchesPin } from '../../lib/rules/pins.ts'
import { EXPIRED, SELF_SIGNED, VALID, invalid } from './peers.ts'

describe('rules/pins', () => {
  const leaf = { leaf256: 'AA'.repeat(32) }
  const key = { spki256: 'bb'.repeat(32) }
  const other = { leaf256: 'cc'.repeat(32) }

  it('leaves a verdict alone where nothing is pinned', () => {
    assert.equal(applyPins(SELF_SIGNED, undefined), SELF_SIGNED)
  })
  it('lets a match of leaf or key stand in for chain and name', () => {
    for (const pin of [leaf, key]) {
      const verdict = applyPins(SELF_SIGNED, [other, pin])
      assert.deepEqual([verdict.valid, verdict.proof], [true, 'pin'])
    }
    const foreign = invalid(
      { kind: 'untrusted-issuer', issuer: 'CN=x' },
      { kind: 'expired', notAfter: '2020-01-01T00:00:00.000Z', subject: 'CN=x' }
    )
    assert.equal(applyPins(foreign, [leaf]).valid, true)
  })
  it('lets no match stand in for the dates of the certificate', () => {
    assert.deepEqual([applyPins(EXPIRED, [leaf]).valid, applyPins(EXPIRED, [leaf]).proof], [false, 'none'])
    assert.equal(applyPins(invalid({ kind: 'not-yet-valid', notBefore: '2100-01-01T00:00:00.000Z' }), [key]).valid, false)
  })
  it('accepts nothing else, even what verifies', () => {
    const verdict = applyPins(VALID, [other])
    assert.deepEqual([verdict.valid, verdict.proof, verdict.problems], [false, 'none', [{ kind: 'constraint', detail: 'no pin matches' }]])
    assert.equal(applyPins(VALID, []).valid, false)
  })
  it('wants both where a pin names both, and matches nothing by a pin that names nothing', () => {
    assert.equal(matchesPin(VALID, { ...leaf, ...key }), true)
    assert.equal(matchesPin(VALID, { ...leaf, spki256: 'dd'.repeat(32) }), false)
    assert.equal(matchesPin(VALID, {}), false)
    assert.equal(matchesPin({ fingerprint256: undefined, spki256: undefined }, leaf), false)
  })
})
