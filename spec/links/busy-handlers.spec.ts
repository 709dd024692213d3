import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const A = 'a.example'
const B = 'b.example'
const MINUTE = 60_000

const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
const endOf = (sent: Promise<string>): Promise<string> => sent.catch((error: unknown) => FederationError.from(error).code)

describe('a handler that never ends, on a link that the peer ends', () => {
  let world: World
  let heard: string[]
  let closed: string[]
  beforeEach(() => {
    world = createWorld()
    heard = []
    closed = []
  })
  afterEach(async () => {
    const began = world.clock.now()
    await world.stop()
    assert.ok(world.clock.now() - began <= 30_000, 'it stops in time')
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  /** The first hangs in its handler for ever, and the second waits behind it. */
  async function begin(
    dials: 'the busy one' | 'the other',
    bidi: boolean
  ): Promise<{ readonly busy: Federation; readonly other: Federation }> {
    const options: Partial<FederationOptions> = { extensions: { bidi } }
    const onStanza: FederationOptions['onStanza'] = ({ id = '' }) => {
      heard.push(id)
      return new Promise(() => undefined)
    }
    const busy = await world.engine(A, { ...options, onStanza })
    const other = await world.engine(B, { ...options, onStanza: ({ id = '' }) => void heard.push(`b ${id}`) })
    busy.on('link-closed', ({ link }) => closed.push(link.id))
    if (dials === 'the busy one') await world.run(busy.connect(pairOf(A, B)))
    for (const id of ['1', '2']) void endOf(other.send(message(B, A, id)))
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    return { busy, other }
  }

  for (const dials of ['the busy one', 'the other'] as const)
    for (const bidi of [true, false])
      for (const how of ['closes it', 'stops', 'breaks it'] as const)
        it(`[ENG-Q-a] holds up nothing that goes the other way: the peer ${how}, ${dials} had dialled, ${bidi ? 'both ways' : 'one way'}`, async () => {
          const { busy, other } = await begin(dials, bidi)
          if (how === 'closes it') for (const link of other.links()) void link.close()
          else if (how === 'stops') void other.stop()
          else for (const wire of world.network.wires) wire.reset()
          await world.clock.settle()
          const sent = endOf(busy.send(message(A, B, '3')))
          const began = world.clock.now()
          assert.match(await world.run(sent), how === 'stops' ? /^(acknowledged|S2S_CONNECT_FAILED)$/ : /^(acknowledged|written)$/)
          assert.ok(world.clock.now() - began <= 25_000, `${world.clock.now() - began} ms`)
          // Whoever keeps links does so until nothing has moved on them for long, and not longer.
          await world.clock.advance(120 * MINUTE)
          assert.deepEqual(busy.links(), [])
          assert.equal(new Set(closed).size, closed.length, 'each is closed once')
          assert.ok(closed.length > 0)
          assert.equal(heard[0], '1')
        })
})
