import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { Element } from 'ltx'
import type { Guard } from '../lib/model/policy.ts'
import { policies } from '../lib/policy/presets.ts'
import { dialPeer, listenForPeers } from '../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../lib/testing/scripted-connections.ts'
import { ScriptedPeer } from '../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const NS_DIALBACK = 'jabber:server:dialback'
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

  async function ends(peer: ScriptedPeer): Promise<void> {
    peer.close()
    await peer.expectEnd()
  }

  /** A connection of somebody's to a.example, as far as the features. */
  async function calling(from: string): Promise<ScriptedPeer> {
    const peer = await dialPeer(world.network.transportFor('192.0.2.200'), { address: '192.0.2.1', port: 5269 })
    peer.sendHeader({ from, to: 'a.example' })
    await peer.expectHeader()
    await peer.expectFeatures()
    return peer
  }

  /** The same, with its pair authenticated. */
  async function linkedFrom(from: string): Promise<ScriptedPeer> {
    world.network.zone.server(from, { addresses: ['192.0.2.200'] })
    const peer = await calling(from)
    peer.send(`<db:result from='${from}' to='a.example'>key</db:result>`)
    const asked = await listener.accept()
    await asked.expectHeader()
    asked.sendHeader({ from, to: 'a.example', id: '1' })
    asked.sendFeatures({ dialback: 'with-errors' })
    const verify = await asked.expect('verify')
    asked.send(`<db:verify from='${from}' to='a.example' id='${String(verify.attrs['id'])}' type='valid'/>`)
    await ends(asked)
    await peer.expect('result', NS_DIALBACK, { type: 'valid' })
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
    await world.run(a.stop())
    assert.ok(world.clock.now() - began <= 15_000, `${world.clock.now() - began} ms`)
    assert.equal((await sent).code, 'S2S_IN_DOUBT')
    peer.connection.destroy()
  })

  it('[XEP0220-2.2.2-a] answers for its keys as long as it drains, and until then takes nobody new', async () => {
    const heard: string[] = []
    const a = await world.engine('a.example', {
      domains: { 'a.example': undefined, 'a2.example': undefined },
      policy: inClear,
      onStanza: ({ id = '' }) => void heard.push(id)
    })
    const known = await linkedFrom('c.example')
    const sent = a.send(message('1'))
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    const key = (await peer.expect('result')).getText()
    const stopping = a.stop({ drain: true })
    const authority = await calling('b.example')
    authority.send(`<db:verify from='b.example' to='a.example' id='1'>${key}</db:verify>`)
    await authority.expect('verify', NS_DIALBACK, { type: 'valid' })
    authority.send(`<db:result from='b.example' to='a.example'>key</db:result>`)
    await authority.expectStreamError('system-shutdown')
    await ends(authority)
    known.send(`<message from='x@c.example' to='y@a.example' id='known'/>`)
    known.send(`<db:result from='c.example' to='a2.example'>key</db:result>`)
    const refusal = await known.expect('result', NS_DIALBACK, { type: 'error' })
    assert.match(refusal.toString(), /resource-constraint/)
    assert.deepEqual(heard, ['known'])
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await peer.expect('message', undefined, { id: '1' })
    await peer.expectStreamError('system-shutdown')
    await ends(peer)
    await known.expectStreamError('system-shutdown')
    await ends(known)
    await world.run(stopping)
    assert.equal(await sent, 'written')
    assert.deepEqual(a.addresses, [])
    assert.equal(
      (
        await rejection(
          world.network.transportFor('192.0.2.200').connect({ address: '192.0.2.1', port: 5269 }, { signal: new AbortController().signal })
        )
      ).code,
      'S2S_CONNECT_FAILED'
    )
  })

  it('takes no SASL while it drains, nor a key whose verification was under way', async () => {
    const a = await world.engine('a.example', { policy: policies.ladder() })
    world.network.zone.server('c.example', { addresses: ['192.0.2.200'] })
    const asking = await calling('c.example')
    asking.send(`<db:result from='c.example' to='a.example'>key</db:result>`)
    const verifying = await listener.accept()
    await verifying.expectHeader()
    verifying.sendHeader({ from: 'c.example', to: 'a.example', id: '1' })
    verifying.sendFeatures({ dialback: 'with-errors' })
    const verify = await verifying.expect('verify')
    world.network.blackHole('192.0.2.201')
    world.network.zone.server('b.example', { addresses: ['192.0.2.201'] })
    const waiting = rejection(a.send(message('1')))
    const enough = new AbortController()
    const stopping = a.stop({ drain: true, signal: enough.signal })
    verifying.send(`<db:verify from='c.example' to='a.example' id='${String(verify.attrs['id'])}' type='valid'/>`)
    await ends(verifying)
    await asking.expect('result', NS_DIALBACK, { type: 'error' })
    assert.deepEqual(a.links(), [])
    const proving = await dialPeer(
      world.network.transportFor('192.0.2.200'),
      { address: '192.0.2.1', port: 5269 },
      { tls: simulatedTls(), credentials: world.authority.issue('c.example', { now: world.clock.now() }) }
    )
    proving.sendHeader({ from: 'c.example', to: 'a.example' })
    await proving.expectHeader()
    await proving.expectFeatures()
    await proving.startTls()
    proving.sendHeader({ from: 'c.example', to: 'a.example' })
    await proving.expectHeader()
    await proving.expectFeatures()
    proving.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`)
    await proving.expectStreamError('system-shutdown')
    await ends(proving)
    enough.abort()
    asking.reset()
    await world.run(stopping)
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('is drained of what needs dialback: between two engines nothing is lost', async () => {
    const heard: string[] = []
    const a = await world.engine('a.example', { policy: inClear })
    const c = await world.engine('c.example', { policy: inClear, onStanza: ({ id = '' }) => void heard.push(id) })
    const sent = ['1', '2', '3'].map(id => a.send(new Element('message', { from: 'x@a.example', to: 'y@c.example', id })))
    await world.run(a.stop({ drain: true }))
    assert.deepEqual(await Promise.all(sent), ['acknowledged', 'acknowledged', 'acknowledged'])
    assert.deepEqual(heard, ['1', '2', '3'])
    await world.run(c.stop())
  })

  it('stops draining when a later call says so', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear, timeouts: { connect: 60_000, negotiation: 600_000 } })
    const waiting = rejection(a.send(message('1')))
    const first = a.stop({ drain: true })
    const state = { over: false }
    void first.then(() => (state.over = true))
    await world.clock.advance(10_000)
    const enough = new AbortController()
    const second = a.stop({ signal: enough.signal })
    await world.clock.advance(10_000)
    assert.equal(state.over, false)
    enough.abort()
    await world.run(Promise.all([first, second]))
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('stops now when it is told to stop without draining, whoever drains', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear, timeouts: { connect: 60_000, negotiation: 600_000 } })
    const waiting = rejection(a.send(message('1')))
    const over: string[] = []
    const draining = a.stop({ drain: true }).then(() => over.push('drained'))
    const again = a.stop({ drain: true }).then(() => over.push('drained again'))
    const bounded = a.stop({ signal: new AbortController().signal }).then(() => over.push('bounded'))
    await world.clock.advance(10_000)
    assert.deepEqual(over, [], 'none of them has asked for less')
    const now = world.clock.now()
    await world.run(a.stop())
    assert.deepEqual([over, world.clock.now()], [['drained', 'drained again', 'bounded'], now])
    assert.equal((await waiting).code, 'S2S_STOPPED')
    assert.deepEqual([a.links(), a.addresses], [[], []])
    await Promise.all([draining, again, bounded])
  })

  it('does not begin to drain for a signal that is aborted', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear })
    const waiting = rejection(a.send(message('1')))
    const began = world.clock.now()
    await world.run(a.stop({ drain: true, signal: AbortSignal.abort() }))
    assert.equal(world.clock.now(), began)
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('serves connections that were accepted elsewhere as long as it drains, and none later', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear })
    const waiting = rejection(a.send(message('1')))
    const enough = new AbortController()
    const stopping = a.stop({ drain: true, signal: enough.signal })
    const [ours, theirs] = duplexPair()
    const report = a.accept(ours)
    const peer = new ScriptedPeer(theirs)
    peer.sendHeader({ from: 'b.example', to: 'a.example' })
    await peer.expectHeader()
    await peer.expectFeatures()
    peer.send(`<db:verify from='b.example' to='a.example' id='1'>no key</db:verify>`)
    await peer.expect('verify', NS_DIALBACK, { type: 'invalid' })
    await ends(peer)
    assert.equal((await report).error, undefined)
    enough.abort()
    await world.run(stopping)
    assert.equal((await rejection(a.accept(duplexPair()[0]))).code, 'S2S_STOPPED')
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('tells whoever it has accepted that the system shuts down (RFC 6120 §4.9.3.20)', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const peer = await linkedFrom('c.example')
    const stopping = a.stop()
    await peer.expectStreamError('system-shutdown')
    await ends(peer)
    await world.run(stopping)
  })

  it('waits for no policy that never answers: what it has negotiated meanwhile is closed', async () => {
    const endless: Guard = { kind: 'guard', name: 'endless', admit: () => new Promise<undefined>(() => undefined) }
    const a = await world.engine('a.example', { policy: inClear })
    const sent = rejection(a.send(message('1')))
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    void a.setGuards([endless])
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await world.clock.settle()
    const stopping = a.stop()
    await peer.expectStreamError('system-shutdown')
    await ends(peer)
    await world.run(stopping)
    assert.equal((await sent).code, 'S2S_STOPPED')
  })

  it('ends once, whoever asks and how often', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const both = [a.stop({ drain: true }), a.stop()]
    await world.run(Promise.all(both))
    assert.equal(both[0], both[1])
  })
})
