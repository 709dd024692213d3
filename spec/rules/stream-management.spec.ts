import assert from 'node:assert/strict'
import fc from 'fast-check'
import { judgeAck, wireCount } from '../../lib/rules/stream-management.ts'

const WRAP = 2 ** 32
const count = fc.integer({ min: 0, max: 3 * WRAP })
const unacknowledged = fc.integer({ min: 0, max: 100_000 })

describe('rules/stream-management', () => {
  it('[XEP0198-4-b] lets 0 follow 4294967295, in acknowledgements and in what is told', () => {
    assert.equal(wireCount(WRAP - 1), 4_294_967_295)
    assert.equal(wireCount(WRAP), 0)
    assert.deepEqual(judgeAck('0', { sent: WRAP, acknowledged: WRAP - 1 }), { kind: 'fine', more: 1 })
    assert.deepEqual(judgeAck('4294967295', { sent: WRAP + 4, acknowledged: WRAP - 2 }), { kind: 'fine', more: 1 })
    assert.deepEqual(judgeAck('4', { sent: WRAP + 4, acknowledged: WRAP - 2 }), { kind: 'fine', more: 6 })
    assert.deepEqual(judgeAck('5', { sent: WRAP + 4, acknowledged: WRAP - 2 }), { kind: 'too-high', h: 5 })
    assert.deepEqual(judgeAck('4294967293', { sent: WRAP + 4, acknowledged: WRAP - 2 }), { kind: 'stale', h: 4_294_967_293 })
  })

  it('takes each count between what was acknowledged and what was sent, and adds up', () => {
    fc.assert(
      fc.property(count, unacknowledged, fc.nat(), (acknowledged, waiting, some) => {
        const more = some % (waiting + 1)
        const said = String((acknowledged + more) % WRAP)
        assert.deepEqual(judgeAck(said, { sent: acknowledged + waiting, acknowledged }), { kind: 'fine', more })
      })
    )
  })

  it('[XEP0198-6-a] finds one more than was sent too high, wherever the counter stands', () => {
    fc.assert(
      fc.property(count, unacknowledged, fc.integer({ min: 1, max: 2 ** 30 }), (acknowledged, waiting, beyond) => {
        const h = (acknowledged + waiting + beyond) % WRAP
        assert.deepEqual(judgeAck(String(h), { sent: acknowledged + waiting, acknowledged }), { kind: 'too-high', h })
      })
    )
  })

  it('finds fewer than before stale, and a count from before the beginning too high', () => {
    assert.deepEqual(judgeAck('7', { sent: 10, acknowledged: 8 }), { kind: 'stale', h: 7 })
    assert.deepEqual(judgeAck('4294967295', { sent: 10, acknowledged: 8 }), { kind: 'too-high', h: 4_294_967_295 })
  })

  for (const h of [undefined, '', ' ', '-1', '+1', '1.0', '1e3', '0x10', 'NaN', '４', '4294967296', '99999999999', '1 ', 1])
    it(`[XEP0198-4-d] takes ${h === undefined ? 'no count' : JSON.stringify(h)} for garbage`, () => {
      assert.deepEqual(judgeAck(h, { sent: 3, acknowledged: 0 }), { kind: 'garbage' })
    })

  it('[XEP0198-4-d] never calculates with anything but a count', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.integer().map(String)), count, unacknowledged, (h, acknowledged, waiting) => {
        const judged = judgeAck(h, { sent: acknowledged + waiting, acknowledged })
        if (judged.kind === 'fine') assert.ok(judged.more >= 0 && judged.more <= waiting)
        else if (judged.kind !== 'garbage') assert.ok(Number.isInteger(judged.h))
      })
    )
  })
})
