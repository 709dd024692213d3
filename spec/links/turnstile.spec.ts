import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import { Turnstile } from '../../lib/links/turnstile.ts'
import { domain } from '../../lib/model/domain.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { createWorld, rejection } from '../world.ts'
import type { World } from '../world.ts'

describe('the turns of negotiations', () => {
  let clock: TestClock
  /** In the order in which they entered. */
  let entered: string[]
  let ends: Map<string, () => void>
  beforeEach(() => {
    clock = createTestClock()
    entered = []
    ends = new Map()
  })
  afterEach(() => assert.equal(clock.pendingTimers, 0))

  const turnstile = (most: number, perSecond = 1_000_000): Turnstile =>
    new Turnstile({
      ...({ what: 'negotiations', limit: 'negotiations' } as const),
      ...{ most, pace: { perSecond, limit: 'dialsPerSecond' as const }, patience: 60_000, clock }
    })
  const pass = (through: Turnstile, name: string, signal?: AbortSignal): Promise<void> => {
    const work = (): Promise<void> => {
      entered.push(name)
      return new Promise(resolve => ends.set(name, resolve))
    }
    const passed = through.pass(domain(name), work, signal)
    passed.catch(() => undefined)
    return passed
  }
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.()
    ends.delete(name)
    await clock.settle()
  }
  const endAll = async (): Promise<void> => {
    while (ends.size > 0) for (const name of [...ends.keys()]) await end(name)
  }
  const inside = (zone: string): number => [...ends.keys()].filter(name => name.endsWith(zone)).length

  it('give one zone less than a quarter of the places, and the others theirs at once', async () => {
    const through = turnstile(100)
    for (let i = 0; i < 500; i += 1) void pass(through, `x${i}.wild.example`)
    await clock.settle()
    assert.equal(entered.length, 22)
    void pass(through, 'b.example')
    await clock.settle()
    assert.equal(entered.at(-1), 'b.example')
    await endAll()
    assert.equal(entered.length, 501)
  })

  it('leave a place for one more zone when twenty others want all of them', async () => {
    const through = turnstile(100)
    for (let zone = 0; zone < 20; zone += 1) for (let i = 0; i < 100; i += 1) void pass(through, `x${i}.wild${zone}.example`)
    void pass(through, 'b.example')
    await clock.settle()
    assert.ok(entered.includes('b.example'))
    assert.ok(entered.length < 100)
    for (let zone = 0; zone < 20; zone += 1) assert.ok(inside(`.wild${zone}.example`) >= 1, `zone ${zone}`)
    await endAll()
    assert.equal(entered.length, 2001)
  })

  it('go round the zones where only so many begin in a second, and in each zone come in order', async () => {
    const through = turnstile(100, 10)
    const names = Array.from({ length: 20 }, (_, i) => `x${i}.wild.example`)
    for (const name of names) void pass(through, name)
    void pass(through, 'b.example')
    for (const name of ['y0.other.example', 'y1.other.example']) void pass(through, name)
    await clock.advance(400)
    assert.deepEqual(entered.slice(10), ['x10.wild.example', 'b.example', 'y0.other.example', 'x11.wild.example'])
    await clock.advance(2000)
    assert.deepEqual(
      entered.filter(name => name.endsWith('.wild.example')),
      names
    )
    await endAll()
  })

  it('come to a zone that held its share when one of its own is done, and when others leave more', async () => {
    const through = turnstile(8)
    for (const name of ['a0.wild.example', 'a1.wild.example', 'a2.wild.example', 'a3.wild.example']) void pass(through, name)
    await clock.settle()
    assert.deepEqual(entered, ['a0.wild.example', 'a1.wild.example'])
    await end('a0.wild.example')
    assert.deepEqual(entered.slice(2), ['a2.wild.example'])
    for (const name of ['b.example', 'c.example', 'd.example']) void pass(through, name)
    await end('a1.wild.example')
    assert.equal(inside('.wild.example'), 1, 'now its share is one')
    for (const name of ['b.example', 'c.example', 'd.example']) await end(name)
    assert.equal(inside('.wild.example'), 2)
    await endAll()
    assert.equal(entered.length, 7)
  })

  it('let a thousand customer domains of one hoster through, as fast as they may begin', async () => {
    const through = turnstile(1024, 200)
    const passed = Array.from({ length: 1000 }, (_, i) =>
      through.pass(domain(`customer${i}.hoster.example`), () => new Promise<void>(resolve => void clock.setTimeout(resolve, 1000)))
    )
    await clock.advance(5_100)
    await Promise.all(passed)
  })

  it('name a turn that did not come as our own fault, and what decides on it', async () => {
    const through = turnstile(4)
    void pass(through, 'x0.wild.example')
    const late = rejection(pass(through, 'x1.wild.example'))
    await clock.advance(60_000)
    const error = await late
    assert.deepEqual([error.code, error.fault, error.temporary, error.stanzaCondition], ['S2S_BUSY', 'us', true, 'resource-constraint'])
    assert.match(
      error.message,
      /x1\.wild\.example .*1 of 4 negotiations .*1 of them .*wild\.example.*limits\.negotiations .*limits\.dialsPerSecond/
    )
    await endAll()
  })

  it('are lost by nobody when others do not want theirs any more', async () => {
    const through = turnstile(1)
    const called = new AbortController()
    void pass(through, 'a.example')
    const gone = ['b.example', 'x.c.example'].map(name => rejection(pass(through, name, called.signal)))
    for (const name of ['y.c.example', 'd.example']) void pass(through, name)
    called.abort()
    assert.deepEqual(
      (await Promise.all(gone)).map(({ code }) => code),
      ['S2S_ABORTED', 'S2S_ABORTED']
    )
    await endAll()
    assert.deepEqual(entered, ['a.example', 'y.c.example', 'd.example'])
  })
})

describe('an engine whose users write to thousands of silent domains', () => {
  const SILENT = 6_000
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  it('sends to a domain that is well within seconds', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example')
    const dead = Array.from({ length: 6 }, (_, i) => `192.0.2.${200 + i}`)
    for (const address of dead) world.network.blackHole(address)
    const codes = new Map<string, number>()
    const ends: Promise<void>[] = []
    const send = (to: string): Promise<string> => a.send(new Element('message', { from: 'u@a.example', to }))
    for (let i = 0; i < SILENT; i += 1) {
      for (const address of dead)
        world.network.zone.server(`x${i}.wild.example`, { addresses: [address], host: `${address.split('.')[3] ?? ''}.host.example` })
      const note = ({ code, fault }: FederationError): unknown => codes.set(`${code} ${fault}`, (codes.get(`${code} ${fault}`) ?? 0) + 1)
      ends.push(
        send(`x@x${i}.wild.example`).then(
          () => assert.fail('it was sent'),
          (error: unknown) => void note(FederationError.from(error))
        )
      )
    }
    await world.clock.advance(20_000)
    const since = world.clock.now()
    assert.equal(await world.run(send('y@b.example')), 'acknowledged')
    assert.ok(world.clock.now() - since < 3_000, `${world.clock.now() - since} ms`)
    await world.run(Promise.all(ends))
    assert.deepEqual([...codes.keys()].sort(), ['S2S_BUSY us', 'S2S_TIMEOUT network'])
  }).timeout(60_000)
})
