import assert from 'node:assert/strict'
import { PairOrder } from '../../lib/streams/pair-order.ts'
import type { OrderedStream } from '../../lib/streams/pair-order.ts'

const P = 'a.example b.example'
const Q = 'c.example b.example'

/** A stream that the spec says what is left on. */
class Stream implements OrderedStream {
  readonly left = new Set<string>()
  asked = 0

  hasLeft(key: string): boolean {
    this.asked += 1
    return this.left.has(key)
  }
}

function streams(order: PairOrder<Stream>, count: number, ...keys: readonly string[]): readonly Stream[] {
  return Array.from({ length: count }, () => {
    const stream = new Stream()
    for (const key of keys) order.join(key, stream)
    return stream
  })
}

function take(order: PairOrder<Stream>, stream: Stream | undefined, key = P): readonly Stream[] {
  assert.ok(stream)
  stream.left.add(key)
  return order.take(key, stream)
}

describe('streams/pair-order', () => {
  it('[RFC6120-10.1-b] has each of very many streams of one pair wait for the one before it, and for no other', () => {
    const order = new PairOrder<Stream>()
    const all = streams(order, 400, P)
    for (const each of all) take(order, each)
    assert.equal(order.olders(P, all[0] ?? assert.fail()), undefined)
    for (const [at, each] of all.slice(1).entries()) assert.deepEqual([...(order.olders(P, each) ?? [])], [all[at]])
  })

  it('[RFC6120-10.1-b] asks each stream once about a pair that goes on elsewhere, however many wait for each other', () => {
    const order = new PairOrder<Stream>()
    const all = streams(order, 400, P)
    for (const each of all) take(order, each)
    for (const each of all) each.asked = 0
    for (const back of [200, 0, 399, 100]) {
      take(order, all[back])
      assert.ok(
        all.every(({ asked }) => asked <= 1),
        'once'
      )
      for (const each of all) each.asked = 0
    }
  })

  it('lets nothing wait for what waits for it, be it with another pair and through others', () => {
    const order = new PairOrder<Stream>()
    const [one, two, three] = streams(order, 3, P, Q)
    take(order, one)
    take(order, two)
    take(order, three, Q)
    take(order, two, Q)
    assert.deepEqual([...(order.olders(Q, two ?? assert.fail()) ?? [])], [three])
    assert.deepEqual(take(order, three), [one], 'two waits for three')
    assert.deepEqual(take(order, one), [], 'both wait for one')
  })

  it('has a stream wait for what one that is over has waited for', () => {
    const order = new PairOrder<Stream>()
    const all = streams(order, 5, P)
    for (const each of all) take(order, each)
    const [first, second, third, fourth, last] = all
    assert.ok(last)
    for (const each of [third, second, fourth]) {
      assert.ok(each)
      each.left.clear()
      order.end(each)
      order.leave(P, each)
    }
    assert.deepEqual(
      [...(order.olders(P, last) ?? [])].filter(older => older.left.has(P)),
      [first]
    )
  })

  it('waits for no stream longer with one pair than it has to, and goes on waiting for it with another', () => {
    const order = new PairOrder<Stream>()
    const [one, two] = streams(order, 2, P, Q)
    for (const key of [P, Q]) for (const each of [one, two]) take(order, each, key)
    assert.ok(one !== undefined && two !== undefined)
    order.goOn(P, two)
    assert.equal(order.olders(P, two), undefined)
    assert.deepEqual([...(order.olders(Q, two) ?? [])], [one])
    assert.deepEqual(take(order, one), [], 'two still waits for one')
    order.goOn(Q, two)
    assert.deepEqual(take(order, two), [one])
  })
})
