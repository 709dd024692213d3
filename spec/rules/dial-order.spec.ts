import assert from 'node:assert/strict'
import type { HostAddress } from '../../lib/model/plugs.ts'
import { dialOrder } from '../../lib/rules/dial-order.ts'

const six = (last: number): HostAddress => ({ address: `2001:db8::${last}`, family: 6 })
const four = (last: number): HostAddress => ({ address: `192.0.2.${last}`, family: 4 })

describe('the order of addresses', () => {
  it('is IPv6 first and then in turn, so that a family that does not work costs one attempt', () => {
    assert.deepEqual(dialOrder([four(1), four(2), six(1), six(2), six(3)]), [six(1), four(1), six(2), four(2), six(3)])
  })

  it('is the order of the resolver within a family, without duplicates', () => {
    assert.deepEqual(dialOrder([four(9), four(1), four(9)]), [four(9), four(1)])
  })

  it('ends after eight', () => {
    assert.equal(dialOrder(Array.from({ length: 100 }, (_, index) => four(index))).length, 8)
  })
})
