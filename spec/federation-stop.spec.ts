import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { policies } from '../lib/policy/presets.ts'
import { listenForPeers } from '../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../lib/testing/scripted-peer.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const inClear = policies.ladder({ tls: 'never' })
const message = (id: string): Element => new Element('message', { from: 'x@a.example', to: 'y@b.example', id })

describe('an engine that stops', () => {
  let world: World
  let listener: PeerListener
  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  async function linked(features = `<sm xmlns='${NS_SM}'/>`): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors', other: features })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    return peer
  }

  it('takes nothing more from the moment it is told to, however long it drains', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const first = a.send(message('1'))
    const stopping = a.stop({ drain: true })
    const late = await rejection(a.send(message('2')))
    assert.equal(late.code, 'S2S_STOPPED')
    assert.equal((await rejection(a.connect(pairOf('a.example', 'b.example')))).code, 'S2S_STOPPED')
    const peer = await linked('')
    await peer.expect('message', undefined, { id: '1' })
    await peer.expectStreamError('system-shutdown')
    peer.close()
    await world.run(stopping)
    await peer.expectEnd()
    assert.equal(await first, 'written')
  })

  it('stops draining when it is told to: what waits never leaves', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear, timeouts: { connect: 60_000, negotiation: 600_000 } })
    const waiting = rejection(a.send(message('1')))
    const enough = new AbortController()
    let stopped = false
    const stopping = a.stop({ drain: true, signal: enough.signal }).then(() => (stopped = true))
    await world.clock.advance(10_000)
    assert.equal(stopped, false)
    enough.abort()
    await world.run(stopping)
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('waits for nobody who neither acknowledges nor closes: what was written is in doubt', async () => {
    const a = await world.engine('a.example', { policy: inClear, timeouts: { close: 5_000 } })
    const sent = rejection(a.send(message('1')))
    const peer = await linked()
    await peer.expect('enable', NS_SM)
    peer.send(`<enabled xmlns='${NS_SM}'/>`)
    await peer.expect('message', undefined, { id: '1' })
    const began = world.clock.now()
    await world.run(a.stop({ drain: true }))
    assert.ok(world.clock.now() - began <= 15_000, `${world.clock.now() - began} ms`)
    assert.equal((await sent).code, 'S2S_IN_DOUBT')
    peer.connection.destroy()
  })

  it('ends once, whoever asks and how often', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const both = [a.stop({ drain: true }), a.stop()]
    await world.run(Promise.all(both))
    assert.equal(both[0], both[1])
  })
})
