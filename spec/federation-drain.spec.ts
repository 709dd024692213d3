import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import type { Federation } from '../lib/federation.ts'
import type { FederationOptions } from '../lib/options.ts'
import { policies } from '../lib/policy/presets.ts'
import { listenForPeers } from '../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../lib/testing/scripted-peer.ts'
import { createWorld, pairOf } from './world.ts'
import type { World } from './world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const ack = (h: number): string => `<a xmlns='${NS_SM}' h='${h}'/>`
const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })

describe('an engine that drains', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.equal(world.clock.pendingTimers, 0, 'nothing is left')
  })

  /** What a burst to a peer ended with, and how often. */
  function burst(engine: Federation, from: string, to: string, size: number): Promise<Readonly<Record<string, number>>> {
    const sent = Array.from({ length: size }, (_, index) => engine.send(message(from, to, `${index}`)))
    return Promise.allSettled(sent).then(ends => {
      const counts: Record<string, number> = {}
      for (const end of ends) {
        const fate = end.status === 'fulfilled' ? end.value : FederationError.from(end.reason).code
        counts[fate] = (counts[fate] ?? 0) + 1
      }
      return counts
    })
  }

  /** Handles twenty stanzas a second. */
  const slow = (): Promise<void> => new Promise(resolve => void world.clock.setTimeout(resolve, 50))

  async function drained(engine: Federation): Promise<number> {
    const began = world.clock.now()
    await world.run(engine.stop({ drain: true }))
    return world.clock.now() - began
  }

  it('[ENG-Q-a] waits for what the peer still handles, however long that takes while it handles some', async () => {
    await world.engine('b.example', { onStanza: slow })
    const a = await world.engine('a.example')
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    const ends = burst(a, 'a.example', 'b.example', 400)
    assert.ok((await drained(a)) >= 20_000)
    assert.deepEqual(await ends, { acknowledged: 400 })
  })

  it('[ENG-Q-a] and for what it sends back on links that others have opened', async () => {
    const b = await world.engine('b.example')
    const a = await world.engine('a.example', { onStanza: slow })
    await world.run(a.send(message('a.example', 'b.example', 'there')))
    const ends = burst(b, 'b.example', 'a.example', 400)
    await world.clock.settle()
    assert.deepEqual(
      b.links().map(({ direction }) => direction),
      ['incoming']
    )
    const there = burst(a, 'a.example', 'b.example', 10)
    assert.ok((await drained(b)) >= 20_000)
    assert.deepEqual(await ends, { acknowledged: 400 })
    assert.deepEqual(await world.run(there), { acknowledged: 10 }, 'what comes meanwhile is read')
  })

  /** Has sent one stanza to a peer that manages its stream. */
  async function meetPeer(options: Partial<FederationOptions> = {}): Promise<{
    readonly a: Federation
    readonly peer: ScriptedPeer
    readonly ends: Promise<Readonly<Record<string, number>>>
    readonly end: () => Promise<void>
  }> {
    const at = { host: '192.0.2.200', port: 5269 }
    const listener = await listenForPeers(world.network.transportFor(at.host), at)
    world.network.zone.server('b.example', { addresses: [at.host] })
    const extensions = { resumption: false }
    const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }), extensions, ...options })
    const ends = burst(a, 'a.example', 'b.example', 1)
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors', other: `<sm xmlns='${NS_SM}'/>` })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await peer.expect('enable', NS_SM)
    peer.send(`<enabled xmlns='${NS_SM}'/>`)
    await peer.expect('message')
    await peer.expect('r', NS_SM)
    return { a, peer, ends, end: () => listener.close() }
  }

  it('waits for an acknowledgement no longer than it may take, and then for a closing tag', async () => {
    const { a, peer, ends, end } = await meetPeer({ timeouts: { acknowledgement: 20_000, close: 3_000 } })
    const took = await drained(a)
    assert.ok(took >= 20_000 && took <= 26_000, `${took} ms`)
    assert.deepEqual(await ends, { S2S_IN_DOUBT: 1 })
    peer.connection.destroy()
    await end()
  })

  it('waits no longer than timeouts.progress for a peer that answers and handles nothing', async () => {
    const { a, peer, ends, end } = await meetPeer({ timeouts: { progress: 40_000, close: 3_000 } })
    const answering = (async () => {
      peer.send(ack(0))
      for (let frame = await peer.next(); frame?.kind === 'element'; frame = await peer.next()) {
        if (frame.name === 'r') peer.send(ack(0))
      }
    })()
    const took = await drained(a)
    assert.ok(took >= 40_000 && took <= 60_000, `${took} ms`)
    assert.deepEqual(await ends, { S2S_IN_DOUBT: 1 })
    await answering
    peer.connection.destroy()
    await end()
  })

  it('waits for no acknowledgement any more when it is told to hurry', async () => {
    const { a, peer, ends, end } = await meetPeer({ timeouts: { close: 3_000 } })
    const enough = new AbortController()
    const began = world.clock.now()
    const stopping = a.stop({ drain: true, signal: enough.signal })
    await world.clock.advance(10_000)
    enough.abort()
    await world.run(stopping)
    assert.ok(world.clock.now() - began <= 20_000)
    assert.deepEqual(await ends, { S2S_IN_DOUBT: 1 })
    peer.connection.destroy()
    await end()
  })

  it('shows what is under way: what waits, what the peer has not acknowledged, and what a lost link has left', async () => {
    await world.engine('b.example', { onStanza: () => new Promise(() => undefined) })
    const a = await world.engine('a.example', { limits: { unackedStanzas: 100 } })
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    const ends = burst(a, 'a.example', 'b.example', 150)
    await world.clock.settle()
    const size = a.routes()[0]?.bytes ?? 0
    const [flowing] = a.routes()
    assert.deepEqual(
      [flowing?.state, flowing?.stanzas, flowing?.unacknowledged.stanzas, flowing?.held],
      ['send', 50, 100, { stanzas: 0, bytes: 0 }]
    )
    assert.ok(size > 0 && (flowing?.unacknowledged.bytes ?? 0) > size)
    world.network.blackHole(world.addressOf('b.example'))
    for (const wire of world.network.wires) wire.reset()
    await world.clock.advance(1_000)
    const [lost] = a.routes()
    assert.deepEqual(
      [lost?.state, lost?.stanzas, lost?.held, lost?.unacknowledged],
      ['queue', 50, flowing?.unacknowledged, { stanzas: 0, bytes: 0 }]
    )
    await world.clock.advance(60_000)
    assert.deepEqual(await world.run(ends), { S2S_IN_DOUBT: 100, S2S_TIMEOUT: 50 })
    const [over] = a.routes()
    assert.deepEqual([over?.stanzas, over?.held.stanzas, over?.unacknowledged.stanzas], [0, 0, 0])
  })

  it('[RFC6120-10.4.3-a] tells what was too old that it waited for room, where there is a link', async () => {
    const { a, peer, end } = await meetPeer({ limits: { unackedStanzas: 1 }, timeouts: { queue: 5_000 } })
    const late = a.send(message('a.example', 'b.example', 'late')).catch((thrown: unknown) => FederationError.from(thrown))
    await world.clock.advance(5_001)
    const error = await late
    assert.ok(FederationError.is(error))
    assert.match(error.message, /it waited for room on a link for 5000 ms/)
    peer.send(ack(1))
    peer.close()
    await end()
  })
})
