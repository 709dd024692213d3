import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import { Acknowledgements } from '../../lib/streams/acknowledgements.ts'
import type { Fate } from '../../lib/streams/consignment.ts'
import type { KeptStream } from '../../lib/streams/kept-stream.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import type { Taken } from '../../lib/xml/outbox.ts'
import { elementOf } from '../xml/feeding.ts'

const WRAP = 2 ** 32
const SM = `xmlns='urn:xmpp:sm:3'`
const ASK = `<r ${SM}/>`
const WITHIN = 10_000
const lost = new FederationError('S2S_STREAM_CLOSED')

/** What is sent back on one stream, whose bytes leave when the spec says so. */
class Back {
  readonly written: string[] = []
  readonly waiting: Taken[] = []
  readonly acknowledgements: Acknowledgements

  constructor(clock: TestClock) {
    this.acknowledgements = new Acknowledgements({
      clock,
      timeout: 30_000,
      progress: 60_000,
      unackedStanzas: 1_000,
      unackedBytes: 1_000_000,
      maxBytes: undefined,
      resumption: undefined,
      write: (xml, taken) => {
        this.written.push(xml.toString())
        if (taken !== undefined) this.waiting.push(taken)
      },
      fail: error => assert.fail(error)
    })
  }

  acknowledge(h: number): void {
    this.acknowledgements.receive(elementOf(`<a ${SM} h='${h}'/>`))
  }
}

describe('streams/kept-stream', () => {
  let clock: TestClock
  let fates: (readonly [number, string])[]

  beforeEach(() => {
    clock = createTestClock()
    fates = []
  })
  afterEach(() => assert.equal(clock.pendingTimers, 0))

  const ended = ({ number }: { readonly number: number }, fate: Fate): void =>
    void fates.push([number, FederationError.is(fate) ? fate.code : fate])

  function send(back: Back, ...numbers: readonly number[]): void {
    for (const number of numbers) {
      const on = { sender: domain('b.example'), number, since: Infinity, sent: () => undefined, failed: () => undefined }
      back.acknowledgements.send({ xml: `<message id='${number}'/>`, size: 10, ...on }, ended)
    }
  }

  function keptOf(back: Back): KeptStream {
    return back.acknowledgements.keep(lost, WITHIN) ?? assert.fail('nothing is kept')
  }

  it('[XEP0198-4-b] [ENG-Q-a] goes on past 4294967295, and says each end once, whatever the stream that was lost still hears', () => {
    const first = new Back(clock)
    first.acknowledgements.begin(WRAP - 2)
    send(first, 1, 2, 3, 4)
    first.acknowledge(WRAP - 1)
    const kept = keptOf(first)
    first.acknowledge(2)
    first.acknowledgements.end(lost)
    assert.deepEqual(fates, [[1, 'acknowledged']])
    kept.count(1)
    const second = new Back(clock)
    second.acknowledgements.begin(WRAP, kept.take())
    assert.deepEqual(second.written, [`<message id='3'/>`, `<message id='4'/>`, ASK])
    send(second, 5)
    second.acknowledge(2)
    second.acknowledge(3)
    for (const taken of [...first.waiting, ...second.waiting]) taken(lost)
    assert.deepEqual(
      fates,
      [1, 2, 3, 4, 5].map(number => [number, 'acknowledged'])
    )
    assert.deepEqual(second.acknowledgements.counts, { sent: WRAP + 3, acknowledged: WRAP + 3 })
    second.acknowledgements.end(undefined)
  })

  it('[ENG-Q-a] gives back what never left when it is given up, and has the rest in doubt, once', async () => {
    const back = new Back(clock)
    back.acknowledgements.begin()
    send(back, 1, 2, 3)
    back.waiting[0]?.(undefined)
    const kept = keptOf(back)
    back.waiting[1]?.(lost)
    assert.deepEqual(fates, [])
    await clock.advance(WITHIN)
    assert.deepEqual(fates, [
      [1, 'S2S_IN_DOUBT'],
      [2, 'unsent']
    ])
    back.waiting[2]?.(new Error('ECONNRESET'))
    assert.deepEqual(fates[2], [3, 'S2S_IN_DOUBT'])
    kept.giveUp()
    assert.equal(fates.length, 3)
    assert.equal(await kept.carriedOn, undefined)
    assert.deepEqual(kept.take(), [])
  })

  it('keeps nothing where nothing is unacknowledged, or nothing is managed', () => {
    const idle = new Back(clock)
    idle.acknowledgements.begin()
    send(idle, 1)
    idle.acknowledge(1)
    assert.equal(idle.acknowledgements.keep(lost, WITHIN), undefined)
    idle.acknowledgements.end(lost)
    const unmanaged = new Back(clock)
    send(unmanaged, 2)
    assert.equal(unmanaged.acknowledgements.keep(lost, WITHIN), undefined)
    unmanaged.waiting[0]?.(undefined)
    assert.deepEqual(fates, [
      [1, 'acknowledged'],
      [2, 'written']
    ])
  })
})
