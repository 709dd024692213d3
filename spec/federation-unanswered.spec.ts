import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Guard, Peer } from '../lib/model/policy.ts'
import { policies } from '../lib/policy/presets.ts'
import { dialPeer, listenForPeers } from '../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const PAIR = pairOf('a.example', 'b.example')
const STEP = 7_000
const NS_DIALBACK = 'jabber:server:dialback'
const EXTERNAL = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`
const timeouts = { step: STEP }
const endless = new Promise<undefined>(() => undefined)
const guard = (admit: (peer: Peer) => ReturnType<NonNullable<Guard['admit']>>): Guard => ({ kind: 'guard', name: 'silent', admit })
const silent = guard(() => endless)
const message = (id: string, from = 'a.example', to = 'b.example'): Element => new Element('message', { from, to, id })

describe('a policy that does not answer when settings have changed', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  /** Whether the change has been made, and what was reset by it. */
  async function changing(change: Promise<void>): Promise<{ isOver: boolean }> {
    const state = { isOver: false }
    void change.then(() => (state.isOver = true))
    await world.clock.settle()
    return state
  }

  it('lets no link go on for longer than a step, and delays the judgement of no other', async () => {
    for (const name of ['b.example', 'c.example', 'd.example']) await world.engine(name)
    const a = await world.engine('a.example', { timeouts })
    for (const name of ['b.example', 'c.example', 'd.example']) await world.run(a.connect(pairOf('a.example', name)))
    const resets: string[] = []
    a.on('link-reset', ({ link, error }) =>
      resets.push(`${link.pairs[0]?.pair.target} ${error.code} ${error.streamCondition}: ${error.message}`)
    )
    const change = await changing(
      a.setGuards([guard(({ remote }) => (remote === 'b.example' ? endless : remote === 'c.example' ? 'refuse' : undefined))])
    )
    assert.equal(resets.length, 1)
    assert.match(resets[0] ?? '', /^c\.example S2S_POLICY reset/)
    await world.clock.advance(STEP - 1)
    assert.deepEqual([resets.length, change.isOver, a.links().length], [1, false, 2])
    await world.clock.advance(1)
    await world.clock.settle()
    assert.equal(resets.length, 2)
    assert.match(resets[1] ?? '', /^b\.example S2S_TIMEOUT reset: .*judgement of policy.* took more than 7000 ms/)
    assert.ok(change.isOver)
    assert.deepEqual(
      a.links().map(({ pairs }) => pairs[0]?.pair.target),
      ['d.example']
    )
    const error = await rejection(world.run(a.send(message('1'))))
    assert.equal(error.code, 'S2S_TIMEOUT', 'as where it does not answer in a negotiation')
  })

  it('delays the fall of no other pair of the same link', async () => {
    await world.engine('b.example', { timeouts })
    const credentials = world.authority.issue('a.example', { alsoFor: ['a2.example'], now: world.clock.now() })
    const domains = { 'a.example': credentials, 'a2.example': credentials }
    const a = await world.engine('a.example', {
      domains,
      timeouts,
      policy: policies.ladder({ external: false }),
      extensions: { bidi: false }
    })
    world.network.zone.server('a2.example', { addresses: [world.addressOf('a.example')] })
    await world.run(a.connect(PAIR))
    await world.run(a.connect(pairOf('a2.example', 'b.example')))
    assert.deepEqual(
      a.links().map(({ pairs }) => pairs.filter(({ flow }) => flow === 'send').length),
      [2]
    )
    const resets: string[] = []
    a.on('link-reset', ({ error }) => resets.push(error.code))
    const change = await changing(a.setGuards([guard(({ local }) => (local === 'a.example' ? endless : 'refuse'))]))
    assert.deepEqual([resets, change.isOver], [['S2S_POLICY'], true])
  })

  it('is waited for no longer by an engine that stops', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example', { timeouts })
    await world.run(a.connect(PAIR))
    const resets: string[] = []
    a.on('link-reset', ({ error }) => resets.push(error.code))
    const change = await changing(a.setGuards([silent]))
    const now = world.clock.now()
    await world.run(a.stop())
    await world.clock.settle()
    assert.deepEqual([change.isOver, resets, world.clock.now() - now < STEP], [true, [], true])
  })

  describe('in the middle of an incoming negotiation', () => {
    let listener: PeerListener
    beforeEach(async () => {
      const at = { host: '192.0.2.200', port: 5269 }
      listener = await listenForPeers(world.network.transportFor(at.host), at)
      world.network.zone.server('c.example', { addresses: [at.host] })
    })
    afterEach(() => listener.close())

    async function calling(): Promise<ScriptedPeer> {
      const credentials = world.authority.issue('c.example', { now: world.clock.now() })
      const from = world.network.transportFor('192.0.2.200')
      const peer = await dialPeer(from, { address: world.addressOf('a.example'), port: 5269 }, { tls: simulatedTls(), credentials })
      peer.sendHeader({ from: 'c.example', to: 'a.example' })
      await peer.expectHeader()
      await peer.expectFeatures()
      return peer
    }

    async function confirm(): Promise<void> {
      const asked = await listener.accept()
      await asked.expectHeader()
      asked.sendHeader({ from: 'c.example', to: 'a.example', id: '1' })
      asked.sendFeatures({ dialback: 'with-errors' })
      const { id } = (await asked.expect('verify')).attrs
      asked.send(`<db:verify from='c.example' to='a.example' id='${String(id)}' type='valid'/>`)
      asked.close()
      await asked.expectEnd()
    }

    /** Its first answer lets the key be verified; when the pair is to count, it has none. */
    function answeringOnce(): Guard {
      let asked = 0
      return guard(({ direction }) => (direction === 'outgoing' || (asked += 1) === 1 ? undefined : endless))
    }

    it('has a key refused for now, and not valid for ever nor the peer waiting for ever', async () => {
      const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }), timeouts })
      const peer = await calling()
      await a.setGuards([answeringOnce()])
      peer.send(`<db:result from='c.example' to='a.example'>key</db:result>`)
      await confirm()
      await world.clock.advance(STEP - 1)
      await peer.expectNothing()
      await world.clock.advance(1)
      const answer = await peer.expect('result', NS_DIALBACK, { type: 'error' })
      assert.match(answer.toString(), /remote-server-timeout/)
      assert.deepEqual(a.links(), [])
      peer.close()
      await peer.expectEnd()
    })

    it('does not keep an engine from stopping', async () => {
      const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }), timeouts })
      const peer = await calling()
      await a.setGuards([answeringOnce()])
      peer.send(`<db:result from='c.example' to='a.example'>key</db:result>`)
      await confirm()
      await world.clock.settle()
      const stopping = a.stop()
      await peer.expectStreamError('system-shutdown')
      peer.close()
      await peer.expectEnd()
      const now = world.clock.now()
      await world.run(stopping)
      assert.ok(world.clock.now() - now < STEP)
    })

    it('ends the stream of a peer that SASL has authenticated', async () => {
      const a = await world.engine('a.example', { timeouts })
      const peer = await calling()
      await peer.startTls()
      peer.sendHeader({ from: 'c.example', to: 'a.example' })
      await peer.expectHeader()
      await peer.expectFeatures()
      await a.setGuards([silent])
      peer.send(EXTERNAL)
      await peer.expect('success')
      peer.restart()
      peer.sendHeader({ from: 'c.example', to: 'a.example' })
      await peer.expectHeader()
      await peer.expectFeatures()
      await world.clock.advance(STEP - 1)
      await peer.expectNothing()
      await world.clock.advance(1)
      await peer.expectStreamError('reset')
      peer.close()
      await peer.expectEnd()
      assert.deepEqual(a.links(), [])
    })
  })

  it('[XEP0288-2.2-b] ends a stream that goes both ways also where it is silent about what is sent back', async () => {
    const a = await world.engine('a.example')
    const b = await world.engine('b.example', { timeouts })
    await world.run(a.connect(PAIR))
    await world.clock.settle()
    const resets: string[] = []
    b.on('link-reset', ({ error }) => resets.push(`${error.code} ${error.pair?.sender}`))
    const change = await changing(b.setGuards([guard(({ direction }) => (direction === 'outgoing' ? endless : undefined))]))
    await world.clock.advance(STEP)
    await world.clock.settle()
    assert.deepEqual([change.isOver, resets, b.links()], [true, ['S2S_TIMEOUT b.example'], []])
  })

  it('[XEP0288-2.2-b] lets nothing flow back on a stream, and keeps no engine from stopping', async () => {
    const a = await world.engine('a.example')
    const b = await world.engine('b.example', {
      timeouts,
      guards: [guard(({ direction }) => (direction === 'outgoing' ? endless : undefined))]
    })
    await world.run(a.connect(PAIR))
    await world.clock.advance(STEP)
    assert.deepEqual(
      b.links().map(({ pairs }) => pairs.map(({ flow }) => flow)),
      [['receive']]
    )
    await world.run(a.close('b.example'))
    await world.run(a.connect(PAIR))
    const now = world.clock.now()
    await world.run(b.stop())
    assert.ok(world.clock.now() - now < STEP)
  })
})
