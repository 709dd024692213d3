import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { SUCCESS } from '../../lib/testing/peer-xml.ts'
import type { SentFeatures } from '../../lib/testing/peer-xml.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const US = 'a.example'
const THEM = 'b.example'
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl'
const NS_DIALBACK = 'jabber:server:dialback'
const LIMITS = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"
/** Whatever an attacker in clear can make of the features. */
const EVERYTHING: SentFeatures = {
  starttls: 'offered',
  mechanisms: ['EXTERNAL'],
  dialback: 'with-errors',
  bidi: true,
  other: `<sm xmlns='urn:xmpp:sm:3'/>${LIMITS}`
}

describe('what was offered in clear, to a peer of the default policy with a valid certificate', () => {
  let world: World
  let listener: PeerListener

  beforeEach(async () => {
    world = createWorld()
    const address = '192.0.2.200'
    const credentials = world.authority.issue(THEM, { now: world.clock.now() })
    const at = { host: address, port: 5269 }
    listener = await listenForPeers(world.network.transportFor(address), at, { tls: simulatedTls(), credentials })
    world.network.zone.server(THEM, { addresses: [address] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
  })

  /** Everything in clear; inside TLS, these alone. */
  async function secured(peer: ScriptedPeer, features: SentFeatures): Promise<void> {
    await peer.expectHeader({ to: THEM })
    peer.sendHeader({ from: THEM, to: US, id: '1' })
    peer.sendFeatures(EVERYTHING)
    await peer.acceptStartTls()
    await peer.expectHeader({ to: THEM })
    peer.sendHeader({ from: THEM, to: US, id: '2', dialback: false })
    peer.sendFeatures(features)
  }

  /** Above the limit that was announced in clear. */
  const long = (): Element => new Element('message', { from: `x@${US}`, to: `y@${THEM}` }).c('body').t('x'.repeat(11_000)).root()

  it('[RFC6120-5.4.3.3-a] is no offer inside TLS: no <bidi/>, no <auth/>, no key, but the end', async () => {
    const probe = (await world.engine(US)).probe(pairOf(US, THEM))
    const peer = await listener.accept()
    await secured(peer, {})
    await peer.expectStreamError('policy-violation')
    peer.close()
    const report = await world.run(probe)
    assert.deepEqual([report.level, report.error?.code], [undefined, 'S2S_NO_PROOF_LEFT'])
    assert.equal(listener.waiting, 0, 'it came back')
  })

  it('[RFC6120-5.4.3.3-a] is neither asked for nor kept to on a stream that EXTERNAL authenticates', async () => {
    const sent = (await world.engine(US)).send(long())
    const peer = await listener.accept()
    await secured(peer, { mechanisms: ['EXTERNAL'] })
    await peer.expect('auth', NS_SASL)
    peer.send(SUCCESS)
    peer.restart()
    await peer.expectHeader({ to: THEM })
    peer.sendHeader({ from: THEM, to: US, id: '3' })
    peer.sendFeatures({})
    await peer.expect('message')
    assert.equal(await world.run(sent), 'written')
    peer.close()
  })

  it('[RFC6120-5.4.3.3-a] is neither asked for nor kept to on a stream that dialback authenticates', async () => {
    const sent = (await world.engine(US)).send(long())
    const peer = await listener.accept()
    await secured(peer, { dialback: 'without-errors' })
    await peer.expect('result', NS_DIALBACK)
    peer.send(`<db:result xmlns:db='${NS_DIALBACK}' from='${THEM}' to='${US}' type='valid'/>`)
    await peer.expect('message')
    assert.equal(await world.run(sent), 'written')
    peer.close()
  })
})
