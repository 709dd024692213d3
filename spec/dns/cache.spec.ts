import assert from 'node:assert/strict'
import { AnswerCache } from '../../lib/dns/cache.ts'

const answerOf = (records: number, ttl = 86_400) =>
  ({ status: 'found', records: Array.from({ length: records }, () => 'record'), ttl, secure: false }) as const

describe('the answers that are kept', () => {
  it('[SEC-PARSE-b] are bounded by their records: the oldest make room', () => {
    const cache = new AnswerCache<string>()
    for (let index = 0; index < 1000; index += 1) cache.put(`x${index}`, answerOf(64), 0)
    const kept = Array.from({ length: 1000 }, (_, index) => cache.get(`x${index}`, 0)).filter(each => each !== undefined)
    assert.equal(kept.length, 256)
    assert.ok(cache.get('x999', 0) !== undefined)
  })

  it('make no room for what is there already, or has gone', () => {
    const cache = new AnswerCache<string>()
    for (let round = 0; round < 1000; round += 1) cache.put('same', answerOf(64), 0)
    for (let index = 0; index < 1000; index += 1) {
      cache.put(`short${index}`, answerOf(64, 1), 0)
      assert.equal(cache.get(`short${index}`, 1000), undefined)
    }
    for (let index = 0; index < 255; index += 1) cache.put(`x${index}`, answerOf(64), 0)
    assert.ok(cache.get('same', 0) !== undefined)
  })
})
