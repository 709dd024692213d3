import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import { Acknowledgements } from '../../lib/streams/acknowledgements.ts'
import type { Consignment, Fate } from '../../lib/streams/consignment.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import type { Taken } from '../../lib/xml/outbox.ts'
import { elementOf } from '../xml/feeding.ts'

const WRAP = 2 ** 32
const SM = `xmlns='urn:xmpp:sm:3'`
const frame = (xml: string) => elementOf(xml)
const lost = new FederationError('S2S_STREAM_CLOSED')

/** One stream, whose bytes leave when the spec says so. */
class Stream {
  readonly written: string[] = []
  readonly waiting: Taken[] = []
  readonly fates = new Map<number, Fate[]>()
  readonly failures: FederationError[] = []
  readonly acknowledgements: Acknowledgements

  constructor(clock: TestClock, resumption: number | undefined = 60_000) {
    this.acknowledgements = new Acknowledgements({
      clock,
      timeout: 30_000,
      progress: 60_000,
      unackedStanzas: 1_000,
      unackedBytes: 1_000_000,
      maxBytes: undefined,
      resumption,
      write: (xml, taken) => {
        this.written.push(xml.toString())
        if (taken !== undefined) this.waiting.push(taken)
      },
      fail: error => this.failures.push(error)
    })
  }

  send(number: number): void {
    const consignment: Consignment = {
      xml: `<message id='${number}'/>`,
      size: 10,
      sender: domain('a.example'),
      number,
      since: Infinity,
      sent: () => undefined,
      failed: () => undefined
    }
    this.acknowledgements.send(consignment, (_, fate) => this.fates.set(number, [...(this.fates.get(number) ?? []), fate]))
  }

  receive(xml: string): void {
    assert.ok(this.acknowledgements.receive(frame(xml)), xml)
  }

  /** The bytes of so many writes have left, or never will. */
  leave(count: number, error?: Error): void {
    for (const taken of this.waiting.splice(0, count)) taken(error)
  }
}

function codeOf(fates: readonly Fate[] | undefined): readonly string[] {
  return (fates ?? []).map(fate => (FederationError.is(fate) ? fate.code : fate))
}

describe('streams/acknowledgements', () => {
  it('[XEP0198-4-b] counts on past 4294967295 on a stream that is resumed again and again', () => {
    const clock = createTestClock()
    const second = new Stream(clock)
    const before = { sent: WRAP - 2, acknowledged: WRAP - 2 }
    const resumption = { id: 's', within: 60_000 }
    second.acknowledgements.resume({
      resumption,
      counts: before,
      handled: 0,
      unacknowledged: [],
      until: Infinity,
      isUnread: true,
      isOwed: false,
      cause: lost
    })
    second.receive(`<resumed ${SM} previd='s' h='4294967294'/>`)
    for (const number of [1, 2, 3, 4]) second.send(number)
    second.receive(`<a ${SM} h='4294967295'/>`)
    second.receive(`<a ${SM} h='0'/>`)
    assert.deepEqual(
      [...second.fates.entries()],
      [
        [1, ['acknowledged']],
        [2, ['acknowledged']]
      ]
    )
    second.leave(4)
    const remains = second.acknowledgements.suspend(lost, true)?.take() ?? assert.fail()
    assert.deepEqual(remains.counts, { sent: WRAP + 2, acknowledged: WRAP })
    const third = new Stream(clock)
    third.acknowledgements.resume(remains)
    third.receive(`<resumed ${SM} previd='s' h='1'/>`)
    assert.deepEqual(third.written.slice(1), [`<message id='4'/>`, `<r ${SM}/>`])
    third.receive(`<a ${SM} h='2'/>`)
    assert.deepEqual(codeOf(second.fates.get(4)), ['acknowledged'])
    third.acknowledgements.end(undefined)
    assert.equal(clock.pendingTimers, 0)
  })

  it('[ENG-Q-a] gives up a peer that answers and acknowledges nothing more of what it owes, and none that goes on or owes nothing', async () => {
    const clock = createTestClock()
    const stream = new Stream(clock)
    stream.acknowledgements.enable()
    stream.receive(`<enabled ${SM}/>`)
    await clock.advance(120_000)
    let handled = 0
    /** As the peer answers, asked again and again for a time, having handled so much more by now. */
    const goOn = async (time: number, more: number): Promise<void> => {
      handled += more
      for (let past = 0; past < time; past += 10_000) {
        stream.receive(`<a ${SM} h='${handled}'/>`)
        await clock.advance(10_000)
      }
    }
    stream.send(1)
    stream.send(2)
    await goOn(50_000, 0)
    await goOn(50_000, 1)
    stream.send(3)
    assert.deepEqual(stream.failures, [])
    await goOn(20_000, 0)
    assert.deepEqual(
      stream.failures.map(({ code, streamCondition, message }) => [
        code,
        streamCondition,
        /nothing more was acknowledged for 60000 ms/.test(message)
      ]),
      [['S2S_TIMEOUT', 'connection-timeout', true]]
    )
    stream.acknowledgements.end(undefined)
    assert.equal(clock.pendingTimers, 0)
  })

  it('[ENG-Q-a] gives each stanza one fate, whenever its bytes leave or do not, it is acknowledged, and the stream ends', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 4 }) }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), count: fc.integer({ min: 1, max: 6 }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('enabled' as const, 'failed' as const, 'end' as const) }) }
    )
    const rest = fc.constantFrom(undefined, lost, new Error('ECONNRESET'))
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        rest,
        fc.constantFrom(undefined, 60_000),
        fc.boolean(),
        (steps, error, resumption, isLost) => {
          const clock = createTestClock()
          const stream = new Stream(clock, resumption)
          const { acknowledgements } = stream
          acknowledgements.enable()
          let [sent, left, acknowledged] = [0, 0, 0]
          let state = 'asked'
          for (const each of steps) {
            if (each.do === 'send' && !acknowledgements.full && state !== 'over')
              for (let n = 0; n < each.count; n += 1) stream.send(sent++)
            else if (each.do === 'leave') {
              left += Math.min(each.count, stream.waiting.length)
              stream.leave(each.count)
            } else if (each.do === 'acknowledge' && state === 'on') {
              // What has not left cannot have been handled.
              acknowledged += Math.floor(each.share * (left - acknowledged))
              stream.receive(`<a ${SM} h='${acknowledged}'/>`)
            } else if (each.do === 'enabled' && state === 'asked') {
              stream.receive(`<enabled ${SM} id='s' resume='true'/>`)
              state = 'on'
            } else if (each.do === 'failed' && state === 'asked') {
              stream.receive(`<failed ${SM}/>`)
              state = 'off'
            } else if (each.do === 'end') {
              acknowledgements.end(lost)
              state = 'over'
            }
          }
          const held = isLost ? acknowledgements.suspend(lost, true) : undefined
          acknowledgements.end(lost)
          stream.leave(Infinity, error)
          held?.giveUp()
          assert.equal(clock.pendingTimers, 0)
          const unsent = error === undefined ? ['written', 'S2S_IN_DOUBT'] : error === lost ? ['unsent'] : ['S2S_IN_DOUBT']
          for (let number = 0; number < sent; number += 1) {
            const fates = codeOf(stream.fates.get(number))
            assert.equal(fates.length, 1, `${number} of ${sent}: ${fates.join()}`)
            const expected = number < acknowledged ? ['acknowledged'] : number < left ? ['written', 'S2S_IN_DOUBT'] : unsent
            assert.ok(expected.includes(fates[0] ?? ''), `${number} ended ${fates.join()}, not ${expected.join(' or ')}`)
          }
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
