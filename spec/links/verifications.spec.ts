import assert from 'node:assert/strict'
import type { Federation } from '../../lib/federation.ts'
import { policies } from '../../lib/policy/presets.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

const SILENT = '192.0.2.200'
const AUTHORITY = '192.0.2.201'
const policy = policies.ladder({ tls: 'never' })

describe('keys that strangers make up', () => {
  let world: World
  let authority: PeerListener
  const peers: ScriptedPeer[] = []
  beforeEach(async () => {
    world = createWorld()
    world.network.blackHole(SILENT)
    authority = await listenForPeers(world.network.transportFor(AUTHORITY), { host: AUTHORITY, port: 5269 })
    world.network.zone.server('capulet.example', { addresses: [AUTHORITY] })
  })
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset()
    await world.stop()
    await authority.close()
    await world.clock.settle()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const engine = (limits: NonNullable<FederationOptions['limits']>): Promise<Federation> => world.engine('b.example', { policy, limits })

  /** Brings one key for each of the senders from an address. */
  async function bring(from: string, senders: readonly string[]): Promise<ScriptedPeer> {
    const peer = await dialPeer(world.network.transportFor(from), { address: world.addressOf('b.example'), port: 5269 })
    peers.push(peer)
    peer.sendHeader({ from: senders[0], to: 'b.example' })
    await peer.expectHeader()
    await peer.expectFeatures()
    for (const sender of senders) peer.send(`<db:result from='${sender}' to='b.example'>K</db:result>`)
    await world.clock.settle()
    return peer
  }

  /** The authoritative server of capulet.example confirms the next key that it is asked about. */
  async function confirm(): Promise<void> {
    const called = await authority.accept()
    await called.expectHeader()
    called.sendHeader({ from: 'capulet.example', to: 'b.example', id: '1' })
    called.sendFeatures({ dialback: 'with-errors' })
    const { attrs } = await called.expect('verify')
    called.send(`<db:verify from='capulet.example' to='b.example' id='${String(attrs['id'])}' type='valid'/>`)
  }

  it("[ENG-DB-a] for a domain keep those of the domain's own server waiting for nothing", async () => {
    await engine({ verificationsPerSender: 8 })
    for (let n = 0; n < 3; n += 1) await bring('198.51.100.66', ['capulet.example'])
    const silent = [await authority.accept(), await authority.accept()]
    const own = await bring('192.0.2.202', ['capulet.example'])
    await confirm()
    await own.expect('result', undefined, { type: 'valid' })
    assert.equal(silent.length, 2, 'one address has a quarter of the calls to one domain')
  })

  it('[ENG-DB-a] for domains of many zones leave room for those who come from elsewhere', async () => {
    const b = await engine({ verifications: 16 })
    const zones = Array.from({ length: 64 }, (_, n) => `x.zone${n}.test`)
    for (const zone of zones) world.network.zone.server(zone, { addresses: [SILENT] })
    for (let n = 0; n < 4; n += 1) await bring('198.51.100.66', zones.slice(n * 16, n * 16 + 16))
    const began = world.clock.now()
    const own = await bring('192.0.2.202', ['capulet.example'])
    await confirm()
    await own.expect('result', undefined, { type: 'valid' })
    assert.ok(world.clock.now() - began < 1_000)
    assert.equal(b.links().length, 1)
  })

  it('[ENG-DB-a] from many networks of one IPv6 customer take turns together', async () => {
    await engine({ verificationsPerSender: 8 })
    for (let n = 0; n < 6; n += 1) await bring(`2001:db8:1:${n}::1`, ['capulet.example'])
    await authority.accept()
    await authority.accept()
    const own = await bring('2001:db8:2::1', ['capulet.example'])
    await confirm()
    await own.expect('result', undefined, { type: 'valid' })
  })
})
