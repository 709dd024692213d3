import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { bounce } from '../../lib/links/bounce.ts'
import { domain } from '../../lib/model/domain.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import { createWorld, rejection } from '../world.ts'
import type { World } from '../world.ts'

interface Ltx {
  readonly Element: unknown
  readonly parse: (xml: string) => Element
}

/** For import and for require. */
const BUILDS = ['src', 'lib'].map(build => new URL(`../../node_modules/ltx/${build}/ltx.js`, import.meta.url).href)

describe('what is given to send', () => {
  let world: World
  let a: Federation
  const received: string[] = []

  beforeEach(async () => {
    world = createWorld()
    received.length = 0
    await world.engine('b.example', { onStanza: ({ element }) => void received.push(element.getChildText('body') ?? '') })
    a = await world.engine('a.example')
  })
  afterEach(() => world.stop())

  it('may be an element of another copy of ltx, such as that of its other build; it bounces as well', async () => {
    const builds = (await Promise.all(BUILDS.map(build => import(build)))) as readonly Ltx[]
    const other = builds.find(build => build.Element !== Element) ?? assert.fail('both builds are this one')
    const foreign = other.parse("<message from='a@a.example' to='b@b.example' id='1'><body>hi</body></message>")
    await world.run(a.send(foreign))
    await world.clock.settle()
    assert.deepEqual(received, ['hi'])
    assert.equal(bounce(foreign, new FederationError('S2S_DNS_NO_SERVICE'))?.attrs['to'], 'a@a.example')
  })

  const message = (from: string, to: string, body: string): Element => new Element('message', { from, to }).c('body').t(body).up()

  it('[ENG-NAME-b] leaves under the one spelling of its domains; the rest of its addresses, and the element itself, stay as they are', async () => {
    const peer = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('xn--mnchen-3ya.example', { addresses: ['192.0.2.200'] })
    const c = await world.engine('c.example', { policy: policies.ladder({ tls: 'never' }), extensions: { streamManagement: false } })
    const given = message('X@C.Example./Res', 'Y@MÜNCHEN.example.', 'hi')
    const sent = c.send(given)
    const scripted = await peer.accept()
    const header = await scripted.expectHeader()
    scripted.sendHeader({ from: 'münchen.example', to: 'c.example', id: '1' })
    scripted.sendFeatures({ dialback: 'with-errors' })
    await scripted.expect('result')
    scripted.send(`<db:result from='münchen.example' to='c.example' type='valid'/>`)
    const arrived = await scripted.expect('message')
    assert.deepEqual([arrived.attrs['from'], arrived.attrs['to']], ['X@c.example/Res', 'Y@münchen.example'])
    assert.equal(header.to, 'münchen.example')
    assert.equal(given.attrs['to'], 'Y@MÜNCHEN.example.')
    assert.equal(await world.run(sent), 'written')
    scripted.close()
    await peer.close()
  })

  it('may be a stanza that was received, as its handler has changed it, and nothing that only looks like one', async () => {
    const c = await world.engine('c.example', {
      onStanza: stanza => {
        stanza.element.getChild('body')?.children.splice(0, 1, 'changed')
        void c.send(stanza.readdressed({ from: 'x@c.example', to: 'y@b.example' }))
      }
    })
    await world.run(a.send(message('a@a.example', 'c@c.example', 'as it was')))
    await world.clock.settle()
    assert.deepEqual(received, ['changed'])
    const from = { local: 'x', domain: domain('a.example'), resource: undefined, text: 'x@a.example' }
    const forged = { name: 'message', from, to: from, id: undefined, type: undefined, bytes: Buffer.from('<x'), element: undefined }
    for (const value of [forged, { ...forged, from: null }, { ...forged, from: 'x@a' }])
      assert.equal((await rejection(a.send(value as never))).code, 'S2S_ADDRESS')
    assert.equal(a.links().length, 1)
  })

  it('[ENG-NAME-b] may be a stanza that was received and readdressed in any spelling, without its element having been asked for', async () => {
    const ends: string[] = []
    const c = await world.engine('c.example', {
      onStanza: async stanza => {
        ends.push(await c.send(stanza.readdressed({ from: 'X@C.Example./Res', to: 'Y@B.example.' })))
        ends.push((await rejection(c.send(stanza))).code)
      }
    })
    await world.run(a.send(message('a@A.example.', 'c@C.EXAMPLE', 'hi')))
    await world.clock.settle()
    assert.deepEqual(received, ['hi'])
    assert.deepEqual(ends, ['acknowledged', 'S2S_NOT_HOSTED'])
  })
})
