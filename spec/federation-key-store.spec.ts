import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { createFederation } from '../lib/federation.ts'
import type { Federation } from '../lib/federation.ts'
import type { Credentials, KeyStore } from '../lib/model/plugs.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const STEP = 15_000

describe('a federation engine whose key store does not answer', () => {
  let world: World
  /** What the store says; undefined: nothing yet. */
  let answers: (() => Promise<Credentials>) | undefined
  let asked: number
  const silence = (): Promise<Credentials> => new Promise(() => undefined)

  beforeEach(() => {
    world = createWorld()
    answers = silence
    asked = 0
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.equal(world.clock.pendingTimers, 0, 'timers are left')
  })

  const issued = (name: string) => (): Promise<Credentials> => Promise.resolve(world.authority.issue(name, { now: world.clock.now() }))
  const storeOf = (...domains: string[]): KeyStore => ({
    domains,
    credentialsFor: () => {
      asked += 1
      return answers?.() ?? silence()
    }
  })
  /** Not started. */
  const engine = (domains: KeyStore, step = STEP): Federation =>
    createFederation({
      domains,
      trust: { default: [world.authority.certificate] },
      resolver: world.network.resolver,
      transport: world.network.transportFor('192.0.2.100'),
      tls: simulatedTls(),
      clock: world.clock,
      allowPrivateAddresses: true,
      timeouts: { step },
      listen: false,
      onStanza: () => undefined
    })
  const message = (from: string, to: string): Element => new Element('message', { from, to })

  it('fails a negotiation after a step, as our own fault, and asks again with the next', async () => {
    await world.engine('b.example')
    const a = engine(storeOf('a.example'))
    const since = world.clock.now()
    const error = await world.run(rejection(a.send(message('x@a.example', 'y@b.example'))))
    assert.equal(world.clock.now() - since, STEP)
    assert.deepEqual(
      [error.code, error.fault, error.temporary, error.stanzaCondition],
      ['S2S_KEY_STORE', 'us', true, 'resource-constraint']
    )
    assert.match(error.message, /a\.example: the key store gave no answer within 15000 ms/)
    answers = issued('a.example')
    assert.equal((await world.run(a.connect(pairOf('a.example', 'b.example')))).level, 'sasl-external')
    assert.equal(asked, 2)
    await world.run(a.stop())
  })

  it('begins to stop at once: while it starts, while it negotiates and while it reloads', async () => {
    for (const begin of [
      (a: Federation) => a.start(),
      (a: Federation) => a.connect(pairOf('a.example', 'b.example')),
      (a: Federation) => a.reload()
    ]) {
      const a = engine(storeOf('a.example'))
      const begun = rejection(begin(a))
      await world.clock.settle()
      const since = world.clock.now()
      await world.run(a.stop())
      assert.equal((await begun).code, 'S2S_STOPPED')
      assert.equal(world.clock.now(), since)
      await world.clock.settle()
      assert.equal(world.clock.pendingTimers, 0)
    }
  })

  it('does not start, says for which domains, and starts when another asks later', async () => {
    const a = engine(storeOf('a.example', 'c.example'))
    const since = world.clock.now()
    const error = await world.run(rejection(a.start()))
    assert.deepEqual([error.code, world.clock.now() - since], ['S2S_KEY_STORE', STEP])
    assert.match(error.message, /a\.example: the key store gave.*; .*c\.example/)
    await world.run(a.stop())
  })

  it('keeps what it shows when a reload has no answer, and says so once a step has passed', async () => {
    answers = issued('b.example')
    const b = await world.engine('b.example', { domains: storeOf('b.example') })
    const a = await world.engine('a.example')
    const warned: string[] = []
    b.on('warning', ({ error }) => warned.push(error.code))
    answers = silence
    const since = world.clock.now()
    assert.equal((await world.run(rejection(b.reload()))).code, 'S2S_KEY_STORE')
    assert.deepEqual([warned, world.clock.now() - since], [['S2S_KEY_STORE'], STEP])
    assert.equal((await world.run(a.connect(pairOf('a.example', 'b.example')))).level, 'sasl-external')
  })

  it('is asked about no more domains when it has answered for none of a hundred', async () => {
    const a = engine(storeOf(...Array.from({ length: 1000 }, (_, i) => `d${i}.example`)))
    const since = world.clock.now()
    const error = await world.run(rejection(a.reload()))
    assert.match(error.message, /and 980 more/)
    assert.ok(error.cause instanceof AggregateError && error.cause.errors.length === 1000)
    assert.deepEqual([asked < 250, world.clock.now() - since], [true, STEP])
    await world.run(a.stop())
    await world.clock.settle()
  })

  const ends: readonly (readonly [string, () => Promise<Credentials>, RegExp])[] = [
    ['silent', () => new Promise(() => undefined), /connection-timeout/],
    ['broken', () => Promise.reject(new Error('the database is down')), /internal-server-error/]
  ]
  for (const [how, answer, condition] of ends)
    it(`goes on with no incoming stream in clear while it is ${how}`, async () => {
      answers = answer
      const b = engine(storeOf('b.example'), 1_000)
      world.network.zone.server('b.example', { addresses: ['192.0.2.101'] })
      const transport = world.network.transportFor('192.0.2.101')
      const listener = await transport.listen({ host: '192.0.2.101', port: 5269 }, (connection, { address }) => {
        void b.accept(connection, { address })
      })
      const a = await world.engine('a.example')
      const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
      await world.run(b.stop())
      await listener.close()
      assert.equal(report.level, undefined)
      assert.match(report.error?.message ?? '', condition)
    })
})
