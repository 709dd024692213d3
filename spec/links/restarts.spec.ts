import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import { policies } from '../../lib/policy/presets.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld, rejection } from '../world.ts'
import type { World } from '../world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const STANZAS = 5
const MOST_DIALS = 3

type End = (peer: ScriptedPeer) => void

/** How a server ends a stream that goes down, or begins anew. */
const RESTARTS: readonly (readonly [what: string, code: string, end: End])[] = [
  ['system-shutdown', 'S2S_STREAM_ERROR_RECEIVED', peer => peer.sendStreamError('system-shutdown')],
  ['reset', 'S2S_STREAM_ERROR_RECEIVED', peer => peer.sendStreamError('reset')],
  ['a closing tag and no word', 'S2S_STREAM_CLOSED', peer => peer.close()]
]

describe('a peer that ends a stream before anything got through', () => {
  let world: World
  let listener: PeerListener
  let a: Federation
  let dials: number
  const send = (id: string): Promise<unknown> => a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id }))
  const sendAll = (): readonly Promise<unknown>[] => Array.from({ length: STANZAS }, (_, i) => send(`${i}`))

  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }) })
    dials = 0
    a.on('negotiation-started', () => (dials += 1))
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  /** A link is authenticated, and in the same breath something else is said. */
  async function authenticate(peer: ScriptedPeer, features = ''): Promise<void> {
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors', other: features })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
  }

  async function gone(peer: ScriptedPeer): Promise<void> {
    for (let frame = await peer.next(); frame !== undefined;) frame = await peer.next()
  }

  for (const [what, code, end] of RESTARTS)
    describe(`with ${what}`, () => {
      for (const features of ['', `<sm xmlns='${NS_SM}'/>`])
        it(`is dialled once more at once, and takes all in order, ${features === '' ? 'without' : 'with'} stream management`, async () => {
          const sent = Promise.all(sendAll())
          for (let restarts = 0; restarts < MOST_DIALS - 1; restarts += 1) {
            const peer = await listener.accept()
            await authenticate(peer, features)
            end(peer)
            await gone(peer)
          }
          const peer = await listener.accept()
          await authenticate(peer, features)
          if (features !== '') {
            await peer.expect('enable')
            peer.send(`<enabled xmlns='${NS_SM}'/>`)
          }
          for (let id = 0; id < STANZAS; id += 1) await peer.expect('message', undefined, { id: `${id}` })
          if (features !== '') peer.send(`<a xmlns='${NS_SM}' h='${STANZAS}'/>`)
          assert.deepEqual(new Set(await world.run(sent)), new Set([features === '' ? 'written' : 'acknowledged']))
          peer.hangUp()
          await gone(peer)
        })

      it('is dialled no more than so often in a row, and what waits is bounced then', async () => {
        listener.serve(async peer => {
          await authenticate(peer)
          end(peer)
          await gone(peer)
        })
        const before = world.clock.now()
        const errors = await world.run(Promise.all(sendAll().map(rejection)))
        assert.deepEqual(new Set(errors.map(error => error.code)), new Set([code]))
        assert.deepEqual([dials, world.clock.now() - before], [MOST_DIALS, 0])
        assert.equal(a.routes()[0]?.state, 'bounce')
      })

      it('is given as many tries again once something got through', async () => {
        let links = 0
        listener.serve(async peer => {
          links += 1
          await authenticate(peer)
          if (links % MOST_DIALS === 0) await peer.expect('message')
          end(peer)
          await gone(peer)
        })
        for (let id = 0; id < 3; id += 1) {
          assert.equal(await world.run(send(`${id}`)), 'written')
          await world.clock.settle()
        }
        assert.equal(dials, 3 * MOST_DIALS)
      })
    })

  it('is given as many tries from then on, if something waits that came too late for a link on which others got through', async () => {
    const first = send('0')
    let peer = await listener.accept()
    await authenticate(peer)
    assert.equal(await world.run(first), 'written')
    peer.send('</stream:stream>')
    await world.clock.settle()
    const late = send('1')
    peer.hangUp()
    await gone(peer)
    for (let restarts = 0; restarts < MOST_DIALS - 1; restarts += 1) {
      peer = await listener.accept()
      await authenticate(peer)
      peer.close()
      await gone(peer)
    }
    peer = await listener.accept()
    await authenticate(peer)
    await peer.expect('message', undefined, { id: '1' })
    assert.equal(await world.run(late), 'written')
    peer.close()
    await gone(peer)
  })

  it('is given no fewer tries for a stream of its own that ended before anything flowed back', async () => {
    await a.setPolicy(undefined)
    const credentials = world.authority.issue('b.example', { now: world.clock.now() })
    const from = world.network.transportFor('192.0.2.200')
    const own = await dialPeer(from, { address: world.addressOf('a.example'), port: 5269 }, { tls: simulatedTls(), credentials })
    const greet = async (): Promise<void> => {
      own.sendHeader({ from: 'b.example', to: 'a.example' })
      await own.expectHeader()
      await own.expectFeatures()
    }
    await greet()
    await own.startTls()
    await greet()
    own.send(`<bidi xmlns='urn:xmpp:bidi'/><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`)
    await own.expect('success')
    own.restart()
    await greet()
    await world.clock.settle()
    const [wire] = world.network.wires
    wire?.reset(0)
    const links: (string | undefined)[] = []
    a.on('route-changed', ({ route }) => links.push(route.link))
    const back = a.links()[0]?.id
    const sent = send('0')
    for (let restarts = 0; restarts < MOST_DIALS - 1; restarts += 1) {
      const peer = await listener.accept()
      await authenticate(peer)
      peer.sendStreamError('system-shutdown')
      await gone(peer)
    }
    const peer = await listener.accept()
    await authenticate(peer)
    await peer.expect('message', undefined, { id: '0' })
    assert.equal(await world.run(sent), 'written')
    assert.deepEqual(links.slice(0, 3), [undefined, back, undefined], 'it was handed to the stream of the peer before')
    peer.close()
    await gone(peer)
  })

  it('with anything else is not dialled again before its retry time', async () => {
    listener.serve(async peer => {
      await authenticate(peer)
      peer.sendStreamError('policy-violation')
      await gone(peer)
    })
    const errors = await world.run(Promise.all(sendAll().map(rejection)))
    assert.deepEqual(new Set(errors.map(error => error.code)), new Set(['S2S_STREAM_ERROR_RECEIVED']))
    assert.equal(dials, 1)
  })
})
