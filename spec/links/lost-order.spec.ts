import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const A = 'a.example'
const A2 = 'a2.example'
const B = 'b.example'

const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
const endOf = (sent: Promise<string>): Promise<string> => sent.catch((error: unknown) => FederationError.from(error).code)

describe('the order of a pair whose link is lost and not resumed', () => {
  let world: World
  let heard: string[]
  let release: () => void
  let busy: Partial<FederationOptions>

  beforeEach(() => {
    world = createWorld()
    heard = []
    const released = new Promise<void>(resolve => (release = resolve))
    busy = {
      onStanza: ({ id = '' }) => {
        heard.push(id)
        return id === '1' ? released : undefined
      }
    }
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
    release()
  })

  const sendAll = (engine: Federation, from: string, to: string, ...ids: readonly string[]): readonly Promise<string>[] =>
    ids.map(id => endOf(engine.send(message(from, to, id))))

  /** Two senders of one engine on one link to the other, which is lost with three stanzas of the first under way. */
  async function multiplexed(
    cut: () => void = () => undefined
  ): Promise<{ readonly a: Federation; readonly lost: readonly Promise<string>[] }> {
    const common: Partial<FederationOptions> = { policy: { proofs: () => ['dialback'] }, extensions: { bidi: false } }
    const a = await world.engine(A, { ...common, domains: { [A]: undefined, [A2]: undefined } })
    world.network.zone.server(A2, { addresses: [world.addressOf(A)] })
    await world.engine(B, { ...common, ...busy })
    await world.run(a.connect(pairOf(A, B)))
    await world.run(a.connect(pairOf(A2, B)))
    assert.equal(a.links().length, 1)
    const lost = sendAll(a, A, B, '1', '2', '3')
    await world.clock.settle()
    cut()
    for (const wire of world.network.wires) wire.reset()
    await world.clock.settle()
    return { a, lost }
  }

  it('[RFC6120-10.1-b] is kept where several pairs shared it', async () => {
    const { a, lost } = await multiplexed()
    const next = endOf(a.send(message(A, B, '4')))
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    release()
    assert.equal(await world.run(next), 'acknowledged')
    assert.deepEqual(await Promise.all(lost), ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_IN_DOUBT'])
    assert.deepEqual(heard, ['1', '2', '3', '4'])
  })

  it('[RFC6120-10.1-b] is kept where several pairs shared it and a handler hangs: what it has not seen of the lost link it never sees', async () => {
    const { a, lost } = await multiplexed()
    assert.equal(await world.run(endOf(a.send(message(A, B, '4')))), 'acknowledged')
    release()
    await world.clock.advance(60_000)
    assert.deepEqual(await Promise.all(lost), ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_IN_DOUBT'])
    assert.deepEqual(heard, ['1', '4'])
  })

  it('[RFC6120-10.1-b] is kept by what was sent back on it, while its initiating engine does not know of the loss', async () => {
    const a = await world.engine(A, busy)
    const b = await world.engine(B)
    await world.run(a.connect(pairOf(A, B)))
    await world.run(b.connect(pairOf(B, A)))
    const lost = sendAll(b, B, A, '1', '2', '3')
    await world.clock.settle()
    const [wire] = world.network.wires
    wire?.stall('receiving')
    wire?.finish('initiating')
    await world.clock.settle()
    const next = endOf(b.send(message(B, A, '4')))
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    release()
    assert.equal(await world.run(next), 'acknowledged')
    assert.deepEqual(heard, ['1', '2', '3', '4'])
    assert.ok((await Promise.all(lost)).every(end => end === 'written' || end === 'S2S_IN_DOUBT'))
    wire?.resume('receiving')
  })

  it('keeps nobody waiting: what is under way of several pairs is in doubt at once, and nothing is to be resumed', async () => {
    const { lost } = await multiplexed(() => void world.network.blackHole(world.addressOf(B)))
    const told = Promise.race([Promise.all(lost), world.clock.settle().then(() => 'not yet')])
    assert.deepEqual(await told, ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_IN_DOUBT'])
  })

  it('leaves nothing behind when an engine stops while one link waits for another', async () => {
    const { a } = await multiplexed()
    const next = endOf(a.send(message(A, B, '4')))
    await world.clock.settle()
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
    assert.equal(await next, 'S2S_IN_DOUBT')
    release()
    await world.clock.settle()
    assert.ok(!heard.includes('4'))
  })
})
