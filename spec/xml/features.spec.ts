import assert from 'node:assert/strict'
import { parse } from 'ltx'
import { readFeatures } from '../../lib/xml/features.ts'

const limitsIn = (children: string): unknown =>
  readFeatures(parse(`<features><limits xmlns='urn:xmpp:stream-limits:0'>${children}</limits></features>`)).limits

describe('The limits that a peer announces', () => {
  it('are unsigned integers, each optional', () => {
    assert.deepEqual(limitsIn('<max-bytes>262144</max-bytes><idle-seconds>1800</idle-seconds>'), { maxBytes: 262_144, idleSeconds: 1800 })
    assert.deepEqual(limitsIn('<idle-seconds> 60\n</idle-seconds>'), { idleSeconds: 60 })
    assert.deepEqual(limitsIn(`<max-bytes>${2 ** 32 - 1}</max-bytes><idle-seconds>1</idle-seconds>`), {
      maxBytes: 2 ** 32 - 1,
      idleSeconds: 1
    })
    assert.deepEqual(limitsIn(''), {})
    assert.equal(readFeatures(parse('<features/>')).limits, undefined)
  })

  for (const nonsense of [
    '-1',
    'abc',
    '',
    '0',
    '1e5',
    '0x400',
    '12.5',
    String(2 ** 32),
    String(2 ** 33),
    '9999999999',
    String(2 ** 40),
    '9'.repeat(400),
    '١٢٣'
  ])
    it(`[XEP0478-d] are as good as none when they say ${JSON.stringify(nonsense.slice(0, 20))}`, () => {
      assert.deepEqual(limitsIn(`<max-bytes>${nonsense}</max-bytes><idle-seconds>${nonsense}</idle-seconds>`), {})
    })
})
