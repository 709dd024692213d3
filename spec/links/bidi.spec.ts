import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const NS_SM = 'urn:xmpp:sm:3'
const SM = `xmlns='${NS_SM}'`
const FEATURE = `<sm ${SM}/>`
const ack = (h: number): string => `<a ${SM} h='${h}'/>`
const PAIR = pairOf('a.example', 'b.example')
const stanza = (id: string, from = 'y@b.example', to = 'x@a.example'): string => `<message from='${from}' to='${to}' id='${id}'/>`
const key = (from: string, to = 'a.example'): string => `<db:result from='${from}' to='${to}'>KEY</db:result>`

describe('an outgoing link that goes both ways', () => {
  let world: World
  let listener: PeerListener
  let engine: Federation
  let heard: string[]

  beforeEach(() => {
    world = createWorld()
    heard = []
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  async function begin(options: Partial<FederationOptions> = {}, state: CertificateState = 'valid', alsoFor: readonly string[] = []) {
    const at = { host: '192.0.2.200', port: 5269 }
    const credentials = world.authority.issue('b.example', { state, alsoFor, now: world.clock.now() })
    listener = await listenForPeers(world.network.transportFor(at.host), at, {
      tls: simulatedTls(),
      ...(credentials === undefined ? {} : { credentials })
    })
    world.network.zone.server('b.example', { addresses: [at.host] })
    engine = await world.engine('a.example', { onStanza: ({ id = '' }) => void heard.push(id), ...options })
  }

  /** The peer's side, as far as its features inside TLS. */
  async function offering(features: Parameters<ScriptedPeer['sendFeatures']>[0]): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ starttls: 'offered', bidi: true })
    await peer.acceptStartTls()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '2' })
    peer.sendFeatures(features)
    return peer
  }

  const valid = (peer: ScriptedPeer): void => peer.send("<db:result from='b.example' to='a.example' type='valid'/>")

  /** A link by dialback on which stanzas come back. */
  async function bidirectional(
    options: Partial<FederationOptions> = {},
    other = '',
    alsoFor: readonly string[] = []
  ): Promise<ScriptedPeer> {
    await begin(options, 'valid', alsoFor)
    const connected = engine.connect(PAIR)
    const peer = await offering({ dialback: 'with-errors', bidi: true, other })
    const asked = await peer.expect('bidi', 'urn:xmpp:bidi')
    assert.equal(asked.getChild('limits', 'urn:xmpp:stream-limits:0')?.getChildText('max-bytes'), '524288')
    await peer.expect('result')
    valid(peer)
    await world.run(connected)
    return peer
  }

  it('[XEP0288-2.2-a] asks inside TLS, before EXTERNAL, and delivers what comes back over the restart', async () => {
    await begin()
    const connected = engine.connect(PAIR)
    const peer = await offering({ mechanisms: ['EXTERNAL'], bidi: true })
    await peer.expect('bidi', 'urn:xmpp:bidi')
    await peer.expect('auth')
    peer.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    peer.restart()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '3' })
    peer.sendFeatures({})
    peer.send(stanza('1'))
    const link = await world.run(connected)
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    assert.deepEqual(
      link.pairs.map(({ pair, flow, level, peerIdentity }) => [pair.sender, flow, level, peerIdentity]),
      [
        ['a.example', 'send', 'sasl-external', 'pkix'],
        ['b.example', 'receive', 'sasl-external', 'pkix']
      ]
    )
    peer.close()
  })

  for (const [what, options, state, code] of [
    ['it is not offered inside TLS', {}, 'valid', 'absent not-offered'],
    ['it is switched off', { extensions: { bidi: false } }, 'valid', 'skipped switched-off'],
    [
      'the certificate authenticates nobody',
      { policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) },
      'expired',
      'skipped certificate-not-valid'
    ],
    [
      'the incoming policy refuses the peer',
      { policy: { admit: ({ direction }) => (direction === 'incoming' ? 'refuse' : undefined) } },
      'valid',
      'skipped policy'
    ],
    [
      'the incoming policy takes another proof',
      { policy: { proofs: ({ direction }) => (direction === 'incoming' ? ['sasl-external'] : undefined) } },
      'valid',
      'skipped policy'
    ],
    [
      'the incoming floor is higher',
      { policy: { minimumLevel: ({ direction }) => (direction === 'incoming' ? 'sasl-external' : undefined) } },
      'valid',
      'skipped below-floor'
    ],
    [
      'a guard pins another certificate',
      {
        guards: [
          { kind: 'guard', name: 'pin', pins: ({ direction }) => (direction === 'incoming' ? [{ leaf256: '00'.repeat(32) }] : undefined) }
        ]
      },
      'valid',
      'skipped certificate-not-valid'
    ]
  ] as readonly (readonly [string, Partial<FederationOptions>, CertificateState, string])[]) {
    it(`[XEP0288-2.2-a] does not ask where ${what}, [ENG-BIDI-a] and then delivers nothing that comes`, async () => {
      await begin(options, state)
      const connected = engine.connect(PAIR)
      const peer = await offering({ dialback: 'with-errors', bidi: code !== 'absent not-offered' })
      await peer.expect('result')
      valid(peer)
      const link = await world.run(connected)
      const told = link.report.trace.filter(({ step }) => step === 'bidi').map(entry => `${entry.outcome} ${entry.code}`)
      assert.deepEqual(told, [code])
      peer.send(stanza('1'))
      await peer.expectStreamError('unsupported-stanza-type')
      assert.deepEqual(heard, [])
      peer.close()
    })
  }

  it('[XEP0288-2.2-a] does not ask in clear, and a probe, which keeps nothing, never', async () => {
    await begin({ policy: policies.ladder({ tls: 'never' }) })
    const probed = engine.probe(PAIR)
    for (const _ of ['probe', 'link']) {
      if (_ === 'link') void engine.connect(PAIR)
      const peer = await listener.accept()
      await peer.expectHeader()
      peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
      peer.sendFeatures({ dialback: 'with-errors', bidi: true })
      await peer.expect('result')
      valid(peer)
      if (_ === 'probe') {
        await peer.expectClose()
        peer.close()
        await world.run(probed)
      } else peer.close()
    }
  })

  for (const [what, xml, condition] of [
    ['another domain of the peer', stanza('1', 'y@c.example'), 'invalid-from'],
    ['a subdomain', stanza('1', 'y@sub.b.example'), 'invalid-from'],
    ['our own domain', stanza('1', 'x@a.example', 'y@b.example'), 'invalid-from'],
    ['the peer to somebody else', stanza('1', 'y@b.example', 'x@c.example'), 'host-unknown'],
    ['nobody', "<message to='x@a.example'/>", 'improper-addressing']
  ] as const) {
    it(`[XEP0288-2.2-d] ends the stream with ${condition} for a stanza from ${what}, and delivers nothing`, async () => {
      const peer = await bidirectional()
      peer.send(xml + stanza('2'))
      await peer.expectStreamError(condition)
      assert.deepEqual(heard, [])
      peer.close()
    })
  }

  it('[XEP0198-4-a] counts what comes back from <enabled/> on, answers with it, and says it last', async () => {
    const peer = await bidirectional({}, FEATURE)
    await peer.expect('enable', NS_SM)
    peer.send(`${stanza('0')}<enabled ${SM}/>${stanza('1')}${stanza('2')}<r ${SM}/>`)
    await peer.expect('a', NS_SM, { h: '2' })
    const sent = engine.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id: 'm' }))
    await peer.expect('message')
    await peer.expect('r', NS_SM)
    peer.send(ack(1))
    assert.equal(await world.run(sent), 'acknowledged')
    peer.send(`${stanza('3')}</stream:stream>`)
    await peer.expect('a', NS_SM, { h: '3' })
    await peer.expectClose()
    assert.deepEqual(heard, ['0', '1', '2', '3'])
    peer.hangUp()
  })

  it('goes on with a link of its own when the peer has closed it, keeps the connection and has a handler busy', async () => {
    const gates: (() => void)[] = []
    const peer = await bidirectional({
      onStanza: ({ id = '' }) => {
        heard.push(id)
        return new Promise<void>(resolve => gates.push(resolve))
      }
    })
    const closed: unknown[] = []
    engine.on('link-closed', ({ error }) => closed.push(error))
    peer.send(`${stanza('1')}${stanza('2')}</stream:stream>`)
    await world.clock.settle()
    const sent = engine.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id: 'm' })).catch(() => undefined)
    const next = listener.accept()
    await world.clock.advance(9_999)
    assert.doesNotMatch(peer.transcript, /← .*<\/stream:stream>/)
    await world.clock.advance(1)
    await peer.expectClose()
    peer.hangUp()
    const again = await world.run(next)
    assert.deepEqual([heard, closed], [['1'], []])
    gates[0]?.()
    await world.clock.settle()
    assert.deepEqual([heard, closed], [['1', '2'], []], 'what came is handed over however long it takes')
    gates[1]?.()
    await world.clock.settle()
    assert.deepEqual(closed, [undefined])
    again.reset()
    await world.run(sent)
  })

  it('delivers what the peer still sends after our closing tag', async () => {
    const peer = await bidirectional()
    const closing = engine.links().map(link => link.close())
    await peer.expectClose()
    peer.send(stanza('late'))
    peer.close()
    await world.run(Promise.all(closing))
    assert.deepEqual(heard, ['late'])
  })

  it('[XEP0220-2.2.2-a] answers db:verify on it as anywhere', async () => {
    const peer = await bidirectional()
    peer.send("<db:verify from='c.example' to='a.example' id='z'>nonsense</db:verify>")
    await peer.expect('verify', undefined, { from: 'a.example', to: 'c.example', id: 'z', type: 'invalid' })
    peer.send("<db:verify from='c.example' to='elsewhere.example' id='z'>nonsense</db:verify>")
    await peer.expect('verify', undefined, { type: 'error' })
    peer.close()
  })

  it('[XEP0288-2.2-e] takes a further domain of the peer that its certificate covers, and answers on the same stream', async () => {
    const peer = await bidirectional({}, '', ['conference.b.example'])
    peer.send(key('conference.b.example'))
    await peer.expect('result', undefined, { from: 'a.example', to: 'conference.b.example', type: 'valid' })
    peer.send(stanza('1', 'room@conference.b.example') + stanza('2'))
    await world.clock.settle()
    assert.deepEqual(heard, ['1', '2'])
    assert.deepEqual(
      engine.links()[0]?.pairs.map(({ pair, flow, level }) => `${flow} ${pair.sender} ${level}`),
      ['send a.example tls-dialback', 'receive b.example tls-dialback', 'receive conference.b.example tls-dialback']
    )
    peer.send(stanza('3', 'room@conference.b.example', 'x@other.example'))
    await peer.expectStreamError('host-unknown')
    peer.close()
  })

  it('[XEP0288-2.2-e] has the key of a domain that it does not cover verified on a connection of its own', async () => {
    const policy = policies.ladder({ invalidCertificate: 'encrypt-only' })
    const peer = await bidirectional({ policy })
    world.network.zone.server('c.example', { addresses: ['192.0.2.200'] })
    peer.send(key('c.example'))
    const authority = await listener.accept()
    await authority.expectHeader({ from: 'a.example', to: 'c.example' })
    authority.sendHeader({ from: 'c.example', to: 'a.example', id: 'z' })
    authority.sendFeatures({ dialback: 'with-errors' })
    await authority.expect('verify', undefined, { from: 'a.example', to: 'c.example', id: '2' })
    await peer.expectNothing()
    authority.send("<db:verify from='c.example' to='a.example' id='2' type='valid'/>")
    await peer.expect('result', undefined, { from: 'a.example', to: 'c.example', type: 'valid' })
    peer.send(stanza('1', 'y@c.example'))
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    authority.close()
    peer.close()
  })

  it('[XEP0288-2.2-f] answers with dialback errors that keep the stream, in either direction', async () => {
    const peer = await bidirectional({ policy: { admit: ({ remote }) => (remote === 'blocked.example' ? 'refuse' : undefined) } })
    for (const [from, to, condition] of [
      ['c.example', 'elsewhere.example', 'item-not-found'],
      ['a.example', 'a.example', 'not-authorized'],
      ['blocked.example', 'a.example', 'not-authorized']
    ] as const) {
      peer.send(key(from, to))
      const answer = await peer.expect('result', undefined, { from: to, to: from, type: 'error' })
      assert.ok(answer.getChild('error')?.getChild(condition), answer.toString())
    }
    peer.send(stanza('1'))
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    peer.close()
  })

  it('[XEP0288-2.2-f] tells of one key that it refuses, and is closed politely where many are', async () => {
    const peer = await bidirectional()
    const warnings: unknown[] = []
    engine.on('warning', ({ error }) => warnings.push(error.condition))
    for (let n = 1; n <= 7; n += 1) {
      peer.send(key(`x${n}.example`, 'nobody.example'))
      await peer.expect('result', undefined, { from: 'nobody.example', to: `x${n}.example`, type: 'error' })
    }
    await world.clock.settle()
    assert.deepEqual([warnings, engine.links().length], [['item-not-found'], 1])
    peer.send(stanza('1') + key('x8.example', 'nobody.example'))
    await peer.expect('result', undefined, { type: 'error' })
    await peer.expectClose()
    peer.send(Array.from({ length: 500 }, (_, n) => key(`y${n}.example`, 'nobody.example')).join('') + stanza('2'))
    peer.close()
    await world.clock.advance(10_000)
    assert.deepEqual([heard, warnings.length, engine.links().length], [['1', '2'], 1, 0])
  })

  it('[XEP0220-3.1-a] lets no answer that nobody asked for authenticate anybody', async () => {
    const peer = await bidirectional()
    peer.send("<db:result from='c.example' to='a.example' type='valid'/><db:verify from='c.example' to='a.example' id='2' type='valid'/>")
    peer.send(stanza('1', 'y@c.example'))
    await peer.expectStreamError('invalid-from')
    assert.deepEqual(heard, [])
    peer.close()
  })

  it('[XEP0198-4-a] resumes a stream with the count of what came back on it, and goes on counting', async () => {
    const peer = await bidirectional({}, FEATURE)
    await peer.expect('enable', NS_SM)
    peer.send(`<enabled ${SM} id='s' resume='true'/>${stanza('1')}${stanza('2')}`)
    await world.clock.settle()
    const sent = engine.send(new Element('message', { from: 'x@a.example', to: 'y@b.example', id: 'm' }))
    await peer.expect('message')
    await peer.expect('r', NS_SM)
    peer.reset()
    const next = await offering({ dialback: 'with-errors', bidi: true, other: FEATURE })
    await next.expect('bidi')
    await next.expect('result')
    valid(next)
    await next.expect('resume', NS_SM, { previd: 's', h: '2' })
    next.send(`${stanza('uncounted')}<resumed ${SM} previd='s' h='0'/>${stanza('3')}<r ${SM}/>`)
    await next.expect('message', undefined, { id: 'm' })
    await next.expect('r', NS_SM)
    await next.expect('a', NS_SM, { h: '3' })
    next.send(ack(1))
    assert.equal(await world.run(sent), 'acknowledged')
    assert.deepEqual(heard, ['1', '2', 'uncounted', '3'])
    next.close()
  })

  it('takes what comes back for a pair that has joined, in the same breath as the answer to its key', async () => {
    const credentials = world.authority.issue('a.example', { alsoFor: ['c.example'], now: world.clock.now() })
    const domains = { 'a.example': credentials, 'c.example': credentials }
    const policy = { proofs: () => ['dialback' as const] }
    const peer = await bidirectional({ domains, policy })
    const joined = engine.connect(pairOf('c.example', 'b.example'))
    await peer.expect('result', undefined, { from: 'c.example', to: 'b.example' })
    peer.send(`<db:result from='b.example' to='c.example' type='valid'/>${stanza('1', 'y@b.example', 'z@c.example')}`)
    const link = await world.run(joined)
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
    assert.deepEqual(
      link.pairs.map(({ pair, flow }) => `${flow} ${pair.sender} ${pair.target}`),
      ['send a.example b.example', 'send c.example b.example', 'receive b.example a.example', 'receive b.example c.example']
    )
    peer.close()
  })

  it('lets no pair join for whose other direction policy has no good word', async () => {
    const credentials = world.authority.issue('a.example', { alsoFor: ['c.example'], now: world.clock.now() })
    const domains = { 'a.example': credentials, 'c.example': credentials }
    const peer = await bidirectional({
      domains,
      policy: {
        proofs: () => ['dialback' as const],
        admit: ({ direction, local }) => (direction === 'incoming' && local === 'c.example' ? 'refuse' : undefined)
      }
    })
    void engine.connect(pairOf('c.example', 'b.example')).catch(() => undefined)
    const own = await listener.accept()
    await own.expectHeader({ from: 'c.example' })
    await peer.expectNothing()
    own.close()
    peer.close()
  })

  it('ends when settings change so that what comes back would not be taken any more', async () => {
    const peer = await bidirectional()
    await world.run(engine.setPolicy({ admit: ({ direction }) => (direction === 'incoming' ? 'refuse' : undefined) }))
    await peer.expectStreamError('reset')
    peer.send(stanza('1'))
    peer.close()
    await world.clock.settle()
    assert.deepEqual(engine.links(), [])
    assert.deepEqual(heard, [])
  })

  it('reads on behind a busy handler as far as bytes and count allow, and no further', async () => {
    const text = `<body>${'x'.repeat(600)}</body>`
    const large = (id: string): string => stanza(id).replace('/>', `>${text}</message>`)
    for (const [behind, isRead] of [
      [large('2'), true],
      [large('2') + large('3'), false],
      [stanza('2') + stanza('3') + stanza('4'), true],
      [stanza('2').repeat(9), false]
    ] as const) {
      let release: () => void = () => undefined
      const busy = new Promise<void>(resolve => (release = resolve))
      const peer = await bidirectional({ onStanza: () => busy, limits: { unackedBytes: 1_000, unackedStanzas: 9 } })
      peer.send(stanza('1') + behind)
      await world.clock.settle()
      // What ends the link as soon as it is read.
      peer.send(stanza('wrong', 'y@elsewhere.example'))
      await world.clock.settle()
      assert.equal(engine.routes()[0]?.state, isRead ? 'queue' : 'send', behind)
      release()
      await world.stop()
      await listener.close()
    }
  })

  it('[XEP0205-c] does not read a peer that asks and never listens, and does again when it listens', async () => {
    const peer = await bidirectional({ limits: { unackedBytes: 2_000 } }, FEATURE)
    await peer.expect('enable', NS_SM)
    peer.send(`<enabled ${SM}/>`)
    await world.clock.settle()
    const [wire] = world.network.wires
    wire?.stall('initiating')
    peer.send(`<r ${SM}/>`.repeat(5_000))
    await world.clock.settle()
    peer.send(stanza('1'))
    await world.clock.settle()
    assert.deepEqual(heard, [])
    wire?.resume('initiating')
    await world.clock.settle()
    assert.deepEqual(heard, ['1'])
  })
})
