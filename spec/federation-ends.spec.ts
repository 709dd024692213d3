import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { Element } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import type { TraceEntry } from '../lib/model/report.ts'
import { replay } from '../lib/policy/replay.ts'
import { policies } from '../lib/policy/presets.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const PAIR = pairOf('a.example', 'b.example')
/** Everything that happens in a negotiation by EXTERNAL, and in one by dialback. */
const MOMENTS = 24

describe('whatever moment an engine is called off at', () => {
  let world: World
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)

  before(() => process.on('warning', note))
  after(() => process.off('warning', note))
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.deepEqual(warnings, [])
    assert.equal(world.clock.pendingTimers, 0, 'timers are left')
    assert.equal(world.network.wires.length, 0, 'connections are left')
    assert.equal(world.network.listening.length, 0, 'listeners are left')
  })

  for (const policy of [
    policies.ladder(),
    policies.ladder({ external: false, invalidCertificate: 'encrypt-only' }),
    policies.ladder({ tls: 'never' })
  ])
    for (let moment = 1; moment <= MOMENTS; moment += 1) {
      it(`leaves nothing when the caller aborts at moment ${moment} of ${JSON.stringify(policy.options)}`, async () => {
        await world.engine('b.example', { policy })
        const a = await world.engine('a.example', { policy })
        const aborting = new AbortController()
        let seen = 0
        a.on('negotiation-step', ({ peer }) => {
          if (peer.direction === 'outgoing' && peer.purpose === 'stanzas' && ++seen === moment) aborting.abort()
        })
        const report = await world.run(a.probe(PAIR, { signal: aborting.signal }))
        if (aborting.signal.aborted && report.level === undefined) assert.equal(report.error?.code, 'S2S_ABORTED')
      })

      it(`leaves nothing when it stops at moment ${moment} of ${JSON.stringify(policy.options)}`, async () => {
        await world.engine('b.example', { policy })
        const a = await world.engine('a.example', { policy })
        let seen = 0
        let stopped: Promise<void> | undefined
        a.on('negotiation-step', ({ peer }) => {
          if (peer.direction === 'outgoing' && ++seen === moment) stopped = a.stop()
        })
        const sent = a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example' }))
        const end = await world.run(sent.then(String, (error: unknown) => FederationError.from(error).code))
        await world.run(stopped ?? a.stop())
        assert.ok(['acknowledged', 'S2S_STOPPED'].includes(end), end)
        assert.equal(a.links().length, 0)
      })
    }

  it('listens once, however often it is started, and not at all when it is stopped meanwhile', async () => {
    const a = await world.engine('a.example')
    await a.start()
    assert.equal(world.network.listening.length, 1)
    await world.run(a.stop())
    assert.equal(world.network.listening.length, 0)
    const late = new PassThrough()
    const refused: unknown = await a.accept(late).catch((error: unknown) => error)
    assert.ok(FederationError.is(refused) && refused.code === 'S2S_STOPPED')
    assert.ok(late.destroyed)
  })

  it('begins nothing for a caller whose signal is aborted already', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    let begun = 0
    a.on('negotiation-started', () => (begun += 1))
    const signal = AbortSignal.abort()
    for (const call of [a.connect(PAIR, { signal }), a.ping(PAIR, { signal })]) assert.equal((await rejection(call)).code, 'S2S_ABORTED')
    await world.clock.settle()
    assert.deepEqual([begun, a.links().length, world.clock.pendingTimers], [0, 0, 0])
    assert.equal((await world.run(a.connect(PAIR, { signal: new AbortController().signal }))).level, 'sasl-external')
  })

  it('may be started again when it could not be started', async () => {
    const address = world.addressOf('a.example')
    const taken = await world.network.transportFor(address).listen({ host: address, port: 5270 }, () => undefined)
    const listen = [5269, 5270].map(port => ({ host: address, port }))
    const a = createFederation({
      domains: { 'a.example': undefined },
      onStanza: () => undefined,
      transport: world.network.transportFor(address),
      clock: world.clock,
      listen
    })
    const failures = await Promise.all([rejection(a.start()), rejection(a.start())])
    assert.deepEqual(new Set(failures).size, 1)
    assert.equal(world.network.listening.length, 1)
    await taken.close()
    await a.start()
    assert.equal(a.addresses.length, 2)
    await world.run(a.stop())
  })

  it('warns of no leak when many negotiations are under way at once', async () => {
    const a = await world.engine('a.example')
    for (let i = 0; i < 40; i += 1) world.network.zone.silence(`_xmpp-server._tcp.d${i}.example`)
    const ends = Array.from({ length: 40 }, (_, i) => a.probe(pairOf('a.example', `d${i}.example`)))
    const reports = await world.run(Promise.all(ends))
    assert.ok(reports.every(report => report.error?.code === 'S2S_TIMEOUT' || report.error?.code === 'S2S_DNS_FAILED'))
  })

  it('lets silent domains keep nobody waiting: there is room beside them, and a turn has an end', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example', { limits: { negotiations: 2 } })
    for (const name of ['c', 'd', 'e']) world.network.zone.silence(`_xmpp-server._tcp.${name}.example`)
    const ends = ['c', 'd', 'e'].map(name =>
      a.connect(pairOf('a.example', `${name}.example`)).then(String, (error: unknown) => FederationError.from(error).code)
    )
    const codes = await world.run(Promise.all(ends))
    assert.ok(
      codes.every(code => ['S2S_TIMEOUT', 'S2S_DNS_FAILED', 'S2S_BUSY'].includes(code)),
      codes.join()
    )
    assert.equal((await world.run(a.connect(PAIR))).level, 'sasl-external')
  })

  it('tells of the end of every negotiation whose beginning it told of, verifications too', async () => {
    const policy = policies.ladder({ tls: 'never' })
    const b = await world.engine('b.example', { policy })
    const a = await world.engine('a.example', { policy })
    const open = new Set<string>()
    let verifications = 0
    for (const engine of [a, b]) {
      engine.on('negotiation-started', ({ id, peer }) => {
        open.add(id)
        if (peer.purpose === 'verification') verifications += 1
      })
      engine.on('negotiation-ended', ({ id }) => open.delete(id))
    }
    await world.run(a.probe(PAIR))
    await world.run(Promise.all([a.stop(), b.stop()]))
    assert.equal(verifications, 1)
    assert.deepEqual([...open], [])
  })

  it('can replay its own report: the same policy gives the same level', async () => {
    for (const state of ['valid', 'self-signed', 'expired', 'missing'] as const)
      for (const policy of [
        policies.ladder(),
        policies.encrypted(),
        policies.strict(),
        policies.openfire36(),
        policies.ladder({ external: false, invalidCertificate: 'encrypt-only' })
      ]) {
        const each = createWorld()
        await each.engine('b.example', { state })
        const a = await each.engine('a.example', { policy })
        const report = await each.run(a.probe(PAIR))
        const replayed = replay(report, policy)
        assert.ok(!('unknown' in replayed), `${state}, ${policy.name ?? ''}: unknown ${'unknown' in replayed ? replayed.unknown : ''}`)
        assert.equal(replayed.level, report.level, `${state}, ${policy.name ?? ''}`)
        await each.stop()
      }
  })

  it('says that STARTTLS is absent, which is not the same as skipped', async () => {
    await world.engine('b.example', { state: 'missing' })
    const a = await world.engine('a.example')
    const report = await world.run(a.probe(PAIR))
    const tls: TraceEntry | undefined = report.trace.find(entry => entry.step === 'negotiate-tls')
    assert.deepEqual([tls?.outcome, tls?.code], ['absent', 'tls-not-offered'])
    assert.match(report.downgrades[0]?.because ?? '', /does not offer TLS/)
  })

  it('refuses an element of another namespace that is only called a message', async () => {
    const a = await world.engine('a.example')
    const stray = new Element('message', { xmlns: 'jabber:component:accept', from: 'x@a.example', to: 'y@b.example' })
    const error: unknown = await a.send(stray).catch((thrown: unknown) => thrown)
    assert.ok(FederationError.is(error) && error.code === 'S2S_ADDRESS')
  })
})
