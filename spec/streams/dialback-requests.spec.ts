import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { DialbackRequests } from '../../lib/streams/dialback-requests.ts'
import { dialbackOf } from '../../lib/testing/peer-xml.ts'
import { pairOf, rejection } from '../world.ts'
import { elementOf } from '../xml/feeding.ts'

const PAIR = pairOf('a.example', 'b.example')
const answer = (from = 'b.example', to = 'a.example', type = 'valid') => elementOf(dialbackOf('result', { from, to, type }))
const gone = new FederationError('S2S_STREAM_CLOSED')

describe('streams/dialback-requests', () => {
  it('[XEP0220-2.1.1-b] takes an answer for the exact pair that is pending, once, and nothing else', async () => {
    const requests = new DialbackRequests()
    assert.equal(requests.receive(answer()), undefined, 'nobody has asked')
    const pending = requests.answerTo(PAIR)
    for (const wrong of [
      answer('a.example', 'b.example'),
      answer('c.example', 'a.example'),
      answer('b.example', 'a2.example'),
      answer('not a domain', 'a.example'),
      answer('b.example', ''),
      elementOf(dialbackOf('verify', { from: 'b.example', to: 'a.example', id: 'x', type: 'valid' }))
    ])
      assert.equal(requests.receive(wrong), undefined)
    assert.equal(requests.size, 1)
    const first = answer('B.EXAMPLE.', 'a.example', 'error')
    assert.deepEqual(requests.receive(first), PAIR)
    assert.equal(requests.receive(answer()), undefined, 'the second answer')
    assert.equal(await pending, first)
    assert.deepEqual([requests.size, requests.has(PAIR)], [0, true])
  })

  it('drops an answer that comes after nobody waits for it any more', () => {
    const requests = new DialbackRequests()
    void requests.answerTo(PAIR)
    assert.deepEqual([requests.forget(PAIR), requests.forget(PAIR)], [true, false])
    assert.deepEqual([requests.size, requests.receive(answer()), requests.has(PAIR)], [0, undefined, true])
  })

  it('[XEP0220-2.1.1-d] ends with the stream for whoever waits, and for whoever comes later', async () => {
    const requests = new DialbackRequests()
    const pending = requests.answerTo(PAIR)
    requests.end(gone)
    requests.end(new FederationError('S2S_TIMEOUT'))
    assert.equal(await rejection(pending), gone)
    assert.equal(await rejection(requests.answerTo(pairOf('a.example', 'c.example'))), gone)
    assert.equal(requests.size, 0)
  })
})
