import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

/** Half of a window that begins with a minute and doubles. */
const FIRST = 30_000

describe('the retry time of a pair', () => {
  let world: World
  let listener: PeerListener
  let a: Federation
  const send = (): Promise<unknown> => a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example' }))

  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }), random: () => 0.5 })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  /** One stanza that fails, and how long the pair is bounced after that. */
  async function wait(): Promise<number> {
    const failed = rejection(send())
    const peer = await listener.accept()
    peer.reset()
    await world.run(failed)
    const [route] = a.routes()
    assert.equal(route?.state, 'bounce')
    return (route.until ?? 0) - world.clock.now()
  }

  /** Several in a row, each as soon as it may be. */
  async function waits(times: number): Promise<readonly number[]> {
    const all: number[] = []
    for (let i = 0; i < times; i += 1) {
      all.push(await wait())
      await world.clock.advance(all[i] ?? 0)
    }
    return all
  }

  async function authenticated(): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    return peer
  }

  async function ends(peer: ScriptedPeer): Promise<void> {
    peer.close()
    await peer.expectEnd()
    await world.clock.settle()
  }

  it('grows with each failure in a row, up to a quarter of an hour', async () => {
    assert.deepEqual(await waits(6), [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, 450_000, 450_000])
  })

  it('is the first one again after retryNow', async () => {
    assert.deepEqual(await waits(3), [FIRST, 2 * FIRST, 4 * FIRST])
    a.retryNow('b.example')
    assert.deepEqual(await waits(2), [FIRST, 2 * FIRST])
  })

  it('is the first one again after a stanza that got through', async () => {
    assert.deepEqual(await waits(3), [FIRST, 2 * FIRST, 4 * FIRST])
    const sent = send()
    const peer = await authenticated()
    assert.equal(await world.run(sent), 'written')
    await peer.expect('message')
    await ends(peer)
    assert.deepEqual(await waits(2), [FIRST, 2 * FIRST])
  })

  it('goes on growing after a link on which nothing got through', async () => {
    assert.deepEqual(await waits(2), [FIRST, 2 * FIRST])
    const connected = a.connect(pairOf('a.example', 'b.example'))
    const peer = await authenticated()
    await world.run(connected)
    await ends(peer)
    assert.equal(await wait(), 4 * FIRST)
  })
})
