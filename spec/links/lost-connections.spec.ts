import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const A = 'a.example'
const B = 'b.example'
const THERE = pairOf(A, B)
const BACK = pairOf(B, A)

const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
const endOf = (sent: Promise<string>): Promise<string> => sent.catch((error: unknown) => FederationError.from(error).code)

describe('a connection that goes while a handler is at work', () => {
  let world: World
  let release: () => void
  let heard: string[]
  let options: Partial<FederationOptions>

  beforeEach(() => {
    world = createWorld()
    heard = []
    const busy = new Promise<void>(resolve => (release = resolve))
    options = {
      onStanza: ({ id = '' }) => {
        heard.push(id)
        return id === 'slow' ? busy : undefined
      }
    }
  })
  afterEach(async () => {
    release()
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
    assert.equal(world.network.wires.length, 0)
  })

  /** A link that goes both ways, whose receiving engine is busy with its first stanza and uses it for what it sends back. */
  async function busyLink(common: Partial<FederationOptions> = {}): Promise<{ readonly a: Federation; readonly b: Federation }> {
    const a = await world.engine(A, common)
    const b = await world.engine(B, { ...options, ...common })
    await world.run(a.connect(THERE))
    await world.run(b.connect(BACK))
    void endOf(a.send(message(A, B, 'slow')))
    await world.clock.settle()
    assert.deepEqual(heard, ['slow'])
    return { a, b }
  }

  const resetAll = async (): Promise<void> => {
    for (const wire of world.network.wires) wire.reset()
    await world.clock.settle()
  }

  for (const streamManagement of [true, false]) {
    const extensions = { streamManagement }
    const how = streamManagement ? 'with' : 'without'

    it(`[ENG-Q-a] takes nothing more that is sent back once it broke, ${how} stream management, although nobody reads it`, async () => {
      const limits = { unackedStanzas: 2 }
      const { a, b } = await busyLink({ extensions, limits })
      for (const id of ['1', '2', '3']) void endOf(a.send(message(A, B, id)))
      await world.clock.settle()
      await resetAll()
      // What a dead connection hands back and is given again would keep the process from ever coming to rest.
      const sent = endOf(b.send(message(B, A, 'back')))
      await world.clock.settle()
      assert.equal(await world.run(sent), 'written')
    })

    it(`[ENG-Q-a] takes nothing more that is sent there once it broke, ${how} stream management, although nobody reads what comes back`, async () => {
      const limits = { unackedStanzas: 2 }
      const a = await world.engine(A, { ...options, extensions, limits })
      const b = await world.engine(B, { extensions, limits })
      await world.run(a.connect(THERE))
      for (const id of ['slow', '1', '2', '3']) void endOf(b.send(message(B, A, id)))
      await world.clock.settle()
      assert.deepEqual(heard, ['slow'])
      await resetAll()
      const sent = endOf(a.send(message(A, B, 'there')))
      await world.clock.settle()
      assert.equal(await world.run(sent), streamManagement ? 'acknowledged' : 'written')
      assert.deepEqual(heard, ['slow'])
    })

    it(`is closed by its peer: what is sent back then takes another, ${how} stream management`, async () => {
      const { a, b } = await busyLink({ extensions })
      const closed = a.close(B)
      // What is not acknowledged is waited for before a link closes.
      await world.clock.advance(6_000)
      assert.deepEqual(
        b.routes().map(({ state }) => state),
        ['queue']
      )
      const sent = endOf(b.send(message(B, A, 'back')))
      await world.clock.settle()
      assert.equal(await world.run(sent), streamManagement ? 'acknowledged' : 'written')
      assert.equal(b.links().length, 2, 'the handler is still at work')
      release()
      await world.run(closed)
    })
  }

  it('is given up where the handler hangs and the engine there answers on: what is sent ends, and what follows takes another', async () => {
    const a = await world.engine(A, { timeouts: { progress: 40_000 } })
    await world.engine(B, options)
    await world.run(a.connect(THERE))
    const began = world.clock.now()
    const stuck = endOf(a.send(message(A, B, 'slow')))
    assert.equal(await world.run(stuck), 'S2S_IN_DOUBT')
    assert.ok(world.clock.now() - began < 70_000, `${world.clock.now() - began} ms`)
    assert.equal(await world.run(endOf(a.send(message(A, B, 'more')))), 'acknowledged')
    assert.deepEqual(heard, ['slow', 'more'])
  })

  it('is lost while a stream waits to be resumed on it: the writer of what comes back is not asked again and again', async () => {
    const { b } = await busyLink()
    await resetAll()
    assert.equal(world.network.wires.length, 1)
    world.network.refuse(world.addressOf(B))
    await resetAll()
    const sent = endOf(b.send(message(B, A, 'back')))
    await world.clock.settle()
    assert.equal(await world.run(sent), 'acknowledged')
  })

  it('[XEP0198-6-a] is lost while a stream waits to be resumed on it: the count of what was sent back before stays right', async () => {
    const { a, b } = await busyLink()
    const errors: unknown[] = []
    for (const engine of [a, b]) engine.on('link-closed', ({ error }) => errors.push(error?.condition))
    assert.equal(await world.run(b.send(message(B, A, 'back'))), 'acknowledged')
    const more = endOf(a.send(message(A, B, 'more')))
    await world.clock.settle()
    await resetAll()
    await resetAll()
    release()
    assert.equal(await world.run(more), 'acknowledged')
    assert.deepEqual(heard, ['slow', 'more'])
    assert.ok(!errors.includes('undefined-condition'), String(errors))
  })
})
