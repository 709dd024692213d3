import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../lib/federation.ts'
import type { FederationEvents } from '../lib/model/events.ts'
import type { Credentials, KeyStore } from '../lib/model/plugs.ts'
import { block } from '../lib/policy/guards.ts'
import { policies } from '../lib/policy/presets.ts'
import { listenForPeers } from '../lib/testing/scripted-connections.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const PAIR = pairOf('a.example', 'b.example')
const message = (id: string, from = 'a.example', to = 'b.example'): Element => new Element('message', { from, to, id })

describe('settings at run time', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual([world.network.wires.length, world.clock.pendingTimers], [0, 0], 'nothing is left')
  })

  it('let the links go on that stand under them, and end the others with reset, telling why', async () => {
    const b = await world.engine('b.example')
    await world.engine('c.example', { state: 'expired' })
    const a = await world.engine('a.example', { policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
    const links = [await world.run(a.connect(PAIR)), await world.run(a.connect(pairOf('a.example', 'c.example')))]
    assert.deepEqual(
      links.map(({ level }) => level),
      ['sasl-external', 'tls-dialback']
    )
    const told: unknown[] = []
    a.on('settings-changed', ({ what }) => told.push(what))
    a.on('link-reset', ({ link, error }) => told.push([link.id, error.code]))
    await a.setPolicy(policies.strict())
    await world.clock.settle()
    assert.deepEqual(told, ['policy', [links[1]?.id, 'S2S_CERTIFICATE']])
    assert.deepEqual(a.links(), [links[0]])
    assert.equal(b.links().length, 1)
  })

  it('end an incoming link with a stream error that says reset, and not what policy thinks', async () => {
    const a = await world.engine('a.example')
    const b = await world.engine('b.example')
    const closed: (FederationEvents['link-closed']['error'] | undefined)[] = []
    a.on('link-closed', ({ error }) => closed.push(error))
    await world.run(a.connect(PAIR))
    await b.setGuards([block(['a.example'])])
    await world.clock.settle()
    assert.equal(closed[0]?.condition, 'reset')
    assert.doesNotMatch(closed[0].message, /blocked/)
    assert.equal((await rejection(world.run(a.connect(PAIR)))).code, 'S2S_STREAM_ERROR_RECEIVED')
    await b.setGuards([])
    a.retryNow('b.example')
    assert.equal(await world.run(a.send(message('1'))), 'acknowledged')
  })

  it('trust others from now on: a certificate that nobody vouches for any more ends its links', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example', { policy: policies.strict() })
    await world.run(a.connect(PAIR))
    await a.reloadTrust({ default: [] })
    await world.clock.settle()
    assert.deepEqual(a.links(), [])
    assert.equal((await world.run(a.probe(PAIR))).error?.code, 'S2S_CERTIFICATE')
    await a.reloadTrust({ default: [world.authority.certificate] })
    assert.equal((await world.run(a.probe(PAIR))).level, 'sasl-external')
  })

  it('judge by what is in force when the judgement is made, not when it began, and tell of a reset once', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    await world.run(a.connect(PAIR))
    const told: string[] = []
    a.on('link-reset', ({ error }) => told.push(error.message))
    let refuse: () => void = () => undefined
    const slow = new Promise<'refuse'>(resolve => (refuse = () => resolve('refuse')))
    const first = a.setGuards([{ kind: 'guard', name: 'slow', admit: () => slow }])
    await world.clock.settle()
    await a.setGuards([])
    refuse()
    await first
    await world.clock.settle()
    assert.deepEqual([told, a.links().length], [[], 1])
    const again = a.setGuards([{ kind: 'guard', name: 'slow', admit: () => slow.then(() => undefined) }])
    await Promise.all([again, a.setGuards([block(['b.example'])])])
    await world.clock.settle()
    assert.equal(told.length, 1)
    assert.match(told[0] ?? '', /blocked/)
    assert.deepEqual(a.links(), [])
  })

  it('tell of no reset of a link that has ended while it was judged', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    await world.run(a.connect(PAIR))
    const told: string[] = []
    a.on('link-reset', ({ link }) => told.push(link.id))
    let refuse: () => void = () => undefined
    const slow = new Promise<'refuse'>(resolve => (refuse = () => resolve('refuse')))
    const set = a.setGuards([{ kind: 'guard', name: 'slow', admit: () => slow }])
    await world.run(a.close('b.example'))
    refuse()
    await set
    assert.deepEqual([told, a.links()], [[], []])
  })

  it('have a negotiation begun anew no more than twice, however often they change, and not by an engine that stops', async () => {
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    for (const name of ['b.example', 'c.example']) world.network.zone.server(name, { addresses: ['192.0.2.200'] })
    const a = await world.engine('a.example')
    const began: string[] = []
    a.on('negotiation-started', ({ peer }) => {
      began.push(peer.remote ?? '')
      if (began.length < 20) void a.setGuards([])
    })
    const failed = rejection(a.connect(PAIR))
    for (let tries = 0; tries < 3; tries += 1) {
      const peer = await listener.accept()
      await peer.expectHeader()
      peer.reset()
    }
    assert.equal((await world.run(failed)).code, 'S2S_STREAM_CLOSED')
    assert.deepEqual(began, ['b.example', 'b.example', 'b.example'])
    const stopped = rejection(a.connect(pairOf('a.example', 'c.example')))
    const peer = await listener.accept()
    await peer.expectHeader()
    await world.run(a.stop())
    assert.equal((await stopped).code, 'S2S_STOPPED')
    assert.equal(began.length, 4)
    peer.reset()
    await listener.close()
  })

  it('do not hold what was negotiated before them for longer than a step, however long policy takes', async () => {
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    const a = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }), timeouts: { step: 7_000 } })
    const sent = rejection(a.send(message('1')))
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    const isEndless = { now: true }
    const endless = new Promise<undefined>(() => undefined)
    void a.setGuards([{ kind: 'guard', name: 'endless', admit: () => (isEndless.now ? endless : 'refuse') }])
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await world.clock.advance(6_999)
    await peer.expectNothing()
    isEndless.now = false
    await world.clock.advance(1)
    await peer.expectStreamError('reset')
    peer.close()
    await peer.expectEnd()
    assert.equal((await world.run(sent)).code, 'S2S_POLICY')
    await listener.close()
  })

  describe('change what failed under those before', () => {
    const FAILURES: readonly (readonly [
      what: string,
      code: string,
      options: Parameters<World['engine']>[1],
      change: (engine: Federation) => Promise<void>
    ])[] = [
      ['a guard', 'S2S_POLICY', { guards: [block(['b.example'])] }, engine => engine.setGuards([])],
      [
        'the floor',
        'S2S_BELOW_FLOOR',
        { policy: policies.ladder({ external: false, minimumLevel: 'sasl-external' }) },
        engine => engine.setPolicy(policies.ladder())
      ],
      [
        'certificates',
        'S2S_CERTIFICATE',
        { policy: policies.strict(), trust: { default: [] } },
        engine => engine.reloadTrust({ default: [world.authority.certificate] })
      ]
    ]
    for (const [what, code, options, change] of FAILURES)
      it(`${what}: the pair is not bounced any longer for that`, async () => {
        await world.engine('b.example')
        const a = await world.engine('a.example', options)
        assert.equal((await rejection(world.run(a.send(message('1'))))).code, code)
        assert.deepEqual(
          a.routes().map(({ state }) => state),
          ['bounce']
        )
        await change(a)
        assert.deepEqual(
          a.routes().map(({ state }) => state),
          ['queue']
        )
        assert.equal(await world.run(a.send(message('2'))), 'acknowledged')
      })

    it('but not what has nothing to do with them', async () => {
      world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
      const a = await world.engine('a.example', { random: () => 0.5 })
      assert.equal((await rejection(world.run(a.send(message('1'))))).code, 'S2S_CONNECT_FAILED')
      await a.setPolicy(policies.strict())
      assert.deepEqual(
        a.routes().map(({ state }) => state),
        ['bounce']
      )
    })
  })

  it('change nothing when they cannot be used', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    await world.run(a.connect(PAIR))
    const wrong: readonly (() => Promise<void>)[] = [
      () => a.setPolicy({ tsl: 'required' } as never),
      () => a.setPolicy(block(['b.example']) as never),
      () => a.setGuards([{ name: 'no guard' }] as never),
      () => a.setGuards('block' as never),
      () => a.reloadTrust({ default: ['no PEM'] }),
      () => a.addDomain('not a domain'),
      () => a.addDomain('d.example', { key: 'no key', cert: 'no certificate' }),
      () => a.removeDomain('unknown.example')
    ]
    for (const change of wrong) assert.equal((await rejection(Promise.resolve().then(change))).code, 'S2S_CONFIG')
    assert.equal(a.links().length, 1)
    assert.equal((await world.run(a.probe(PAIR))).level, 'sasl-external')
    assert.equal((await rejection(a.send(message('1', 'd.example')))).code, 'S2S_NOT_HOSTED')
  })

  it('host a domain more, and no more: host-gone on its streams, and to whoever comes later (RFC 6120 §4.9.3.5)', async () => {
    const received: string[] = []
    const a = await world.engine('a.example')
    const b = await world.engine('b.example', { onStanza: ({ to }) => void received.push(to.domain) })
    world.network.zone.server('second.example', { addresses: [world.addressOf('b.example')] })
    const second = message('1', 'a.example', 'second.example')
    assert.equal((await rejection(world.run(a.send(second)))).code, 'S2S_STREAM_ERROR_RECEIVED')
    await b.addDomain('second.example', world.authority.issue('second.example', { now: world.clock.now() }))
    a.retryNow('second.example')
    await world.run(a.send(second))
    await world.run(a.send(message('2')))
    assert.deepEqual(received, ['second.example', 'b.example'])

    const closed: (string | undefined)[] = []
    a.on('link-closed', ({ error }) => closed.push(error?.condition))
    await b.removeDomain('second.example')
    await world.clock.settle()
    assert.deepEqual(closed, ['host-gone'])
    assert.deepEqual(
      b.links().map(({ pairs }) => pairs[0]?.pair.target),
      ['b.example']
    )
    const { code, condition } = await rejection(world.run(a.connect(pairOf('a.example', 'second.example'))))
    assert.deepEqual([code, condition], ['S2S_STREAM_ERROR_RECEIVED', 'host-gone'])
    assert.equal((await rejection(b.send(message('3', 'second.example', 'a.example')))).code, 'S2S_NOT_HOSTED')
  })

  it('reject what waits for a domain that is gone', async () => {
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', { domains: { 'a.example': undefined, 'old.example': undefined } })
    const waiting = rejection(a.send(message('1', 'old.example')))
    await world.clock.settle()
    await a.removeDomain('old.example')
    assert.equal((await waiting).code, 'S2S_NOT_HOSTED')
  })

  it('reject what waits for a domain that has become our own', async () => {
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example')
    const waiting = rejection(a.send(message('1')))
    await world.clock.settle()
    const now = world.clock.now()
    await a.addDomain('b.example')
    const error = await waiting
    assert.deepEqual([error.code, world.clock.now()], ['S2S_LOCAL_DOMAIN', now])
    assert.match(error.message, /b\.example is served here now/)
  })

  it('leave it to a key store which domains there are, and read it again', async () => {
    const credentials = new Map<string, Credentials | undefined>([
      ['a.example', world.authority.issue('a.example', { now: world.clock.now() })],
      ['old.example', world.authority.issue('old.example', { now: world.clock.now() })]
    ])
    const domains: KeyStore = {
      get domains() {
        return [...credentials.keys()]
      },
      credentialsFor: name => credentials.get(name)
    }
    await world.engine('b.example')
    const a = await world.engine('a.example', { domains })
    for (const change of [a.addDomain('c.example'), a.removeDomain('old.example')])
      assert.match((await rejection(change)).message, /key store/)
    const link = await world.run(a.connect(pairOf('old.example', 'b.example')))
    await world.run(a.connect(PAIR))
    credentials.delete('old.example')
    await a.reload()
    await world.clock.settle()
    assert.ok(!a.links().includes(link))
    assert.equal(a.links().length, 1)
  })

  it('close every link with one domain, and have the next stanza negotiated anew', async () => {
    const b = await world.engine('b.example')
    await world.engine('c.example')
    const a = await world.engine('a.example')
    await world.run(a.connect(PAIR))
    await world.run(a.connect(pairOf('a.example', 'c.example')))
    const told: (string | undefined)[] = []
    b.on('link-closed', ({ error }) => told.push(error?.message))
    await world.run(a.close('b.example', 'maintenance'))
    assert.match(told.join(), /undefined-condition, maintenance/)
    const again = await world.run(b.connect(pairOf('b.example', 'a.example')))
    const heard: (string | undefined)[] = []
    b.on('link-closed', ({ error }) => heard.push(error?.message))
    for (const link of a.links().filter(({ direction }) => direction === 'incoming')) await world.run(link.close('no more'))
    await world.clock.settle()
    assert.match(heard.join(), /undefined-condition, no more/)
    assert.ok(!b.links().includes(again))
    assert.deepEqual(
      a.links().map(({ pairs }) => pairs[0]?.pair.target),
      ['c.example']
    )
    assert.equal(await world.run(a.send(message('1'))), 'acknowledged')
  })

  it('close the links with one domain that go either way, and no others', async () => {
    const oneWay = { extensions: { bidi: false } }
    const a = await world.engine('a.example', oneWay)
    const others = [await world.engine('b.example', oneWay), await world.engine('c.example', oneWay)]
    for (const name of ['b.example', 'c.example']) await world.run(a.connect(pairOf('a.example', name)))
    await Promise.all(others.map((engine, i) => world.run(engine.connect(pairOf(['b.example', 'c.example'][i] ?? '', 'a.example')))))
    assert.equal(a.links().length, 4)
    await world.run(a.close('b.example'))
    assert.deepEqual(
      a.links().map(({ pairs, direction }) => [direction, pairs[0]?.pair.sender, pairs[0]?.pair.target].join(' ')),
      ['outgoing a.example c.example', 'incoming c.example a.example']
    )
  })

  it('show where the stanzas of each pair go, and for how long and why they are bounced', async () => {
    const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
    const a = await world.engine('a.example', { random: () => 0.5 })
    assert.deepEqual(a.routes(), [])
    const changes: string[] = []
    a.on('route-changed', ({ route }) => changes.push(route.state))
    const sent = rejection(a.send(message('1')))
    await world.clock.settle()
    const [waiting] = a.routes()
    assert.deepEqual([waiting?.pair, waiting?.state, waiting?.stanzas], [PAIR, 'queue', 1])
    assert.ok((waiting?.bytes ?? 0) > 0)
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.reset()
    await world.run(sent)
    const [bounced] = a.routes()
    assert.deepEqual([bounced?.state, bounced?.stanzas, bounced?.reason?.code], ['bounce', 0, 'S2S_STREAM_CLOSED'])
    assert.equal((bounced?.until ?? 0) - world.clock.now(), 30_000)
    assert.equal((await rejection(a.send(message('2')))).code, 'S2S_STREAM_CLOSED')
    assert.equal(listener.waiting, 0, 'it is not dialled before its time')
    a.retryNow('b.example')
    const again = rejection(a.send(message('3')))
    const next = await listener.accept()
    await next.expectHeader()
    next.reset()
    await world.run(again)
    assert.deepEqual(changes, ['queue', 'bounce', 'queue', 'bounce'])
    a.retryNow('b.example')
    assert.deepEqual([changes.pop(), a.routes()[0]?.state], ['queue', 'queue'], 'it is told')
    const other = await world.engine('c.example')
    await world.run(a.send(message('4', 'a.example', 'c.example')))
    await world.run(other.stop())
    await world.clock.settle()
    assert.deepEqual(changes.slice(4), ['queue', 'send', 'queue'])
    await listener.close()
  })

  it('tell when the retry time has come, and when a peer that bounced has given a link', async () => {
    world.network.zone.server('b.example', { addresses: [world.addressOf('b.example')] })
    const a = await world.engine('a.example', { random: () => 0.5 })
    const changes: string[] = []
    a.on('route-changed', ({ route }) => changes.push(route.state))
    assert.equal((await rejection(world.run(a.send(message('1'))))).code, 'S2S_CONNECT_FAILED')
    assert.deepEqual(changes, ['queue', 'bounce'])
    await world.clock.advance(29_999)
    assert.deepEqual(changes, ['queue', 'bounce'])
    await world.clock.advance(1)
    assert.deepEqual(changes, ['queue', 'bounce', 'queue'])
    assert.equal((await rejection(world.run(a.send(message('2'))))).code, 'S2S_CONNECT_FAILED')
    assert.deepEqual(changes.splice(0), ['queue', 'bounce', 'queue', 'bounce'])
    const b = await world.engine('b.example')
    await world.run(b.connect(pairOf('b.example', 'a.example')))
    await world.clock.settle()
    assert.deepEqual(changes, ['queue'])
    assert.equal(await world.run(a.send(message('3'))), 'acknowledged')
    assert.deepEqual(changes, ['queue', 'send'])
  })

  it('are refused by an engine that has stopped', async () => {
    const a = await world.engine('a.example')
    await world.run(a.stop())
    for (const change of [
      a.setPolicy(undefined),
      a.setGuards([]),
      a.reloadTrust(undefined),
      a.addDomain('d.example'),
      a.removeDomain('a.example')
    ])
      assert.equal((await rejection(change)).code, 'S2S_STOPPED')
  })
})
