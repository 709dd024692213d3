import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import { written } from '../../lib/streams/consignment.ts'
import type { Consignment } from '../../lib/streams/consignment.ts'
import { delayed } from '../../lib/xml/delay.ts'

const xml = "<message from='x@a.example' to='y@b.example' id='1'/>"
const sender = domain('a.example')
const consignment: Consignment = {
  ...{ xml, sender, size: xml.length, number: 1, since: 0 },
  sent: () => undefined,
  failed: () => undefined
}

describe('streams/consignment', () => {
  it('says since when a stanza was on its way where it is late, unless the peer would end the stream for its size then', () => {
    const late = delayed(xml, sender, 0)
    const size = Buffer.byteLength(late)
    assert.ok(size > xml.length)
    assert.equal(written(consignment, 10_000, undefined), xml)
    assert.equal(written(consignment, 10_001, undefined), late)
    assert.equal(written(consignment, 10_001, size), late)
    assert.equal(written(consignment, 10_001, size - 1), xml)
  })
})
