import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { createWorld, rejection } from '../world.ts'
import type { World } from '../world.ts'

const MESSAGES = 10_000

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const message = (id: string, text = ''): Element =>
  new Element('message', { from: 'x@a.example', to: 'y@b.example', id }).c('body').t(text).root()

describe('the order of a pair', () => {
  let world: World
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  for (const streamManagement of [true, false])
    it(`[RFC6120-10.1-b] is kept over ${MESSAGES} messages, links that close and break, and the other direction at once, ${streamManagement ? 'with' : 'without'} stream management`, async function () {
      this.timeout(60_000)
      world = createWorld({ latency: 7, highWaterMark: 4096 })
      const random = seeded(streamManagement ? 1 : 2)
      const delivered: Record<string, number[]> = { a: [], b: [] }
      const options = { random: () => 0, extensions: { streamManagement }, limits: { queuedStanzas: MESSAGES } }
      const into = (name: string) => ({
        ...options,
        onStanza: ({ id }: { readonly id: string | undefined }) => void delivered[name]?.push(Number(id))
      })
      const engines: Record<string, Federation> = {
        a: await world.engine('a.example', into('a')),
        b: await world.engine('b.example', into('b'))
      }
      const ends: Promise<string>[] = []
      let links = 0
      engines['a']?.on('link-established', () => (links += 1))
      for (let n = 0; n < MESSAGES; n += 1) {
        const sent = engines['a']?.send(message(`${n}`, 'x'.repeat(random() * 1000))) ?? assert.fail()
        ends.push(sent.catch((error: unknown) => FederationError.from(error).code))
        if (n % 10 === 0) void engines['b']?.send(new Element('message', { from: 'y@b.example', to: 'x@a.example', id: `${n}` }))
        const dice = random()
        if (dice < 0.02) await world.clock.advance(Math.ceil(random() * 30))
        if (dice < 0.005) world.network.wires[Math.floor(random() * world.network.wires.length)]?.reset()
        else if (dice < 0.01) void engines['a']?.links()[0]?.close()
      }
      const codes = await world.run(Promise.all(ends))
      await world.run(Promise.all(Object.values(engines).map(engine => engine.stop({ drain: true }))))
      for (const [name, ids] of Object.entries(delivered))
        assert.ok(
          ids.every((id, at) => at === 0 || id > (ids[at - 1] ?? Infinity)),
          `${name} got them in order, and none twice`
        )
      const arrived = new Set(delivered['b'])
      for (const [n, code] of codes.entries()) {
        if (code === 'acknowledged') assert.ok(arrived.has(n), `${n} was acknowledged`)
        else if (code !== 'written' && code !== 'S2S_IN_DOUBT') assert.ok(!arrived.has(n), `${n} was rejected with ${code}`)
      }
      assert.ok(links > 10, `${links} links`)
      assert.ok(arrived.size > MESSAGES / 2, `${arrived.size} arrived`)
    })
})

describe('the queue of a pair', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  it('[ENG-Q-b] is bounded in count, bytes and age, and has all of its room again when it is empty', async () => {
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    world.network.blackHole('192.0.2.200')
    const limits = { queuedStanzas: 10, queuedBytes: 5_000 }
    const a = await world.engine('a.example', { limits, timeouts: { queue: 3_000, connect: 60_000 } })
    for (let round = 0; round < 8; round += 1) {
      const byCount = Array.from({ length: 12 }, (_, n) => rejection(a.send(message(`${n}`))))
      await world.clock.settle()
      await world.clock.advance(3_001)
      assert.deepEqual(
        (await Promise.all(byCount)).map(({ code }) => code),
        [...Array.from({ length: 10 }, () => 'S2S_TIMEOUT'), 'S2S_QUEUE_FULL', 'S2S_QUEUE_FULL']
      )
      const byBytes = [2_000, 2_000, 2_000, 100].map(size => rejection(a.send(message('x', 'y'.repeat(size)))))
      await world.clock.settle()
      await world.clock.advance(3_001)
      const codes = (await Promise.all(byBytes)).map(({ code }) => code)
      assert.deepEqual(codes, ['S2S_TIMEOUT', 'S2S_TIMEOUT', 'S2S_QUEUE_FULL', 'S2S_TIMEOUT'])
    }
  })
})
