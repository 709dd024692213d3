import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { CutKind, End } from '../../lib/testing/cut.ts'
import { createWorld, pairOf } from '../world.ts'

/** Every so many bytes. */
const STEP = 23

interface Outcome {
  readonly ends: readonly string[]
  readonly delivered: readonly string[]
  /** Bytes that each end of the first connection has sent, where it was not cut. */
  readonly bytes: Readonly<Record<End, number>>
  readonly opened: number
}

/** Ten stanzas in three goes that an engine sends back, one of them in hand for a while, on a connection that is cut after so many bytes. */
async function played(of: End, how: CutKind, after: number): Promise<Outcome> {
  const world = createWorld()
  const delivered: string[] = []
  const common = { random: () => 0 }
  const dialling = await world.engine('a.example', {
    ...common,
    onStanza: ({ id = '' }) => {
      delivered.push(id)
      return id === '4' ? new Promise(resolve => void world.clock.setTimeout(resolve, 30)) : undefined
    }
  })
  const answering = await world.engine('b.example', common)
  await world.run(dialling.connect(pairOf('a.example', 'b.example')))
  await world.run(answering.connect(pairOf('b.example', 'a.example')))
  await world.clock.settle()
  const [wire] = world.network.wires
  wire?.cut({ how, of, after })
  const ends: Promise<string>[] = []
  const send = (...ids: readonly string[]): void => {
    for (const id of ids) {
      const sent = answering.send(new Element('message', { from: 'y@b.example', to: 'x@a.example', id }))
      ends.push(sent.catch((error: unknown) => FederationError.from(error).code))
    }
  }
  const before = { initiating: wire?.sent.initiating ?? 0, receiving: wire?.sent.receiving ?? 0 }
  send('0', '1', '2')
  await world.clock.advance(20)
  send('3', '4', '5', '6')
  await world.clock.advance(10)
  send('7', '8', '9')
  await world.clock.advance(20)
  const bytes = {
    initiating: (wire?.sent.initiating ?? 0) - before.initiating,
    receiving: (wire?.sent.receiving ?? 0) - before.receiving
  }
  const told = await world.run(Promise.all(ends))
  const { opened } = world.network
  await world.run(Promise.all([answering.stop({ drain: true }), dialling.stop()]))
  assert.equal(world.clock.pendingTimers, 0)
  return { ends: told, delivered, bytes, opened }
}

describe('one loss, at any place of what is sent back', () => {
  for (const how of ['reset', 'fin', 'stall'] as const)
    for (const of of ['initiating', 'receiving'] as const) {
      // Who hears nothing more does not know that there is anything to come back for.
      const isUnnoticed = how === 'stall' && of === 'receiving'
      it(`[ENG-Q-a] hands nothing over twice or out of order, and leaves ${isUnnoticed ? 'the rest' : 'nothing'} in doubt after a stanza has come: ${how} of what the ${of} entity sends`, async function () {
        this.timeout(120_000)
        const { bytes, ends } = await played(of, how, 1_000_000)
        assert.deepEqual(new Set(ends), new Set(['acknowledged']))
        for (let after = 1; after <= bytes[of]; after += STEP) {
          const { ends: told, delivered, opened } = await played(of, how, after)
          const at = `after ${after} bytes: ${told.join()}; ${delivered.join()}`
          const acknowledged = told.flatMap((end, id) => (end === 'acknowledged' ? [`${id}`] : []))
          assert.deepEqual(delivered, [...new Set(delivered)].sort(), at)
          assert.deepEqual(
            acknowledged.filter(id => !delivered.includes(id)),
            [],
            at
          )
          assert.ok(
            told.every(end => end === 'acknowledged' || end === 'S2S_IN_DOUBT'),
            at
          )
          if (isUnnoticed) continue
          assert.equal(opened, 2, at)
          assert.deepEqual(acknowledged, delivered, at)
          if (delivered.includes('0')) assert.equal(acknowledged.length, told.length, at)
        }
      })
    }
})
