import assert from 'node:assert/strict'
import { policies } from '../../lib/policy/presets.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const RECEIVER = 'b.example'
const SENDER = 'a.example'
const NS_DIALBACK = 'jabber:server:dialback'
const inClear = policies.ladder({ tls: 'never' })

describe('the call to the authoritative server', () => {
  let world: World
  let authority: PeerListener

  beforeEach(async () => {
    world = createWorld()
    const address = '192.0.2.200'
    authority = await listenForPeers(
      world.network.transportFor(address),
      { host: address, port: 5269 },
      { tls: simulatedTls(), credentials: world.authority.issue(SENDER) }
    )
    world.network.zone.server(SENDER, { addresses: [address] })
  })
  afterEach(async () => {
    await world.stop()
    await authority.close()
  })

  /** An initiating peer that has sent its key, and the id that the receiver gave its stream. */
  async function keySent(): Promise<{ readonly peer: ScriptedPeer; readonly id: string }> {
    const peer = await dialPeer(world.network.transportFor('192.0.2.201'), { address: world.addressOf(RECEIVER), port: 5269 })
    peer.sendHeader({ from: SENDER, to: RECEIVER })
    const header = await peer.expectHeader()
    await peer.expectFeatures()
    peer.send(`<db:result from='${SENDER}' to='${RECEIVER}'>the-key</db:result>`)
    return { peer, id: header.id ?? '' }
  }

  async function asked(): Promise<ScriptedPeer> {
    const peer = await authority.accept()
    await peer.expectHeader({ from: RECEIVER, to: SENDER })
    peer.sendHeader({ from: SENDER, to: RECEIVER, id: 'z9' })
    peer.sendFeatures({ dialback: 'with-errors' })
    return peer
  }

  it('[XEP0220-2.1.2-a] carries the id of the stream that asked, the addresses turned round, and the key unchanged, on a connection of its own', async () => {
    await world.engine(RECEIVER, { policy: inClear })
    const { peer, id } = await keySent()
    const call = await asked()
    const verify = await call.expect('verify', NS_DIALBACK, { from: RECEIVER, to: SENDER, id })
    assert.equal(verify.getText(), 'the-key')
    call.send(`<db:verify from='${SENDER}' to='${RECEIVER}' id='${id}' type='valid'/>`)
    await peer.expect('result', NS_DIALBACK, { from: RECEIVER, to: SENDER, type: 'valid' })
    await call.expectClose()
    call.close()
    peer.close()
  })

  for (const type of ['', 'VALID', 'valid ', 'result', 'true'])
    it(`[XEP0220-2.1.2-c] takes an answer of the type '${type}' for an error`, async () => {
      await world.engine(RECEIVER, { policy: inClear })
      const { peer, id } = await keySent()
      const call = await asked()
      await call.expect('verify', NS_DIALBACK)
      call.send(`<db:verify from='${SENDER}' to='${RECEIVER}' id='${id}' type='${type}'/>`)
      await peer.expect('result', NS_DIALBACK, { type: 'error' })
      call.close()
      peer.close()
    })

  it('[XEP0220-2.1.2-b] believes no answer with another id or for another pair', async () => {
    await world.engine(RECEIVER, { policy: inClear })
    const { peer, id } = await keySent()
    const call = await asked()
    await call.expect('verify', NS_DIALBACK)
    call.send(`<db:verify from='${SENDER}' to='${RECEIVER}' id='other' type='valid'/>`)
    call.send(`<db:verify from='c.example' to='${RECEIVER}' id='${id}' type='valid'/>`)
    call.send(`<db:verify from='${SENDER}' to='c.example' id='${id}' type='valid'/>`)
    call.send(`<db:result from='${SENDER}' to='${RECEIVER}' type='valid'/>`)
    await peer.expectNothing()
    call.send(`<db:verify from='${SENDER}' to='${RECEIVER}' id='${id}' type='invalid'/>`)
    await peer.expect('result', NS_DIALBACK, { type: 'invalid' })
    call.close()
    peer.close()
  })

  it('[XEP0220-2.1.2-b] believes no answer that comes on another stream: on the one that was opened to it, or on the call about another key', async () => {
    await world.engine(RECEIVER, { policy: inClear })
    const [one, other] = [await keySent(), await keySent()]
    const calls = [await asked(), await asked()]
    const ids: string[] = []
    for (const call of calls) ids.push(((await call.expect('verify', NS_DIALBACK)).attrs as Readonly<Record<string, string>>)['id'] ?? '')
    assert.deepEqual([...ids].sort(), [one.id, other.id].sort())
    const verdict = (id: string | undefined, type: string): string =>
      `<db:verify from='${SENDER}' to='${RECEIVER}' id='${id ?? ''}' type='${type}'/>`
    calls[0]?.send(verdict(ids[1], 'valid'))
    calls[1]?.send(verdict(ids[0], 'valid'))
    const third = await dialPeer(world.network.transportFor('192.0.2.202'), { address: world.addressOf(RECEIVER), port: 5269 })
    third.sendHeader({ from: SENDER, to: RECEIVER })
    await third.expectHeader()
    await third.expectFeatures()
    third.send(verdict(one.id, 'valid'))
    await third.expectStreamError('policy-violation')
    third.close()
    for (const { peer } of [one, other]) await peer.expectNothing()
    for (const [index, call] of calls.entries()) call.send(verdict(ids[index], 'invalid'))
    for (const { peer } of [one, other]) {
      await peer.expect('result', NS_DIALBACK, { type: 'invalid' })
      peer.close()
    }
    for (const call of calls) call.close()
  })

  it('[XEP0220-2.1.2-c] is an error for the peer when the authoritative server closes without an answer', async () => {
    await world.engine(RECEIVER, { policy: inClear })
    const { peer } = await keySent()
    const call = await asked()
    await call.expect('verify', NS_DIALBACK)
    call.close()
    const result = await peer.expect('result', NS_DIALBACK, { type: 'error' })
    assert.ok(result.getChild('error')?.getChild('remote-server-timeout') !== undefined, result.toString())
    peer.close()
  })

  it('uses TLS when it is offered, accepts any certificate for it, and the evidence says over what', async () => {
    const receiver = await world.engine(RECEIVER, { policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
    const over: unknown[] = []
    receiver.on('pair-authenticated', ({ pair }) => over.push(pair.verifiedOver))
    const { peer, id } = await keySent()
    const call = await authority.accept()
    await call.expectHeader()
    call.sendHeader({ from: SENDER, to: RECEIVER, id: 'z8' })
    call.sendFeatures({ starttls: 'offered' })
    await call.acceptStartTls({ credentials: world.authority.issue(SENDER, { state: 'self-signed' }) })
    await call.expectHeader()
    call.sendHeader({ from: SENDER, to: RECEIVER, id: 'z9' })
    call.sendFeatures({ dialback: 'with-errors' })
    await call.expect('verify', NS_DIALBACK)
    call.send(`<db:verify from='${SENDER}' to='${RECEIVER}' id='${id}' type='valid'/>`)
    await peer.expect('result', NS_DIALBACK, { type: 'valid' })
    await world.clock.settle()
    assert.deepEqual(over, ['tls'])
    call.close()
    peer.close()
  })

  describe('[ENG-DB-a] however many strangers have it made', () => {
    const names = Array.from({ length: 5 }, (_, i) => `s${i}.example`)
    beforeEach(() => {
      for (const name of names) world.network.zone.server(name, { addresses: ['192.0.2.200'] })
    })

    /** Initiating peers from everywhere, each with a key for a sender of its own. */
    async function strangers(): Promise<readonly ScriptedPeer[]> {
      return await Promise.all(
        names.map(async (name, i) => {
          const peer = await dialPeer(world.network.transportFor(`192.0.2.${210 + i}`), { address: world.addressOf(RECEIVER), port: 5269 })
          peer.sendHeader({ from: name, to: RECEIVER })
          await peer.expectHeader()
          await peer.expectFeatures()
          peer.send(`<db:result from='${name}' to='${RECEIVER}'>the-key</db:result>`)
          return peer
        })
      )
    }

    /** The next call, answered with no. @returns for whom */
    async function refuseNext(): Promise<string> {
      const call = await authority.accept()
      const { to = '' } = await call.expectHeader()
      call.sendHeader({ from: to, to: RECEIVER, id: 'z9' })
      call.sendFeatures({ dialback: 'with-errors' })
      const { attrs } = await call.expect('verify', NS_DIALBACK)
      call.send(`<db:verify from='${to}' to='${RECEIVER}' id='${String(attrs['id'])}' type='invalid'/>`)
      call.close()
      await call.expectEnd()
      return to
    }

    it('no more than a bounded number at once; the rest wait their turn, or are told in time that there is no room', async () => {
      await world.engine(RECEIVER, { policy: inClear, limits: { verifications: 2 }, timeouts: { dialback: 10_000 } })
      const peers = await strangers()
      await world.clock.settle()
      assert.equal(authority.waiting, 2)
      const first = await refuseNext()
      await peers[names.indexOf(first)]?.expect('result', NS_DIALBACK, { type: 'invalid' })
      await world.clock.settle()
      assert.equal(authority.waiting, 2)
      await world.clock.advance(5_000)
      assert.equal(authority.waiting, 2)
      for (const peer of peers.slice(3)) {
        const result = await peer.expect('result', NS_DIALBACK, { type: 'error' })
        assert.ok(result.getChild('error')?.getChild('resource-constraint') !== undefined, result.toString())
      }
      for (const peer of peers) peer.reset()
    })

    it('nobody waits for a stream that is gone, and nobody for an engine that stops', async () => {
      const b = await world.engine(RECEIVER, { policy: inClear, limits: { verifications: 1, verificationsPerSecond: 1 } })
      let began = 0
      b.on('negotiation-started', ({ peer }) => (began += peer.purpose === 'verification' ? 1 : 0))
      const peers = await strangers()
      await world.clock.settle()
      assert.equal(authority.waiting, 1)
      for (const peer of peers.slice(1, 4)) peer.reset()
      await world.clock.settle()
      assert.equal(await refuseNext(), names[0])
      await world.clock.advance(1_000)
      assert.equal(await refuseNext(), names[4])
      assert.equal(began, 2)
      const more = await strangers()
      await world.clock.settle()
      for (const peer of [...peers, ...more]) peer.reset()
      await world.clock.settle()
      const now = world.clock.now()
      await world.run(b.stop())
      assert.deepEqual([authority.waiting, world.clock.pendingTimers, world.clock.now() - now], [0, 0, 0])
    })

    it('no more than so many in a second', async () => {
      const b = await world.engine(RECEIVER, { policy: inClear, limits: { verificationsPerSecond: 2 } })
      const began: number[] = []
      const start = world.clock.now()
      b.on('negotiation-started', ({ peer }) => {
        if (peer.purpose === 'verification') began.push(world.clock.now() - start)
      })
      const peers = await strangers()
      await world.clock.advance(3_000)
      assert.equal(began.length, 5)
      assert.equal(began.filter(at => at === 0).length, 2, "a second's worth at once")
      for (const at of began) assert.ok(began.filter(other => other > at && other <= at + 1000).length <= 2, began.join())
      for (const peer of peers) peer.reset()
    })
  })

  it('[ENG-DB-b] gets through for two engines that dial back to each other at the same moment', async () => {
    const left = await world.engine('left.example', { policy: inClear })
    const right = await world.engine('right.example', { policy: inClear })
    const links = await world.run(
      Promise.all([left.connect(pairOf('left.example', 'right.example')), right.connect(pairOf('right.example', 'left.example'))])
    )
    assert.deepEqual(
      links.map(link => link.level),
      ['plain-dialback', 'plain-dialback']
    )
    assert.equal(left.links().length, 2)
  })
})
