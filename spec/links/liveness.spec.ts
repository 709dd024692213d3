import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PAIR = pairOf('a.example', 'b.example')
const MINUTE = 60_000
const message = (id: string, text = ''): Element =>
  new Element('message', { from: 'x@a.example', to: 'y@b.example', id }).c('body').t(text).root()

describe('a link that is there and quiet', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  it('[RFC6120-4.6.1-a] is kept by white space, which the other side hears', async () => {
    const b = await world.engine('b.example', { timeouts: { idle: 100_000 } })
    const a = await world.engine('a.example', { timeouts: { idle: 100 * MINUTE, keepAlive: 90_000 } })
    await world.run(a.connect(PAIR))
    await world.clock.advance(20 * MINUTE)
    assert.deepEqual([a.links().length, b.links().length], [1, 1])
    await world.clock.advance(81 * MINUTE)
    assert.deepEqual([a.links().length, b.links().length], [0, 0], 'and closed when no stanza moves on it')
  })

  it('[RFC6120-11.7-a] is closed by who opened it when no stanza moves, however much white space comes', async () => {
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }) })
    const connected = a.connect(PAIR)
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await world.run(connected)
    for (let minute = 0; minute < 29; minute += 1) {
      peer.send(' \n')
      await world.clock.advance(MINUTE)
    }
    assert.equal(a.links().length, 1)
    peer.send(' \n')
    await world.clock.advance(2 * MINUTE)
    await peer.expectClose()
    peer.close()
    await world.clock.settle()
    assert.equal(a.links().length, 0)
    await listener.close()
  })

  it('says something sooner where the peer announces that it waits no longer', async () => {
    const b = await world.engine('b.example', { timeouts: { idle: 100_000 } })
    const a = await world.engine('a.example', { timeouts: { idle: 100 * MINUTE } })
    await world.run(a.connect(PAIR))
    await world.clock.advance(20 * MINUTE)
    assert.deepEqual([a.links().length, b.links().length], [1, 1])
  })

  it('is closed by who opened it after half an hour without a stanza, and stays as long as there are some', async () => {
    const b = await world.engine('b.example')
    const a = await world.engine('a.example')
    for (let sent = 0; sent < 3; sent += 1) {
      await world.run(a.send(message(`${sent}`)))
      await world.clock.advance(29 * MINUTE)
      assert.equal(a.links().length, 1)
    }
    const closed: unknown[] = []
    b.on('link-closed', ({ error }) => closed.push(error))
    await world.clock.advance(2 * MINUTE)
    assert.deepEqual([a.links().length, b.links().length, closed], [0, 0, [undefined]])
  })

  it('ends with connection-timeout when the peer takes nothing for a minute of what we write', async () => {
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }) })
    const closed: (string | undefined)[] = []
    a.on('link-closed', ({ error }) => closed.push(error?.code))
    const sent: Promise<unknown>[] = []
    const send = (): void => void sent.push(a.send(message('m', 'x'.repeat(100_000))).catch(() => undefined))
    send()
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    // Buffers on the way take some of it.
    for (let turn = 0; turn < 10; turn += 1) {
      await world.clock.settle()
      send()
    }
    await world.clock.settle()
    await world.clock.advance(MINUTE - 1)
    assert.deepEqual(closed, [])
    await world.clock.advance(MINUTE + 11_000)
    assert.deepEqual(closed, ['S2S_TIMEOUT'])
    world.network.refuse('192.0.2.200')
    for (const wire of world.network.wires) wire.reset()
    await world.run(Promise.all(sent))
    peer.connection.destroy()
    await listener.close()
  })
})
