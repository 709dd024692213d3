import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import { policies } from '../../lib/policy/presets.ts'
import type { CutKind, End } from '../../lib/testing/cut.ts'
import { createWorld } from '../world.ts'

/** Every so many bytes. All of them take a minute, and are as good. */
const STEP = 11

interface Outcome {
  readonly ends: readonly string[]
  readonly delivered: readonly string[]
  /** Bytes that each end of the first connection has sent, where it was not cut. */
  readonly bytes: Readonly<Record<End, number>>
  readonly hits: number
}

/** Ten stanzas in three goes between two engines, one of them in hand for a while, on a connection that is cut after so many bytes. */
async function played(of: End, how: CutKind, after: number): Promise<Outcome> {
  const world = createWorld()
  const delivered: string[] = []
  const common = { policy: policies.ladder({ tls: 'never' }), random: () => 0 }
  const sender = await world.engine('a.example', common)
  const receiver = await world.engine('b.example', {
    ...common,
    onStanza: ({ id = '' }) => {
      delivered.push(id)
      return id === '4' ? new Promise(resolve => void world.clock.setTimeout(resolve, 30)) : undefined
    }
  })
  const fault = world.network.cut(world.addressOf('b.example'), { how, of, after, times: 1 })
  const ends: Promise<string>[] = []
  const send = (...ids: readonly string[]): void => {
    for (const id of ids) {
      const sent = sender.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id }))
      ends.push(sent.catch((error: unknown) => FederationError.from(error).code))
    }
  }
  send('0', '1', '2')
  await world.clock.advance(20)
  send('3', '4', '5', '6')
  await world.clock.advance(10)
  send('7', '8', '9')
  await world.clock.advance(20)
  const wire = world.network.wires.find(each => each.to.address === world.addressOf('b.example'))
  const bytes = wire?.sent ?? { initiating: 0, receiving: 0 }
  const told = await world.run(Promise.all(ends))
  await world.run(Promise.all([sender.stop({ drain: true }), receiver.stop()]))
  assert.equal(world.clock.pendingTimers, 0)
  return { ends: told, delivered, bytes, hits: fault.hits }
}

describe('one loss, at any place of a conversation', () => {
  for (const how of ['reset', 'fin', 'stall'] as const)
    for (const of of ['initiating', 'receiving'] as const)
      it(`[ENG-Q-a] leaves nothing in doubt where streams are resumed: ${how} of what the ${of} entity sends`, async function () {
        this.timeout(120_000)
        const { bytes, ends, delivered } = await played(of, how, 1_000_000)
        assert.deepEqual(new Set(ends), new Set(['acknowledged']))
        assert.equal(delivered.length, 10)
        let resumed = 0
        for (let after = 1; after <= bytes[of]; after += STEP) {
          const outcome = await played(of, how, after)
          const expected = outcome.ends.flatMap((end, id) => (end === 'acknowledged' ? [String(id)] : []))
          assert.equal(outcome.hits, 1)
          assert.deepEqual(outcome.delivered, expected, `after ${after} bytes: ${outcome.ends.join()}`)
          assert.ok(!outcome.ends.includes('S2S_IN_DOUBT'), `after ${after} bytes: ${outcome.ends.join()}`)
          if (expected.length === 10) resumed += 1
        }
        assert.ok(resumed > 30 / STEP, `${resumed} of the places lose nothing`)
      })
})
