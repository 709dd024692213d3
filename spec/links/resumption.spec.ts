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
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const SM = `xmlns='${NS_SM}'`
const FEATURE = `<sm ${SM}/>`
const inClear = policies.ladder({ tls: 'never' })
const ack = (h: number): string => `<a ${SM} h='${h}'/>`
const enabled = (more = `id='s1' resume='true'`): string => `<enabled ${SM} ${more}/>`
const resumed = (h: number | string): string => `<resumed ${SM} previd='s1' h='${h}'/>`
const failed = (h = ''): string => `<failed ${SM}${h}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`

describe('resumption of an outgoing stream', () => {
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

  const send = (...ids: readonly string[]): readonly Promise<Delivery>[] =>
    ids.map(id => engine.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id })))

  /** The engine's next connection, as far as its identity is proved. */
  async function authenticated(other = FEATURE): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors', other })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    return peer
  }

  /** An engine, and its link with some stanzas that the peer has read and not acknowledged. */
  async function busy(ids: readonly string[], options: Partial<FederationOptions> = {}, answer = enabled()) {
    engine = await world.engine('a.example', { policy: inClear, ...options })
    const sent = send(...ids)
    const peer = await authenticated()
    await peer.expect('enable', NS_SM, options.extensions?.resumption === false ? { resume: undefined } : { resume: 'true' })
    if (options.extensions?.resumption !== false) await peer.expectNothing()
    peer.send(answer)
    await expectMessages(peer, ...ids)
    await peer.expect('r', NS_SM)
    return { peer, sent }
  }

  async function expectMessages(peer: ScriptedPeer, ...ids: readonly string[]): Promise<void> {
    for (const id of ids) await peer.expect('message', undefined, { id })
  }

  async function expectResume(): Promise<ScriptedPeer> {
    const peer = await authenticated()
    await peer.expect('resume', NS_SM, { previd: 's1', h: '0' })
    return peer
  }

  const endsOf = async (sent: readonly Promise<Delivery>[]): Promise<readonly string[]> =>
    (await world.run(Promise.allSettled(sent))).map(end => (end.status === 'fulfilled' ? end.value : FederationError.from(end.reason).code))

  const LOSSES: Readonly<Record<string, (peer: ScriptedPeer) => void | Promise<void>>> = {
    'a reset': peer => peer.reset(),
    'the end of the connection without a closing tag': peer => peer.hangUp(),
    'a stream error that says we were not heard': peer => peer.sendStreamError('connection-timeout'),
    'a request that is not answered': async peer => {
      await world.clock.advance(30_000)
      await peer.expectStreamError('connection-timeout')
      peer.close()
    }
  }
  for (const [name, lose] of Object.entries(LOSSES))
    it(`[ENG-Q-a] goes on after ${name}: what is counted is acknowledged, the rest comes again in order, before anything newer`, async () => {
      const { peer, sent } = await busy(['1', '2', '3'])
      await lose(peer)
      await world.clock.settle()
      const more = send('4', '5')
      const next = await expectResume()
      await next.expectNothing()
      next.send(resumed(1))
      assert.equal(await sent[0], 'acknowledged')
      await expectMessages(next, '2', '3')
      await next.expect('r', NS_SM)
      await expectMessages(next, '4', '5')
      next.send(ack(3))
      await next.expect('r', NS_SM)
      next.send(ack(5))
      assert.deepEqual(
        await endsOf([...sent, ...more]),
        Array.from({ length: 5 }, () => 'acknowledged')
      )
      next.close()
    })

  it('resumes a stream again and again, and its counters go on', async () => {
    const { peer, sent } = await busy(['1', '2'])
    peer.send(ack(1))
    await peer.expectNothing()
    peer.reset()
    const second = await expectResume()
    second.send(resumed(2))
    assert.deepEqual(await endsOf(sent), ['acknowledged', 'acknowledged'])
    const more = send('3', '4')
    await expectMessages(second, '3', '4')
    second.reset()
    const third = await expectResume()
    third.send(resumed(3))
    await expectMessages(third, '4')
    third.send(ack(4))
    assert.deepEqual(await endsOf(more), ['acknowledged', 'acknowledged'])
    third.close()
  })

  it('[RFC6120-10.1-a] is no reason for a second link when a listener sends again what is given up: that goes behind all that waits', async () => {
    const { peer, sent } = await busy(['1'])
    engine.on('stanza-bounced', () => {
      void send('again')
    })
    peer.reset()
    await world.clock.settle()
    void send('2')
    const next = await authenticated('')
    await expectMessages(next, '2', 'again')
    assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
    await next.expectNothing()
    assert.deepEqual([engine.links().length, world.network.wires.length], [1, 1])
    next.close()
  })

  const ENDS: Readonly<Record<string, (peer: ScriptedPeer) => unknown>> = {
    'the peer closes the stream': peer => peer.close(),
    'the peer ends the stream with reset': peer => peer.sendStreamError('reset'),
    'the peer ends the stream with system-shutdown': peer => peer.sendStreamError('system-shutdown'),
    'the peer breaks a rule': peer => {
      peer.send('<x/>')
      peer.reset()
    },
    'we close the stream': peer => {
      for (const link of engine.links()) void link.close()
      peer.reset()
    }
  }
  for (const [name, end] of Object.entries(ENDS))
    it(`[ENG-Q-a] sends nothing again when ${name}: it is in doubt, and what comes next waits until nothing of it is read any more`, async () => {
      const { peer, sent } = await busy(['1'])
      peer.send(ack(1))
      const doubtful = send('2')
      await expectMessages(peer, '2')
      end(peer)
      assert.deepEqual(await endsOf([...sent, ...doubtful]), ['acknowledged', 'S2S_IN_DOUBT'])
      const [later] = send('3')
      const next = await expectResume()
      await next.expectNothing()
      next.send(failed(" h='2'"))
      await next.expect('enable', NS_SM)
      next.send(enabled())
      await expectMessages(next, '3')
      await next.expect('r', NS_SM)
      next.send(ack(1))
      assert.equal(await later, 'acknowledged')
      next.close()
    })

  it('keeps what an unknown stream had counted, leaves the rest in doubt, and begins anew from zero', async () => {
    const { peer, sent } = await busy(['1', '2', '3'])
    peer.reset()
    const more = send('4')
    const next = await expectResume()
    next.send(failed(" h='2'"))
    await next.expect('enable', NS_SM, { resume: 'true' })
    next.send(enabled())
    await expectMessages(next, '4')
    next.send(ack(1))
    assert.deepEqual(await endsOf([...sent, ...more]), ['acknowledged', 'acknowledged', 'S2S_IN_DOUBT', 'acknowledged'])
    next.close()
  })

  it('leaves everything in doubt that an unknown stream says nothing of, and goes on without stream management if it must', async () => {
    const { peer, sent } = await busy(['1'])
    peer.reset()
    const next = await expectResume()
    next.send(failed())
    await next.expect('enable', NS_SM)
    next.send(failed())
    const more = send('2')
    await expectMessages(next, '2')
    assert.deepEqual(await endsOf([...sent, ...more]), ['S2S_IN_DOUBT', 'written'])
    next.close()
  })

  it('gives up a peer that does not answer, and asks it no second time', async () => {
    const { peer, sent } = await busy(['1'], { timeouts: { acknowledgement: 7_000 } })
    peer.reset()
    const next = await expectResume()
    await world.clock.advance(7_000)
    await next.expectStreamError('connection-timeout')
    next.close()
    assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
  })

  it('asks again when the connection is lost before the answer, and not for ever', async () => {
    const { peer, sent } = await busy(['1', '2'])
    peer.reset()
    ;(await expectResume()).reset()
    const third = await expectResume()
    third.send(resumed(1))
    await expectMessages(third, '2')
    await third.expect('r', NS_SM)
    const more = send('3')
    await expectMessages(third, '3')
    third.reset()
    for (let times = 0; times < 3; times += 1) (await expectResume()).reset()
    assert.deepEqual(await endsOf([...sent, ...more]), ['acknowledged', 'S2S_IN_DOUBT', 'S2S_IN_DOUBT'])
    await world.clock.settle()
    assert.equal(listener.waiting, 0)
  })

  for (const [name, times, refuse] of [
    ['ends the stream with an error', 1, (peer: ScriptedPeer) => peer.sendStreamError('unsupported-stanza-type')],
    ['drops the connection', 2, (peer: ScriptedPeer) => peer.reset()]
  ] as const)
    it(`reaches a peer again that ${name} when it is asked to resume, without asking it any more`, async () => {
      const { peer, sent } = await busy(['1'])
      peer.reset()
      for (let time = 0; time < times; time += 1) refuse(await expectResume())
      assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
      await world.clock.advance(900_000)
      const later = send('2')
      const next = await authenticated()
      await next.expect('enable', NS_SM)
      next.send(enabled())
      await expectMessages(next, '2')
      next.send(ack(1))
      assert.deepEqual(await endsOf(later), ['acknowledged'])
      next.close()
    })

  it('leaves it in doubt when no link is to be had', async () => {
    const { peer, sent } = await busy(['1'])
    world.network.refuse('192.0.2.200')
    const more = send('2')
    await expectMessages(peer, '2')
    peer.reset()
    assert.deepEqual(await endsOf([...sent, ...more]), ['S2S_IN_DOUBT', 'S2S_IN_DOUBT'])
  })

  for (const [answer, time, handled] of [
    [enabled(`id='s1' resume='true' max='5'`), 5_000, 0],
    [enabled(`id='s1' resume='1' max='600'`), 20_000, 1],
    [enabled(`id='s1' resume='true' max='soon'`), 20_000, 1]
  ] as const)
    it(`leaves it in doubt ${time} ms after the loss, where the peer said ${answer}, although a link may come yet`, async () => {
      const timeouts = { resumption: 20_000, step: 30_000 }
      const { peer, sent } = await busy(['1'], { timeouts }, answer)
      peer.reset()
      const more = send('2')
      const next = await listener.accept()
      await next.expectHeader()
      let ends: readonly string[] = []
      void Promise.allSettled(sent).then(settled => (ends = settled.map(end => end.status)))
      await world.clock.advance(time - 1)
      assert.deepEqual(ends, [])
      await world.clock.advance(1)
      assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
      next.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
      next.sendFeatures({ dialback: 'with-errors', other: FEATURE })
      await next.expect('result')
      next.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
      await next.expect('resume', NS_SM, { previd: 's1', h: '0' })
      next.send(resumed(handled))
      await expectMessages(next, '2')
      next.send(ack(handled + 1))
      assert.deepEqual(await endsOf(more), ['acknowledged'])
      next.close()
    })

  it('does not count the time in the queue for what was sent: it is lost or resumed, and never too old', async () => {
    const { peer, sent } = await busy(['1'], { timeouts: { queue: 5_000, step: 30_000 } })
    peer.reset()
    const next = await listener.accept()
    await next.expectHeader()
    const more = send('2')
    await world.clock.advance(10_000)
    next.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    next.sendFeatures({ dialback: 'with-errors', other: FEATURE })
    await next.expect('result')
    next.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await next.expect('resume', NS_SM)
    next.send(resumed(0))
    await expectMessages(next, '1')
    next.send(ack(1))
    assert.deepEqual(await endsOf([...sent, ...more]), ['acknowledged', 'S2S_TIMEOUT'])
    next.close()
  })

  it('[XEP0203-4-a] says when it was first sent, once, of what comes again more than ten seconds later', async () => {
    const { peer, sent } = await busy(['1'])
    const at = new Date(world.clock.now()).toISOString()
    await world.clock.advance(10_000)
    peer.reset()
    const second = await expectResume()
    second.send(resumed(0))
    const early = await second.expect('message', undefined, { id: '1' })
    assert.deepEqual(early.children, [])
    await world.clock.advance(1)
    second.reset()
    const third = await expectResume()
    third.send(resumed(0))
    const late = await third.expect('message', undefined, { id: '1' })
    assert.deepEqual(
      late.getChildElements().map(({ name, attrs }) => ({ name, ...attrs })),
      [{ name: 'delay', xmlns: 'urn:xmpp:delay', from: 'a.example', stamp: at }]
    )
    third.send(ack(1))
    assert.deepEqual(await endsOf(sent), ['acknowledged'])
    third.close()
  })

  it('leaves it in doubt when the engine stops, and waits for it while it drains', async () => {
    const { peer, sent } = await busy(['1', '2'])
    peer.reset()
    const next = await expectResume()
    const draining = engine.stop({ drain: true })
    await next.expectNothing()
    next.send(resumed(1))
    await expectMessages(next, '2')
    await next.expect('r', NS_SM)
    next.send(ack(2))
    await next.expectStreamError('system-shutdown')
    next.close()
    await world.run(draining)
    assert.deepEqual(await endsOf(sent), ['acknowledged', 'acknowledged'])
  })

  it('leaves it in doubt at once when the engine stops without draining', async () => {
    const { peer, sent } = await busy(['1'])
    peer.reset()
    const next = await listener.accept()
    await next.expectHeader()
    await world.run(engine.stop())
    assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
  })

  it('leaves it in doubt when the peer has no stream management any more', async () => {
    const { peer, sent } = await busy(['1'])
    peer.reset()
    const more = send('2')
    const next = await authenticated('')
    await expectMessages(next, '2')
    assert.deepEqual(await endsOf([...sent, ...more]), ['S2S_IN_DOUBT', 'written'])
    next.close()
  })

  for (const answer of [enabled(''), enabled(`id='s1'`), enabled(`resume='true'`), enabled(`id='${'x'.repeat(4_001)}' resume='true'`)])
    it(`dials nobody for what is in doubt where the peer said ${answer.slice(0, 60)}`, async () => {
      const { peer, sent } = await busy(['1'], {}, answer)
      peer.reset()
      assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
      await world.clock.settle()
      assert.equal(listener.waiting, 0)
    })

  it('neither asks for resumption nor resumes where it is switched off', async () => {
    const { peer, sent } = await busy(['1'], { extensions: { resumption: false } })
    peer.reset()
    assert.deepEqual(await endsOf(sent), ['S2S_IN_DOUBT'])
    await world.clock.settle()
    assert.equal(listener.waiting, 0)
  })

  it('dials nobody when everything was acknowledged', async () => {
    const { peer, sent } = await busy(['1'])
    peer.send(ack(1))
    assert.deepEqual(await endsOf(sent), ['acknowledged'])
    peer.reset()
    await world.clock.settle()
    assert.equal(listener.waiting, 0)
  })

  for (const [answer, condition] of [
    [resumed(3), 'undefined-condition'],
    [resumed(0), 'undefined-condition'],
    [resumed('x'), 'bad-format'],
    [`<resumed ${SM}/>`, 'bad-format'],
    [failed(" h='3'"), 'undefined-condition'],
    [failed(" h='-1'"), 'bad-format'],
    [enabled(), 'unsupported-stanza-type'],
    [ack(2), 'unsupported-stanza-type']
  ] as const)
    it(`[XEP0198-4-d] ends the stream with ${condition} when a stream of which one of two was acknowledged is answered ${answer.slice(0, 60)}`, async () => {
      const { peer, sent } = await busy(['1', '2'])
      peer.send(ack(1))
      await peer.expectNothing()
      peer.reset()
      const next = await expectResume()
      next.send(answer + resumed(2))
      await next.expectStreamError(condition)
      next.close()
      assert.deepEqual(await endsOf(sent), ['acknowledged', 'S2S_IN_DOUBT'])
    })
})
