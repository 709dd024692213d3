import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import type { Report } from '../lib/model/report.ts'
import type { Stanza } from '../lib/model/stanza.ts'
import { policies } from '../lib/policy/presets.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const message = (id: string, from = 'juliet@a.example', to = 'romeo@b.example'): Element =>
  new Element('message', { from, to, id }).c('body').t(id).root()

describe('a federation engine', () => {
  let world: World
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)

  before(() => process.on('unhandledRejection', note))
  after(() => process.off('unhandledRejection', note))
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual(unhandled, [])
    assert.equal(world.clock.pendingTimers, 0)
    assert.equal(world.network.wires.length, 0)
  })

  it('[RFC6120-10.1-a] delivers the stanzas of a pair in order, those that waited for the link and those of the next one', async () => {
    const received: string[] = []
    await world.engine('b.example', { onStanza: stanza => void received.push(stanza.id ?? '') })
    const a = await world.engine('a.example')
    const sent = Array.from({ length: 50 }, (_, i) => a.send(message(`${i}`)))
    assert.deepEqual(new Set(await world.run(Promise.all(sent))), new Set(['acknowledged']))
    for (const link of a.links()) await world.run(link.close())
    const more = Array.from({ length: 50 }, (_, i) => a.send(message(`${50 + i}`)))
    await world.run(Promise.all(more))
    await world.clock.settle()
    assert.deepEqual(
      received,
      Array.from({ length: 100 }, (_, i) => `${i}`)
    )
  })

  it('shares one negotiation among all who want the same pair', async () => {
    const b = await world.engine('b.example')
    const a = await world.engine('a.example')
    let negotiations = 0
    b.on('negotiation-started', ({ peer }) => (negotiations += peer.direction === 'incoming' ? 1 : 0))
    const pair = pairOf('a.example', 'b.example')
    const [one, other] = await world.run(Promise.all([a.connect(pair), a.connect(pair), a.send(message('1'))]))
    assert.equal(one, other)
    assert.equal(negotiations, 1)
    assert.equal(one.level, 'sasl-external')
    assert.deepEqual(one.pairs[0], { pair, flow: 'send', level: 'sasl-external', peerIdentity: 'pkix' })
  })

  it('[RFC7590-3.6-a] shows on a link how it is encrypted and whom its certificate names', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    assert.equal(link.tls?.protocol, 'TLS 1.3')
    assert.ok(link.certificate?.valid)
    assert.ok(link.certificate.names.includes('b.example'))
    assert.ok(link.certificate.notAfter !== undefined)
  })

  it('hands an application the parsed addresses, the tree and self-contained bytes of each stanza', async () => {
    const received: Stanza[] = []
    await world.engine('b.example', { onStanza: stanza => void received.push(stanza) })
    const a = await world.engine('a.example')
    await world.run(a.send(message('1', 'juliet@a.example/balcony')))
    await world.clock.settle()
    const [stanza] = received
    assert.deepEqual(stanza?.from, { local: 'juliet', domain: 'a.example', resource: 'balcony', text: 'juliet@a.example/balcony' })
    assert.equal(stanza.element.getChildText('body'), '1')
    assert.match(stanza.bytes.toString(), /^<message xmlns=["']jabber:server["']/)
  })

  it('[RFC6120-8.1.5-a] gives a stanza the language of the stream it came on, so that it keeps it on the next', async () => {
    const received: Stanza[] = []
    await world.engine('b.example', { onStanza: stanza => void received.push(stanza) })
    const a = await world.engine('a.example')
    await world.run(a.send(message('1')))
    await world.clock.settle()
    assert.equal(received[0]?.element.attrs['xml:lang'], 'en')
    assert.match(received[0].readdressed({ to: 'x@c.example' }).bytes.toString(), /xml:lang=["']en["']/)
  })

  const unsendable: readonly (readonly [string, Element, ErrorCode, RegExp])[] = [
    ['without to', new Element('message', { from: 'a@a.example' }), 'S2S_ADDRESS', /no to/],
    ['without from', new Element('message', { to: 'b@b.example' }), 'S2S_ADDRESS', /no from/],
    ['with an unusable from', message('1', 'a@@a.example'), 'S2S_ADDRESS', /from "a@@a.example"/],
    ['from a domain that is not hosted', message('1', 'a@c.example'), 'S2S_NOT_HOSTED', /c\.example is not a domain of this engine/],
    ['that is no stanza', new Element('features', { from: 'a@a.example', to: 'b@b.example' }), 'S2S_ADDRESS', /features/],
    ['between two hosted domains', message('1', 'a@a.example', 'b@rooms.a.example'), 'S2S_LOCAL_DOMAIN', /rooms\.a\.example/]
  ]
  for (const [what, stanza, code, says] of unsendable)
    it(`rejects a stanza ${what} without any I/O, and names the fault`, async () => {
      const a = await world.engine('a.example', { domains: { 'a.example': undefined, 'rooms.a.example': undefined } })
      const error = await rejection(a.send(stanza))
      assert.equal(error.code, code)
      assert.match(error.message, says)
      assert.equal(world.network.zone.lookups.length, 0)
    })

  it('[RFC6120-3.2.4-a] looks a subdomain up by itself', async () => {
    const a = await world.engine('a.example')
    const error = await world.run(rejection(a.send(message('1', 'a@a.example', 'room@rooms.b.example'))))
    assert.equal(error.code, 'S2S_DNS_NO_SERVICE')
    assert.equal(error.stanzaCondition, 'remote-server-not-found')
    const names = world.network.zone.lookups.map(lookup => lookup.name)
    assert.deepEqual([...new Set(names)].sort(), [
      '_xmpp-server._tcp.rooms.b.example',
      '_xmpps-server._tcp.rooms.b.example',
      'rooms.b.example'
    ])
  })

  it('[RFC6120-3.3-a] bounces at once after a failure, for a random and growing time, and dials again afterwards', async () => {
    const a = await world.engine('a.example', { random: () => 0.5 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.99'] })
    const first = await world.run(rejection(a.send(message('1'))))
    assert.equal(first.code, 'S2S_CONNECT_FAILED')
    const lookups = world.network.zone.lookups.length
    const second = await rejection(a.send(message('2')))
    assert.equal(second, first)
    assert.equal(world.network.zone.lookups.length, lookups)
    await world.clock.advance(30_001)
    await world.run(rejection(a.send(message('3'))))
    assert.ok(world.network.zone.lookups.length > lookups)
    await world.clock.advance(30_001)
    const again = world.network.zone.lookups.length
    await rejection(a.send(message('4')))
    assert.equal(world.network.zone.lookups.length, again, 'the second wait is no longer than the first')
  })

  it('tells of each stanza that is not sent, and needs nobody to await it', async () => {
    const a = await world.engine('a.example')
    const bounced: string[] = []
    a.on('stanza-bounced', ({ error }) => bounced.push(error.code))
    void a.send(message('1', 'a@a.example', 'x@nowhere.example'))
    await world.run(rejection(a.connect(pairOf('a.example', 'nowhere.example'))))
    await world.clock.settle()
    assert.deepEqual(bounced, ['S2S_DNS_NO_SERVICE'])
  })

  it('rejects the newest when the queue of a pair is full, and sends the rest in order', async () => {
    const received: string[] = []
    await world.engine('b.example', { onStanza: stanza => void received.push(stanza.id ?? '') })
    const a = await world.engine('a.example', { limits: { queuedStanzas: 3 } })
    const sent = ['0', '1', '2', '3', '4'].map(id => a.send(message(id)))
    const outcome = await world.run(Promise.allSettled(sent))
    assert.deepEqual(
      outcome.map(each => each.status),
      ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected']
    )
    const error = await rejection(sent[4] ?? Promise.resolve())
    assert.deepEqual([error.code, error.stanzaCondition], ['S2S_QUEUE_FULL', 'resource-constraint'])
    await world.clock.settle()
    assert.deepEqual(received, ['0', '1', '2'])
  })

  it('closes an idle link, and opens another for the next stanza', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    await world.run(a.send(message('1')))
    const [link] = a.links()
    await world.clock.advance(1_800_000)
    await world.clock.settle()
    assert.equal(a.links().length, 0)
    await world.run(a.send(message('2')))
    assert.notEqual(a.links()[0]?.id, link?.id)
  })

  it('[RFC6120-13.7.2.3-a] resets a link when the certificate that vouches for the peer expires', async () => {
    await world.engine('b.example', { timeouts: { idle: 2 ** 31 - 1 } })
    const a = await world.engine('a.example', { timeouts: { idle: 2 ** 31 - 1 } })
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    const notAfter = Date.parse(link.certificate?.notAfter ?? '')
    const closed = new Promise(resolve => a.on('link-closed', resolve))
    while (world.clock.now() < notAfter) {
      assert.equal(a.links().length, 1)
      await world.clock.advance(Math.min(2 ** 31 - 1, notAfter - world.clock.now()))
      if (world.clock.now() < notAfter) await world.run(a.send(message('still there')))
    }
    await world.clock.advance(2000)
    await world.run(closed)
    assert.equal(a.links().length, 0)
  })

  it('makes every downgrade visible: an event, a line in the report, a level on the link', async () => {
    await world.engine('b.example', { state: 'self-signed' })
    const warned: object[] = []
    const quiet = { debug: () => undefined, info: () => undefined, error: () => undefined }
    const logger = { ...quiet, warn: (fields: object) => void warned.push(fields), child: () => logger }
    const a = await world.engine('a.example', { policy: policies.ladder({ invalidCertificate: 'encrypt-only' }), logger })
    const downgrades: string[] = []
    a.on('downgrade', ({ from, to, because }) => downgrades.push(`${from} → ${to}: ${because}`))
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    assert.equal(link.level, 'tls-dialback')
    assert.deepEqual(downgrades, ['sasl-external → tls-dialback: the certificate of the peer is self-signed'])
    assert.equal(link.report.downgrades.length, 1)
    assert.equal(warned.length, 1)
  })

  it('asks nothing of a peer that policy refuses, and says why', async () => {
    const a = await world.engine('a.example', {
      policy: { name: 'ours', admit: () => ({ answer: 'refuse', because: 'we do not talk to them' }) }
    })
    const report: Report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.error?.code, 'S2S_POLICY')
    assert.match(report.error.message, /we do not talk to them/)
    assert.equal(world.network.zone.lookups.length, 0)
  })

  it('ends a negotiation whose policy never answers, at its deadline', async () => {
    const a = await world.engine('a.example', { policy: { admit: () => new Promise(() => undefined) } })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.error?.code, 'S2S_TIMEOUT')
  })

  it('serves a connection that was accepted elsewhere', async () => {
    const b = await world.engine('b.example', { listen: false })
    const reports: Promise<Report>[] = []
    const door = await world.network.transportFor('192.0.2.77').listen({ host: '192.0.2.77', port: 5269 }, (connection, from) => {
      reports.push(b.accept(connection, { address: from.address }))
    })
    const a = await world.engine('a.example', { overrides: { 'b.example': { host: '192.0.2.77' } } })
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    assert.equal(link.report.endpoint?.source, 'override')
    const report = await reports[0]
    assert.deepEqual([report?.level, report?.peer.direction, report?.peer.remote], ['sasl-external', 'incoming', 'a.example'])
    await door.close()
  })

  it('stops waiting when the caller aborts, and takes the negotiation of a probe with it', async () => {
    const a = await world.engine('a.example')
    world.network.zone.silence('_xmpp-server._tcp.b.example')
    const aborting = new AbortController()
    const probe = a.probe(pairOf('a.example', 'b.example'), { signal: aborting.signal })
    const connect = a.connect(pairOf('a.example', 'b.example'), { signal: aborting.signal })
    await world.clock.settle()
    aborting.abort()
    assert.equal((await probe).error?.code, 'S2S_ABORTED')
    assert.equal((await rejection(connect)).code, 'S2S_ABORTED')
  })

  it('lets the queue empty before it stops, when asked to drain; otherwise bounces what waits', async () => {
    const received: string[] = []
    await world.engine('b.example', { onStanza: stanza => void received.push(stanza.id ?? '') })
    const a = await world.engine('a.example')
    const sent = a.send(message('1'))
    await world.run(a.stop({ drain: true }))
    assert.equal(await sent, 'acknowledged')
    await world.clock.settle()
    assert.deepEqual(received, ['1'])
    assert.equal((await rejection(a.send(message('2')))).code, 'S2S_STOPPED')
    const c = await world.engine('c.example')
    const lost = rejection(c.send(message('3', 'x@c.example')))
    await world.run(c.stop())
    assert.equal((await lost).code, 'S2S_STOPPED')
  })

  describe('takes no option that it cannot use, and names it', () => {
    const base = { domains: { 'a.example': undefined }, onStanza: () => undefined }
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ ...base, onStanza: undefined }, /options\.onStanza/],
      [{ ...base, timeOuts: {} }, /options\.timeOuts is not known/],
      [{ ...base, timeouts: { idel: 1 } }, /options\.timeouts\.idel/],
      [{ ...base, timeouts: { idle: -1 } }, /options\.timeouts\.idle/],
      [{ ...base, timeouts: { idle: 1.5 } }, /options\.timeouts\.idle/],
      [{ ...base, limits: { stanzaBytes: 9999 } }, /options\.limits\.stanzaBytes has to be a whole number from 10000 to .*, not 9999/],
      [{ ...base, listen: [{ port: 70_000 }] }, /options\.listen\[0\]\.port/],
      [{ ...base, listen: [{ port: 0, tls: 'ssl' }] }, /options\.listen\[0\]\.tls/],
      [{ ...base, overrides: { 'b.example': { host: '' } } }, /options\.overrides\["b\.example"\]\.host/],
      [{ ...base, overrides: { 'b example': { host: 'x' } } }, /options\.overrides names "b example"/],
      [{ ...base, passwords: { 'b.example': { username: 'a', password: 'x\0y' } } }, /options\.passwords\["b\.example"\]\.password/],
      [{ ...base, dialbackSecret: { current: 'short' } }, /options\.dialbackSecret\.current has to be at least 32 bytes long, not 5/],
      [{ ...base, domains: { 'a b': undefined } }, /"a b"/],
      [{ ...base, defaultDomain: 'c.example' }, /c\.example/]
    ]
    for (const [options, says] of wrong)
      it(String(says), () => {
        assert.throws(
          () => createFederation(options as Parameters<typeof createFederation>[0]),
          (error: unknown) => FederationError.is(error) && error.code === 'S2S_CONFIG' && says.test(error.message)
        )
      })
  })
})
