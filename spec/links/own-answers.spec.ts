import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { dialPeer } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

const SILENT = '192.0.2.200'
const PING = "<ping xmlns='urn:xmpp:ping'/>"

describe('peers that ask for answers of the engine and cannot be reached', () => {
  let world: World
  const peers: ScriptedPeer[] = []
  beforeEach(() => {
    world = createWorld()
    world.network.blackHole(SILENT)
  })
  afterEach(async () => {
    for (const peer of peers.splice(0)) peer.reset()
    await world.stop()
    await world.clock.settle()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const zoneOfHosts = (zone: string, hosts: number): readonly string[] => Array.from({ length: hosts }, (_, n) => `h${n}.${zone}`)

  /** A peer that is authenticated for every one of its names, which nobody reaches, and sends the iq for each. */
  async function pester(names: readonly string[], each: number, iq = `type='get' id='1'>${PING}`): Promise<void> {
    const [first = ''] = names
    const credentials = world.authority.issue(first, { now: world.clock.now(), alsoFor: names })
    const place = { address: world.addressOf('b.example'), port: 5269 }
    const peer = await dialPeer(world.network.transportFor('192.0.2.99'), place, { tls: simulatedTls(), credentials })
    peers.push(peer)
    const open = async (): Promise<void> => {
      peer.sendHeader({ from: first, to: 'b.example' })
      await peer.expectHeader()
      await peer.expectFeatures()
    }
    await open()
    await peer.startTls()
    await open()
    peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`)
    await peer.expect('success')
    peer.restart()
    await open()
    for (const name of names) {
      world.network.zone.server(name, { addresses: [SILENT] })
      peer.send(`<db:result from='${name}' to='b.example'>K</db:result>`)
      await peer.expect('result')
      peer.send(`<iq from='${name}' to='b.example' ${iq}</iq>`.repeat(each))
    }
    await world.clock.settle()
  }

  const engine = (limits: NonNullable<FederationOptions['limits']>): Promise<Federation> => world.engine('b.example', { limits })
  const waiting = (of: Federation): number => of.routes().reduce((sum, { stanzas }) => sum + stanzas, 0)

  async function reaches(from: Federation): Promise<void> {
    await world.engine('well.example')
    await world.run(from.send(new Element('message', { from: 'u@b.example', to: 'v@well.example' })))
  }

  it('[XEP0199-4.3-a] leave routes for what the application sends', async () => {
    const b = await engine({ routes: 8 })
    await pester(zoneOfHosts('evil.example', 12), 1)
    assert.equal(b.routes().length, 4, 'half of the routes is for nobody but the application')
    await reaches(b)
  })

  it('[XEP0199-4.3-a] leave room in the queues, and no zone takes the room of another', async () => {
    const b = await engine({ totalQueuedStanzas: 40 })
    await pester(zoneOfHosts('evil.example', 4), 40)
    assert.equal(waiting(b), 16)
    await pester(['other.test'], 3)
    assert.equal(waiting(b), 19)
    await reaches(b)
  })

  it('[RFC6120-8.2.3-a] have no long answers wait', async () => {
    const b = await engine({})
    await pester(['evil.example'], 1, `id='${'x'.repeat(20_000)}'>`)
    assert.equal(waiting(b), 0)
    await pester(['evil.example'], 1, `id='${'x'.repeat(10_000)}'>`)
    assert.equal(waiting(b), 1)
  })

  it('[XEP0199-4.3-a] have the room of an answer again when that has failed', async () => {
    const b = await engine({})
    await pester(['evil.example'], 20)
    assert.equal(waiting(b), 16)
    await world.clock.advance(100_000)
    assert.equal(waiting(b), 0)
    b.retryNow('evil.example')
    await pester(['evil.example'], 20)
    assert.equal(waiting(b), 16)
  })
})

describe('a peer that pings on a link that stands', () => {
  it('[XEP0199-4.3-a] is answered each time', async () => {
    const world = createWorld()
    const answers: string[] = []
    await world.engine('b.example')
    const a = await world.engine('a.example', { onStanza: ({ id = '' }) => void answers.push(id) })
    const ping = (n: number): Element =>
      new Element('iq', { from: 'a.example', to: 'b.example', type: 'get', id: `${n}` }).c('ping', { xmlns: 'urn:xmpp:ping' }).root()
    await world.run(a.send(ping(0)))
    await world.clock.settle()
    for (let n = 1; n <= 300; n += 1) void a.send(ping(n))
    await world.clock.settle()
    assert.equal(answers.length, 301)
    await world.stop()
  })
})
