import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Stanza } from '../../lib/model/stanza.ts'
import { playReceiving } from '../../lib/testing/receiving-script.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

const BAD_REQUEST = '<error type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>'
const PAIR = pairOf('a.example', 'b.example')
const iq = (type: string | undefined, id: string, child?: Element): Element => {
  const made = new Element('iq', { from: 'a.example', to: 'b.example', id, ...(type === undefined ? {} : { type }) })
  if (child !== undefined) made.append(child)
  return made
}

describe('what the engine answers itself', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  const seen = (): { readonly stanzas: Stanza[]; readonly onStanza: (stanza: Stanza) => void } => {
    const stanzas: Stanza[] = []
    return { stanzas, onStanza: stanza => void stanzas.push(stanza) }
  }

  for (const bidi of [true, false])
    it(`[XEP0199-4.3-a] a ping of a hosted domain, with the same id, ${bidi ? 'on the same connection' : 'on a connection of its own'}`, async () => {
      const extensions = { bidi }
      const theirs = seen()
      const ours = seen()
      await world.engine('b.example', { extensions, onStanza: theirs.onStanza })
      const a = await world.engine('a.example', { extensions, onStanza: ours.onStanza })
      await world.run(a.send(iq('get', 'p1', new Element('ping', { xmlns: 'urn:xmpp:ping' }))))
      await world.clock.settle()
      assert.deepEqual(
        ours.stanzas.map(({ type, id }) => [type, id]),
        [['result', 'p1']]
      )
      assert.ok((await world.run(a.ping(PAIR))) >= 0)
      assert.deepEqual(
        [theirs.stanzas.length, ours.stanzas.length],
        [0, 1],
        'our own pings and their answers are no business of applications'
      )
    })

  it('[XEP0199-4.3-a] leaves pings to the application where it is told to, and those of users and of other requests in any case', async () => {
    const theirs = seen()
    await world.engine('b.example', { answerPings: false, onStanza: theirs.onStanza })
    const other = seen()
    await world.engine('c.example', { onStanza: other.onStanza })
    const ours = seen()
    const a = await world.engine('a.example', { onStanza: ours.onStanza })
    const ping = new Element('ping', { xmlns: 'urn:xmpp:ping' })
    await world.run(a.send(iq('get', 'p1', ping)))
    const toUser = iq('get', 'p2', ping)
    toUser.attrs['to'] = 'user@c.example'
    await world.run(a.send(toUser))
    const query = iq('get', 'p3', new Element('query', { xmlns: 'urn:x' }))
    query.attrs['to'] = 'c.example'
    await world.run(a.send(query))
    const toSession = iq('get', 'p4', ping)
    toSession.attrs['to'] = 'c.example/session'
    await world.run(a.send(toSession))
    await world.clock.settle()
    assert.deepEqual([theirs.stanzas.map(({ id }) => id), other.stanzas.map(({ id }) => id)], [['p1'], ['p2', 'p3', 'p4']])
    assert.deepEqual(ours.stanzas, [], 'and the engine answers none of them')
  })

  it('[RFC6120-8.2.3-a] an iq of no type or an unknown one, with bad-request; the stream goes on', async () => {
    const theirs = seen()
    const ours = seen()
    await world.engine('b.example', { onStanza: theirs.onStanza })
    const a = await world.engine('a.example', { onStanza: ours.onStanza })
    for (const [type, id] of [
      [undefined, 'i1'],
      ['fetch', 'i2'],
      ['set', 'i3']
    ] as const)
      assert.equal(await world.run(a.send(iq(type, id))), 'acknowledged')
    await world.clock.settle()
    assert.deepEqual(
      ours.stanzas.map(({ type, id, element }) => [type, id, String(element.getChild('error'))]),
      [
        ['error', 'i1', BAD_REQUEST],
        ['error', 'i2', BAD_REQUEST]
      ]
    )
    assert.deepEqual(
      theirs.stanzas.map(({ id }) => id),
      ['i3']
    )
  })
})

describe('a ping that is not answered', () => {
  it('fails after its time, when it is called off, when it cannot be sent, and when the engine stops', async () => {
    const world = createWorld()
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    listener.serve(peer => playReceiving(peer, { domain: 'b.example' }).then(() => undefined))
    const a = await world.engine('a.example', { timeouts: { ping: 10_000 } })
    const began = world.clock.now()
    assert.equal((await world.run(rejection(a.ping(PAIR)))).code, 'S2S_TIMEOUT')
    assert.equal(world.clock.now() - began, 10_000)
    const enough = new AbortController()
    const aborted = rejection(a.ping(PAIR, { signal: enough.signal }))
    await world.clock.settle()
    enough.abort()
    assert.equal((await aborted).code, 'S2S_ABORTED')
    assert.equal((await world.run(rejection(a.ping(pairOf('a.example', 'nowhere.example'))))).code, 'S2S_DNS_NO_SERVICE')
    assert.equal((await rejection(a.ping(pairOf('x.example', 'b.example')))).code, 'S2S_NOT_HOSTED')
    const late = rejection(a.ping(PAIR))
    await world.clock.settle()
    await world.stop()
    assert.equal((await late).code, 'S2S_STOPPED')
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })
})
