import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { Delivery } from '../../lib/model/stanza.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const SM = `xmlns='${NS_SM}'`
const ENABLED = `<enabled ${SM}/>`
const FEATURE = `<sm ${SM}/>`
const FAILED = `<failed ${SM}><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`
const ack = (h: number | string): string => `<a ${SM} h='${h}'/>`
const inClear = policies.ladder({ tls: 'never' })
const PAIR = pairOf('a.example', 'b.example')

describe('stream management on an outgoing link', () => {
  let world: World
  let listener: PeerListener
  let engine: Federation

  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const message = (id: string): Element => new Element('message', { from: 'x@a.example', to: 'y@b.example', id })
  const send = (...ids: readonly string[]): readonly Promise<Delivery>[] => ids.map(id => engine.send(message(id)))

  /** The next link of the engine to this peer, which offers stream management; what it was asked first has been read. */
  async function established(other = FEATURE): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors', other })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    return peer
  }

  async function managed(options: Partial<FederationOptions> = {}): Promise<ScriptedPeer> {
    engine = await world.engine('a.example', { policy: inClear, ...options })
    void engine.connect(PAIR)
    const peer = await established()
    await peer.expect('enable', NS_SM, { resume: 'true' })
    peer.send(ENABLED)
    await world.clock.settle()
    return peer
  }

  async function expectMessages(peer: ScriptedPeer, ...ids: readonly string[]): Promise<void> {
    for (const id of ids) await peer.expect('message', undefined, { id })
  }

  it('[XEP0198-4-a] asks for it before the first stanza, counts from there, and asks once behind all that went out together', async () => {
    engine = await world.engine('a.example', { policy: inClear, extensions: { resumption: false } })
    const sent = send('1', '2')
    const peer = await established()
    await peer.expect('enable', NS_SM)
    await expectMessages(peer, '1', '2')
    await peer.expectNothing()
    peer.send(ENABLED)
    await peer.expect('r', NS_SM)
    peer.send(ack(2))
    assert.deepEqual(await world.run(Promise.all(sent)), ['acknowledged', 'acknowledged'])
    const more = send('3', '4', '5')
    await expectMessages(peer, '3', '4', '5')
    await peer.expect('r', NS_SM)
    await peer.expectNothing()
    peer.send(ack(5))
    await world.run(Promise.all(more))
    peer.close()
  })

  it('acknowledges what a count covers, and asks again for what was sent since the last request', async () => {
    const peer = await managed()
    const [first, second] = send('1', '2')
    await expectMessages(peer, '1', '2')
    await peer.expect('r', NS_SM)
    const [third] = send('3')
    await expectMessages(peer, '3')
    await peer.expectNothing()
    peer.send(ack(1))
    await peer.expect('r', NS_SM)
    assert.equal(await first, 'acknowledged')
    peer.send(ack(3))
    assert.deepEqual(await Promise.all([second, third]), ['acknowledged', 'acknowledged'])
    peer.close()
  })

  it('asks by count while answers are awaited, and hands over no more than may be unacknowledged', async () => {
    const peer = await managed({ limits: { unackedStanzas: 8 } })
    const sent = send(...Array.from({ length: 20 }, (_, n) => `${n}`))
    for (const ids of [
      ['0', '1'],
      ['2', '3'],
      ['4', '5'],
      ['6', '7']
    ]) {
      await expectMessages(peer, ...ids)
      await peer.expect('r', NS_SM)
    }
    await peer.expectNothing()
    peer.send(ack(3))
    await expectMessages(peer, '8', '9')
    await peer.expect('r', NS_SM)
    await expectMessages(peer, '10')
    await peer.expectNothing()
    const unfinished = Promise.allSettled(sent)
    peer.reset()
    await world.run(Promise.all([unfinished, engine.stop()]))
    const ends = (await unfinished).map(end => (end.status === 'fulfilled' ? end.value : FederationError.from(end.reason).code))
    assert.deepEqual(ends.slice(0, 3), ['acknowledged', 'acknowledged', 'acknowledged'])
    assert.deepEqual(new Set(ends.slice(3, 11)), new Set(['S2S_IN_DOUBT']))
    assert.ok(
      ends.slice(11).every(end => end === 'S2S_STOPPED'),
      ends.join()
    )
  })

  it('bounds what is unacknowledged in bytes as well', async () => {
    const peer = await managed({ limits: { unackedBytes: 1 } })
    const sent = send('1', '2')
    await expectMessages(peer, '1')
    await peer.expect('r', NS_SM)
    await peer.expectNothing()
    peer.send(ack(1))
    await expectMessages(peer, '2')
    await peer.expect('r', NS_SM)
    peer.send(ack(2))
    await world.run(Promise.all(sent))
    peer.close()
  })

  it('asks again after a while, where an answer left something out and nothing new is sent', async () => {
    const peer = await managed()
    const [sent] = send('1')
    await expectMessages(peer, '1')
    await peer.expect('r', NS_SM)
    peer.send(ack(0))
    await peer.expectNothing()
    await world.clock.advance(5_000)
    await peer.expect('r', NS_SM)
    peer.send(ack(1))
    assert.equal(await sent, 'acknowledged')
    peer.close()
  })

  it('takes acknowledgements that nobody asked for, and answers a request with what has come: nothing', async () => {
    const peer = await managed()
    peer.send(ack(0) + `<r ${SM}/>`)
    await peer.expect('a', NS_SM, { h: '0' })
    assert.equal(engine.links().length, 1)
    peer.close()
  })

  it('ends the stream with connection-timeout when a request is not answered, and what was written is in doubt', async () => {
    const peer = await managed({ timeouts: { acknowledgement: 7_000 } })
    const closed: unknown[] = []
    engine.on('link-closed', ({ error }) => closed.push(error?.code))
    const doubtful = rejection(send('1')[0] ?? Promise.resolve())
    await expectMessages(peer, '1')
    await peer.expect('r', NS_SM)
    await world.clock.advance(6_999)
    await peer.expectNothing()
    await world.clock.advance(1)
    await peer.expectStreamError('connection-timeout')
    peer.close()
    const error = await world.run(doubtful)
    assert.deepEqual([error.code, error.pair, error.stanzaCondition], ['S2S_IN_DOUBT', PAIR, 'remote-server-timeout'])
    await world.clock.settle()
    assert.deepEqual(closed, ['S2S_TIMEOUT'])
  })

  it('gives up a peer that offers it and never answers <enable/>', async () => {
    engine = await world.engine('a.example', { policy: inClear, timeouts: { acknowledgement: 7_000 } })
    void engine.connect(PAIR)
    const peer = await established()
    await peer.expect('enable', NS_SM)
    await world.clock.advance(7_000)
    await peer.expectStreamError('connection-timeout')
    peer.close()
  })

  it('[ENG-SM-a] does not ask a peer that does not offer it', async () => {
    engine = await world.engine('a.example', { policy: inClear })
    const [sent] = send('1')
    const peer = await established('')
    await expectMessages(peer, '1')
    assert.equal(await sent, 'written')
    await peer.expectNothing()
    peer.close()
  })

  it('neither asks for it nor offers it where it is switched off', async () => {
    engine = await world.engine('a.example', { policy: inClear, extensions: { streamManagement: false } })
    const [sent] = send('1')
    const peer = await established()
    await expectMessages(peer, '1')
    assert.equal(await world.run(sent ?? assert.fail()), 'written')
    await world.engine('c.example', { extensions: { streamManagement: false } })
    const report = await world.run(engine.probe(pairOf('a.example', 'c.example')))
    const offered = report.trace.flatMap(entry => (entry.step === 'open-stream' ? [entry.facts.features?.sm] : []))
    assert.deepEqual(offered, [false])
    peer.close()
  })

  it('[ENG-SM-a] goes on without after <failed/>: what the socket took is written', async () => {
    engine = await world.engine('a.example', { policy: inClear, extensions: { resumption: false } })
    const [first] = send('1')
    const peer = await established()
    await peer.expect('enable', NS_SM)
    await expectMessages(peer, '1')
    peer.send(FAILED)
    assert.equal(await world.run(first ?? Promise.reject(new Error())), 'written')
    const [second] = send('2')
    await expectMessages(peer, '2')
    assert.equal(await second, 'written')
    await peer.expectNothing()
    peer.close()
  })

  it('[XEP0198-6-a] ends the stream when more is acknowledged than was sent, with both numbers', async () => {
    const peer = await managed()
    const doubtful = send('1', '2').map(rejection)
    await expectMessages(peer, '1', '2')
    await peer.expect('r', NS_SM)
    peer.send(ack(3))
    const error = await peer.expectStreamError('undefined-condition')
    assert.deepEqual(error.getChild('handled-count-too-high', NS_SM)?.attrs, { xmlns: NS_SM, h: '3', 'send-count': '2' })
    peer.close()
    assert.deepEqual(new Set((await world.run(Promise.all(doubtful))).map(each => each.code)), new Set(['S2S_IN_DOUBT']))
  })

  for (const [wrong, condition] of [
    [`<a ${SM}/>`, 'bad-format'],
    [ack('x'), 'bad-format'],
    [ack('-1'), 'bad-format'],
    [ack('4294967296'), 'bad-format'],
    [ack(0), 'undefined-condition']
  ] as const)
    it(`[XEP0198-4-d] ends the stream with ${condition} on ${wrong} after one was acknowledged, and leaves no stanza without an end`, async () => {
      const peer = await managed()
      const [first, second] = send('1', '2')
      await expectMessages(peer, '1', '2')
      await peer.expect('r', NS_SM)
      peer.send(ack(1) + wrong + ack(2))
      await peer.expectStreamError(condition)
      peer.close()
      assert.equal(await first, 'acknowledged')
      assert.equal((await world.run(rejection(second ?? Promise.resolve()))).code, 'S2S_IN_DOUBT')
    })

  for (const xml of [ENABLED, FAILED, `<enable ${SM}/>`, `<resumed ${SM}/>`])
    it(`ends the link on ${xml} once stream management is under way`, async () => {
      const peer = await managed()
      peer.send(xml)
      await peer.expectStreamError('unsupported-stanza-type')
      peer.close()
    })

  it('asks before it closes, waits for the answer, and takes what is acknowledged before their closing tag', async () => {
    const peer = await managed()
    const [first, second] = send('1', '2')
    await expectMessages(peer, '1', '2')
    await peer.expect('r', NS_SM)
    const closing = Promise.all(engine.links().map(link => link.close()))
    await peer.expectNothing()
    await world.clock.advance(5_000)
    await peer.expectClose()
    peer.send(ack(1))
    peer.close()
    assert.equal(await first, 'acknowledged')
    assert.equal((await world.run(rejection(second ?? Promise.resolve()))).code, 'S2S_IN_DOUBT')
    await world.run(closing)
  })

  it('stops with nothing in doubt where the peer acknowledges in time', async () => {
    const peer = await managed()
    const [sent] = send('1')
    const stopping = engine.stop({ drain: true })
    await expectMessages(peer, '1')
    await peer.expect('r', NS_SM)
    await peer.expectNothing()
    peer.send(ack(1))
    await peer.expectStreamError('system-shutdown')
    peer.close()
    await world.run(stopping)
    assert.equal(await sent, 'acknowledged')
  })

  it('takes the last acknowledgement of a peer that closes the stream', async () => {
    const peer = await managed()
    const [first, second] = send('1', '2')
    await expectMessages(peer, '1', '2')
    peer.send(ack(1))
    peer.close()
    assert.equal(await world.run(first ?? Promise.reject(new Error())), 'acknowledged')
    assert.equal((await world.run(rejection(second ?? Promise.resolve()))).code, 'S2S_IN_DOUBT')
  })

  it('[RFC6120-10.1-a] dials no other link while stanzas are under way on one that is being closed', async () => {
    const peer = await managed()
    const [first] = send('1')
    await expectMessages(peer, '1')
    await peer.expect('r', NS_SM)
    const closing = Promise.all(engine.links().map(link => link.close()))
    const [second] = send('2')
    await world.clock.settle()
    assert.equal(listener.waiting, 0)
    peer.send(ack(1))
    await peer.expectClose()
    peer.close()
    await world.run(closing)
    assert.equal(await first, 'acknowledged')
    const next = await established('')
    await expectMessages(next, '2')
    assert.equal(await second, 'written')
    next.close()
  })
})

describe('stream management between two engines', () => {
  it('[XEP0198-4-a] counts a stanza whose handler failed: it was handed over, and does not come again', async () => {
    const world = createWorld()
    const a = await world.engine('a.example')
    const handed: string[] = []
    const b = await world.engine('b.example', {
      onStanza: ({ id = '' }) => {
        handed.push(id)
        if (id === '1') throw new Error('at once')
        return Promise.reject(new Error('the disk is full'))
      }
    })
    const warned: unknown[] = []
    b.on('warning', ({ error }) => warned.push(error.cause))
    const sent = ['1', '2'].map(id => a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id })))
    assert.deepEqual(await world.run(Promise.all(sent)), ['acknowledged', 'acknowledged'])
    for (const wire of world.network.wires) wire.reset()
    assert.equal(await world.run(a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id: '3' }))), 'acknowledged')
    assert.deepEqual([handed, warned.length], [['1', '2', '3'], 3])
    await world.stop()
  })
})
