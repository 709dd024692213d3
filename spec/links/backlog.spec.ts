import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import type { Limits } from '../../lib/model/settings.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

const inClear = policies.ladder({ tls: 'never' })
const SILENT = '192.0.2.201'
/** A stanza for a domain of one letter has exactly so many bytes. */
const SIZE = 100

function message(id: string, to: string): Element {
  const empty = new Element('message', { from: 'x@a.example', to: `y@${to}.example`, id }).c('body').t('').root()
  const left = SIZE - Buffer.byteLength(empty.toString())
  return new Element('message', { from: 'x@a.example', to: `y@${to}.example`, id }).c('body').t('x'.repeat(left)).root()
}

describe('what waits for all pairs together', () => {
  let world: World
  let listener: PeerListener
  let a: Federation
  const started = async (limits: Partial<Limits>): Promise<void> => {
    a = await world.engine('a.example', { policy: inClear, limits, random: () => 0.5, timeouts: { connect: 50_000 } })
  }
  const waiting = (): number => a.routes().reduce((sum, { bytes }) => sum + bytes, 0)

  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    world.network.blackHole(SILENT)
    for (const name of ['c', 'd', 'e']) world.network.zone.server(`${name}.example`, { addresses: [SILENT] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  async function linked(): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    return peer
  }

  for (const [what, limits] of [
    ['bytes', { totalQueuedBytes: 3 * SIZE }],
    ['stanzas', { totalQueuedStanzas: 3 }]
  ] as const)
    it(`[ENG-Q-b] is bounded in ${what}: the newest is refused, and the others leave in order`, async () => {
      await started(limits)
      const sent = [a.send(message('1', 'b')), rejection(a.send(message('2', 'c'))), a.send(message('3', 'b'))]
      assert.equal(waiting(), 3 * SIZE)
      for (const to of ['b', 'd']) {
        const error = await rejection(a.send(message('4', to)))
        assert.deepEqual([error.code, error.stanzaCondition, error.temporary], ['S2S_QUEUE_FULL', 'resource-constraint', true])
        assert.match(error.message, /3 stanzas of 300 bytes are waiting for all pairs together \(limits\.totalQueuedStanzas, limits/)
      }
      const peer = await linked()
      await peer.expect('message', undefined, { id: '1' })
      await peer.expect('message', undefined, { id: '3' })
      assert.deepEqual([await sent[0], await sent[2]], ['written', 'written'])
      for (const id of ['5', '6']) void rejection(a.send(message(id, 'd')))
      assert.equal((await rejection(a.send(message('7', 'd')))).code, 'S2S_QUEUE_FULL', 'there is as much room again, and no more')
      peer.close()
      await peer.expectEnd()
    })

  it('keeps nothing from a link that takes it at once', async () => {
    await started({ totalQueuedStanzas: 1 })
    const first = a.send(message('1', 'b'))
    const peer = await linked()
    await world.run(first)
    void rejection(a.send(message('2', 'c')))
    assert.equal((await rejection(a.send(message('3', 'd')))).code, 'S2S_QUEUE_FULL')
    assert.equal(await world.run(a.send(message('4', 'b'))), 'written')
    await peer.expect('message', undefined, { id: '1' })
    await peer.expect('message', undefined, { id: '4' })
    peer.close()
    await peer.expectEnd()
  })

  it('has room again for whatever has left a queue: as too old, with a failure, and where its domain is gone', async () => {
    await started({ totalQueuedBytes: SIZE })
    const full = async (): Promise<void> => assert.equal((await rejection(a.send(message('-', 'd')))).code, 'S2S_QUEUE_FULL')
    const failing = rejection(a.send(message('1', 'b')))
    await full()
    const peer = await listener.accept()
    peer.reset()
    await world.run(failing)
    const old = rejection(a.send(message('2', 'c')))
    await full()
    await world.clock.advance(90_000)
    await old
    const gone = rejection(a.send(message('3', 'e')))
    await full()
    await a.addDomain('e.example')
    assert.equal((await gone).code, 'S2S_LOCAL_DOMAIN')
    void rejection(a.send(message('4', 'd')))
    await full()
  })

  it('[ENG-Q-a] keeps what comes back from a lost link, however much waits', async () => {
    await started({ totalQueuedStanzas: 1 })
    const first = a.send(message('1', 'b'))
    let peer = await linked()
    await world.run(first)
    await peer.expect('message', undefined, { id: '1' })
    world.network.wires[0]?.reset(0)
    const handed = ['2', '3'].map(id => a.send(message(id, 'b')))
    void rejection(a.send(message('4', 'c')))
    const ends = Promise.allSettled(handed)
    peer = await linked()
    for (const id of ['2', '3']) await peer.expect('message', undefined, { id })
    assert.deepEqual(
      (await world.run(ends)).map(({ status }) => status),
      ['fulfilled', 'fulfilled']
    )
    peer.close()
    await peer.expectEnd()
  })
})

describe('the pairs that are remembered', () => {
  const MOST = 40
  let world: World
  let a: Federation
  const send = (to: string): Promise<unknown> => a.send(new Element('message', { from: 'x@a.example', to: `y@${to}.example` }))
  const targets = (): readonly string[] => a.routes().map(({ pair }) => pair.target)

  beforeEach(async () => {
    world = createWorld()
    world.network.blackHole(SILENT)
    for (let i = 0; i < MOST + 1; i += 1) world.network.zone.server(`silent${i}.example`, { addresses: [SILENT] })
    a = await world.engine('a.example', { policy: inClear, limits: { routes: MOST }, random: () => 0.5, timeouts: { connect: 50_000 } })
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  it('are bounded: over that a new one is refused while each is in use', async () => {
    for (let i = 0; i < MOST; i += 1) void rejection(send(`silent${i}`))
    const last = `silent${MOST}`
    for (const work of [send(last), a.connect(pairOf('a.example', `${last}.example`))]) {
      const error = await rejection(work)
      assert.deepEqual([error.code, error.fault, error.stanzaCondition], ['S2S_BUSY', 'us', 'resource-constraint'])
      assert.match(error.message, /40 pairs have a link or something waiting \(limits\.routes\)/)
    }
    assert.deepEqual([a.routes().length, targets().includes('silent0.example')], [MOST, true])
    void rejection(send('silent0'))
    assert.equal(a.routes().find(({ pair }) => pair.target === 'silent0.example')?.stanzas, 2)
  })

  it('give up one that only bounces, the one whose retry time comes first, and tell so', async () => {
    for (let i = 0; i < MOST; i += 1) {
      await rejection(world.run(send(`unknown${i}`)))
      if (i < 20) await world.clock.advance(1)
    }
    const changes: string[] = []
    a.on('route-changed', ({ route }) => changes.push(`${route.pair.target} ${route.state}`))
    const timers = world.clock.pendingTimers
    assert.equal((await rejection(world.run(send('late')))).code, 'S2S_DNS_NO_SERVICE')
    assert.deepEqual(changes, ['unknown0.example queue', 'late.example queue', 'late.example bounce'])
    assert.deepEqual([a.routes().length, targets().includes('late.example'), targets().includes('unknown0.example')], [MOST, true, false])
    assert.equal(world.clock.pendingTimers, timers)
  })

  it('give up one that nothing is lost by before any that bounces', async () => {
    for (let i = 0; i < 10; i += 1) await rejection(world.run(send(`unknown${i}`)))
    await world.clock.advance(600_000)
    for (let i = 10; i < MOST; i += 1) await rejection(world.run(send(`unknown${i}`)))
    for (let i = 0; i < 10; i += 1) await rejection(world.run(send(`late${i}`)))
    assert.deepEqual(
      targets().filter(name => /unknown\d\./.test(name)),
      []
    )
    assert.equal(a.routes().filter(({ state }) => state === 'bounce').length, MOST)
  })
})
