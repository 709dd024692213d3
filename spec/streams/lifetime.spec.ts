import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { DEFAULT_LIMITS } from '../../lib/defaults.ts'
import type { Clock } from '../../lib/model/plugs.ts'
import { Lifetime } from '../../lib/streams/lifetime.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { XmlStream } from '../../lib/xml/stream.ts'

const MINUTE = 60_000

describe('streams/lifetime', () => {
  for (const [how, last, part] of [
    ['our closing tag is sent', '</stream:stream>', (stream: XmlStream) => stream.sendClosing()],
    ['the connection is gone', '', (stream: XmlStream) => stream.abandon()]
  ] as const)
    it(`[RFC6120-4.6.1-a] sends white space on a quiet link, and wakes nobody for it when ${how}`, async () => {
      const clock = createTestClock()
      const connection = new PassThrough()
      let heard = ''
      const stream = new XmlStream(connection, { limits: DEFAULT_LIMITS, encrypted: true, clock, closeTimeout: 10_000 })
      connection.removeAllListeners('readable').on('data', (data: Buffer) => (heard += data.toString()))
      let timers = 0
      const counting: Clock = {
        now: () => clock.now(),
        setTimeout: (run, delay) => {
          timers += 1
          // It would go on without end.
          return timers > 100 ? { cancel: () => undefined } : clock.setTimeout(run, delay)
        }
      }
      const [since, ends]: [number, string[]] = [clock.now(), []]
      const lifetime = new Lifetime({
        clock: counting,
        timeouts: { idle: 40 * MINUTE, keepAlive: 5 * MINUTE, write: MINUTE },
        stream,
        lastMoved: () => since,
        notAfter: () => undefined,
        peersIdle: undefined,
        onIdle: () => void ends.push('idle'),
        onStalled: () => void ends.push('stalled'),
        onExpiry: () => void ends.push('expiry')
      })
      await clock.advance(11 * MINUTE)
      assert.equal(heard, '  ')
      part(stream)
      await clock.advance(28 * MINUTE)
      assert.deepEqual([heard, ends], [`  ${last}`, []])
      assert.ok(timers < 20, `${timers} timers`)
      await clock.advance(2 * MINUTE)
      assert.deepEqual(ends, ['idle'], 'but it ends when its time has come')
      lifetime.end()
      assert.equal(clock.pendingTimers, 0)
    })
})
