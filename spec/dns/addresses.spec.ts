import assert from 'node:assert/strict'
import { addressesOfBoth } from '../../lib/dns/addresses.ts'
import { FederationError } from '../../lib/errors.ts'
import type { DnsAnswer, HostAddress } from '../../lib/model/plugs.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { rejection } from '../transport/connections.ts'

type Answer = DnsAnswer<HostAddress>
type Outcome = Answer | FederationError

const six: Answer = { status: 'found', records: [{ address: '2001:db8::7', family: 6 }], ttl: 300, secure: true }
const four: Answer = { status: 'found', records: [{ address: '192.0.2.7', family: 4 }], ttl: 60, secure: false }
const noData: Answer = { status: 'no-data', ttl: 60, secure: true }
const noDomain: Answer = { status: 'no-such-domain', ttl: 120, secure: true }
const failed = new FederationError('S2S_DNS_FAILED')

/** One family's lookup: its outcome after some milliseconds on the clock. */
function after(
  clock: TestClock,
  delay: number,
  outcome: Outcome
): { look: (signal: AbortSignal) => Promise<Answer>; readonly calledOff: boolean } {
  const state = { calledOff: false }
  const look = (signal: AbortSignal): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => {
        state.calledOff = true
        timer.cancel()
        reject(new FederationError('S2S_ABORTED'))
      }
      const timer = clock.setTimeout(() => {
        signal.removeEventListener('abort', onAbort)
        if (FederationError.is(outcome)) reject(outcome)
        else resolve(outcome)
      }, delay)
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort)
    })
  return Object.defineProperty({ look, calledOff: false }, 'calledOff', { get: () => state.calledOff })
}

interface Both {
  readonly six: readonly [delay: number, outcome: Outcome]
  readonly four: readonly [delay: number, outcome: Outcome]
}

function asked(
  each: Both,
  signal = new AbortController().signal
): { clock: TestClock; start: number; answer: Promise<Answer>; late: { readonly calledOff: boolean }[] } {
  const clock = createTestClock()
  const lookups = [after(clock, ...each.six), after(clock, ...each.four)] as const
  return { clock, start: clock.now(), answer: addressesOfBoth(lookups[0].look, lookups[1].look, { clock, signal }), late: [...lookups] }
}

async function outcomeOf(each: Both): Promise<readonly [records: readonly string[] | string, took: number]> {
  const { clock, start, answer } = asked(each)
  const found = await clock.run(answer)
  return [found.status === 'found' ? found.records.map(({ address }) => address) : found.status, clock.now() - start]
}

const calledOff = (lookups: readonly { readonly calledOff: boolean }[]): number => lookups.filter(each => each.calledOff).length

describe('the addresses of a host', () => {
  it('are those of both families, IPv6 first, for as long as the shorter lives', async () => {
    const { clock, answer } = asked({ six: [5, six], four: [1, four] })
    assert.deepEqual(await clock.run(answer), {
      status: 'found',
      records: [
        { address: '2001:db8::7', family: 6 },
        { address: '192.0.2.7', family: 4 }
      ],
      ttl: 60,
      secure: false
    })
  })

  it('do not wait more than 50 ms for IPv6 when IPv4 is known', async () => {
    assert.deepEqual(await outcomeOf({ six: [20, six], four: [1, four] }), [['2001:db8::7', '192.0.2.7'], 20])
    assert.deepEqual(await outcomeOf({ six: [9000, six], four: [1, four] }), [['192.0.2.7'], 51])
  })

  it('wait longer for IPv4 when IPv6 is known', async () => {
    assert.deepEqual(await outcomeOf({ six: [1, six], four: [700, four] }), [['2001:db8::7', '192.0.2.7'], 700])
    assert.deepEqual(await outcomeOf({ six: [1, six], four: [9000, four] }), [['2001:db8::7'], 1001])
  })

  it('are those of one family when the other fails or is absent', async () => {
    assert.deepEqual(await outcomeOf({ six: [1, failed], four: [1, four] }), [['192.0.2.7'], 1])
    assert.deepEqual(await outcomeOf({ six: [1, noData], four: [1, four] }), [['192.0.2.7'], 1])
  })

  it('are absent only if both families say so, and unknown if one failed', async () => {
    assert.deepEqual(await outcomeOf({ six: [1, noData], four: [2, noData] }), ['no-data', 2])
    assert.deepEqual(await outcomeOf({ six: [1, noDomain], four: [2, noData] }), ['no-data', 2])
    assert.deepEqual(await outcomeOf({ six: [1, noDomain], four: [2, noDomain] }), ['no-such-domain', 2])
    for (const each of [
      { six: [1, noData], four: [2, failed] },
      { six: [2, failed], four: [1, noDomain] }
    ] as const) {
      const { clock, answer } = asked(each)
      assert.equal(await clock.run(rejection(answer)), failed)
    }
  })

  it('let a late family go on for a second, and then call it off', async () => {
    const { clock, answer, late } = asked({ six: [9000, six], four: [1, four] })
    await clock.run(answer)
    await clock.advance(999)
    const called = [calledOff(late)]
    await clock.advance(1)
    called.push(calledOff(late))
    assert.deepEqual([called, clock.pendingTimers], [[0, 1], 0])
    const inTime = asked({ six: [500, six], four: [1, four] })
    await inTime.clock.run(inTime.answer)
    await inTime.clock.advance(5000)
    assert.deepEqual([calledOff(inTime.late), inTime.clock.pendingTimers], [0, 0])
  })

  it('are not waited for longer than the signal allows', async () => {
    const deadline = new AbortController()
    const { clock, answer, late } = asked({ six: [9000, six], four: [9000, four] }, deadline.signal)
    const error = rejection(answer)
    deadline.abort(new FederationError('S2S_TIMEOUT'))
    assert.equal((await error).code, 'S2S_TIMEOUT')
    assert.deepEqual([calledOff(late), clock.pendingTimers], [2, 0])
    const before = asked({ six: [1, six], four: [1, four] }, deadline.signal)
    assert.equal((await before.clock.run(rejection(before.answer))).code, 'S2S_TIMEOUT')
  })
})
