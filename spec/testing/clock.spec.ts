import assert from 'node:assert/strict'
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { FederationError } from '../../lib/errors.ts'
import type { Clock } from '../../lib/model/plugs.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { atRest } from '../../lib/testing/rest.ts'

const after = (clock: Clock, ms: number): Promise<void> => new Promise(resolve => clock.setTimeout(resolve, ms))

describe('the test clock', () => {
  it('stands still until it is moved', async () => {
    const clock = createTestClock(1000)
    const rang: number[] = []
    clock.setTimeout(() => rang.push(clock.now()), 50)
    await clock.settle()
    assert.deepEqual([clock.now(), rang, clock.pendingTimers, clock.nextTimer], [1000, [], 1, 1050])
    await clock.advance(49)
    assert.deepEqual([clock.now(), rang], [1049, []])
    await clock.advance(1)
    assert.deepEqual([clock.now(), rang, clock.pendingTimers, clock.nextTimer], [1050, [1050], 0, undefined])
  })

  it('begins at the real time unless told otherwise, so that fresh certificates are in force on it', () => {
    const before = Date.now()
    assert.ok(createTestClock().now() >= before)
  })

  it('runs timers in the order in which they are due, then in the order in which they were set', async () => {
    const clock = createTestClock(0)
    const order: string[] = []
    for (const [name, delay] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
      ['b2', 20],
      ['now', 0],
      ['past', -5]
    ] as const)
      clock.setTimeout(() => order.push(name), delay)
    await clock.advance(100)
    assert.deepEqual(order, ['now', 'past', 'a', 'b', 'b2', 'c'])
  })

  it('lets the consequences of a timer set timers that ring before later ones', async () => {
    const clock = createTestClock(0)
    const order: string[] = []
    const chain = async (): Promise<void> => {
      await after(clock, 10)
      await new Promise(resolve => setImmediate(resolve))
      await after(clock, 10)
      order.push(`chain ${clock.now()}`)
    }
    void chain()
    clock.setTimeout(() => order.push(`late ${clock.now()}`), 25)
    await clock.advance(30)
    assert.deepEqual(order, ['chain 20', 'late 25'])
  })

  it('forgets a cancelled timer', async () => {
    const clock = createTestClock()
    const timer = clock.setTimeout(() => assert.fail('cancelled'), 10)
    timer.cancel()
    timer.cancel()
    assert.equal(clock.pendingTimers, 0)
    await clock.advance(20)
  })

  it('runs a promise through hours of timers without any time passing', async () => {
    const clock = createTestClock(0)
    const work = async (): Promise<number> => {
      for (let hour = 0; hour < 10; hour += 1) await after(clock, 3_600_000)
      return clock.now()
    }
    const began = performance.now()
    assert.equal(await clock.run(work()), 36_000_000)
    assert.ok(performance.now() - began < 2000)
  })

  it('does not move on while the process is busy, on however many turns of the event loop', async () => {
    const clock = createTestClock(0)
    const deadline = clock.setTimeout(() => assert.fail('the deadline rang although work went on'), 1)
    const work = async (): Promise<void> => {
      for (let turn = 0; turn < 300; turn += 1) await new Promise(resolve => setImmediate(resolve))
      deadline.cancel()
    }
    await clock.run(work())
    assert.equal(clock.now(), 0)
  })

  it('does not move on while bytes travel between loopback sockets of this process', async () => {
    const clock = createTestClock(0)
    const server = createServer(socket => socket.pipe(socket))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // a listening TCP server has one
    const deadline = clock.setTimeout(() => assert.fail('the deadline rang although bytes moved'), 1)
    const echo = async (): Promise<void> => {
      const socket = connect(port, '127.0.0.1')
      for (let trip = 0; trip < 100; trip += 1) {
        socket.write('x')
        await new Promise(resolve => socket.once('data', resolve))
      }
      deadline.cancel()
      socket.destroy()
    }
    await clock.run(echo()).finally(() => server.close())
  })

  it('two runs at once on two clocks do not keep each other awake', async () => {
    const [one, two] = [createTestClock(0), createTestClock(0)]
    await Promise.all([one.run(after(one, 100)), two.run(after(two, 200))])
    assert.deepEqual([one.now(), two.now()], [100, 200])
  })

  it('does not overtake who waits for the process to rest', async () => {
    const clock = createTestClock(0)
    const looks = async (): Promise<number> => {
      clock.setTimeout(() => undefined, 1000)
      for (let look = 0; look < 5; look += 1) await atRest()
      return clock.now()
    }
    assert.equal(await clock.run(looks()), 0)
  })

  it('passes a rejection on', async () => {
    const clock = createTestClock()
    await assert.rejects(clock.run(after(clock, 5).then(() => Promise.reject(new RangeError('mine')))), RangeError)
  })

  it('says so when nothing is left that could settle the promise', async () => {
    const clock = createTestClock()
    await assert.rejects(
      clock.run(new Promise(() => undefined)),
      (error: unknown) => FederationError.is(error) && error.code === 'S2S_TIMEOUT' && error.message.includes('no timer is set')
    )
  })

  it('gives up at its bound instead of running timers for ever', async () => {
    const clock = createTestClock(0)
    const again = (): void => void clock.setTimeout(again, 1000)
    again()
    await assert.rejects(
      clock.run(new Promise(() => undefined), { atMost: 10_000 }),
      (error: unknown) => FederationError.is(error) && error.message.includes('10000 ms')
    )
    assert.equal(clock.now(), 10_000)
  })
})
