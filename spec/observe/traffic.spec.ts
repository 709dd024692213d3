import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import type { Metrics } from '../../lib/model/plugs.ts'
import { METRICS } from '../../lib/observe/metrics.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const message = (from: string, to: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id: '1' })

/** What was counted and shown, by name and labels. */
class Recorded implements Metrics {
  readonly values = new Map<string, number>()
  gauges = 0

  count(name: string, labels: object = {}): void {
    const key = this.#key(name, labels)
    this.values.set(key, (this.values.get(key) ?? 0) + 1)
  }

  gauge(name: string, value: number, labels: object = {}): void {
    if (name === METRICS.pending) this.gauges += 1
    this.values.set(this.#key(name, labels), value)
  }

  observe(): void {
    // Histograms are not looked at here.
  }

  of(name: string): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [...this.values].flatMap(([key, value]) => (key.startsWith(`${name} `) ? [[key.slice(name.length + 1), value]] : []))
    )
  }

  #key(name: string, labels: object): string {
    return `${name} ${Object.values(labels).join(' ')}`
  }
}

describe('the metrics of stanzas', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  async function send(engine: Federation, from: string, to: string, times: number): Promise<void> {
    await world.run(Promise.all(Array.from({ length: times }, () => engine.send(message(from, to)))))
  }

  it('[ENG-Q-a] count what was sent by its fate, and what was received, each by the way of the link', async () => {
    const [atA, atB] = [new Recorded(), new Recorded()]
    const a = await world.engine('a.example', { metrics: atA })
    const b = await world.engine('b.example', { metrics: atB })
    await send(a, 'a.example', 'b.example', 5)
    await send(b, 'b.example', 'a.example', 3)
    assert.deepEqual([atA.of(METRICS.sent), atA.of(METRICS.received)], [{ 'outgoing acknowledged': 5 }, { outgoing: 3 }])
    assert.deepEqual([atB.of(METRICS.sent), atB.of(METRICS.received)], [{ 'incoming acknowledged': 3 }, { incoming: 5 }])
    const without = new Recorded()
    const c = await world.engine('c.example', { metrics: without, extensions: { streamManagement: false } })
    await send(c, 'c.example', 'b.example', 2)
    assert.deepEqual(without.of(METRICS.sent), { 'outgoing written': 2 })
  })

  it('show what pends, once a turn, and count resumptions on both sides', async () => {
    const [atA, atB] = [new Recorded(), new Recorded()]
    let finish: () => void = () => undefined
    const busy = new Promise<void>(resolve => (finish = resolve))
    await world.engine('b.example', { metrics: atB, onStanza: () => busy })
    const a = await world.engine('a.example', { metrics: atA, limits: { unackedStanzas: 100 } })
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    const before = atA.gauges
    const sent = send(a, 'a.example', 'b.example', 150)
    await world.clock.settle()
    assert.deepEqual(atA.of(METRICS.pending), { queued: 50, unacknowledged: 100 })
    assert.ok(atA.gauges - before <= 8, `${atA.gauges - before} calls`)
    finish()
    for (const wire of world.network.wires) wire.reset()
    await sent
    await world.clock.settle()
    assert.deepEqual(atA.of(METRICS.pending), { queued: 0, unacknowledged: 0 })
    assert.deepEqual([atA.of(METRICS.resumptions), atB.of(METRICS.resumptions)], [{ 'outgoing resumed': 1 }, { 'incoming resumed': 1 }])
    assert.deepEqual(atB.of(METRICS.received), { incoming: 150 }, 'nothing came twice')
  })

  it('hold up no stanza when they throw', async () => {
    const warnings: string[] = []
    const failing = (): never => {
      throw new Error('no room')
    }
    await world.engine('b.example')
    const a = await world.engine('a.example', { metrics: { count: failing, gauge: failing, observe: failing } })
    a.on('warning', ({ error }) => warnings.push(error.detail ?? ''))
    await send(a, 'a.example', 'b.example', 1)
    assert.ok(warnings.includes('the metrics threw on a stanza'))
  })

  it('end no process when they are async and reject: each is a warning, and the stanza arrives', async () => {
    const rejects = (): void => Promise.reject(new Error('statsd is down')) as unknown as undefined
    const metrics: Metrics = { count: rejects, gauge: rejects, observe: rejects }
    const details = new Set<string | undefined>()
    await world.engine('b.example')
    const a = await world.engine('a.example', { metrics })
    a.on('warning', ({ error }) => details.add(error.detail))
    await send(a, 'a.example', 'b.example', 1)
    await world.clock.settle()
    assert.ok(details.has('the metrics threw on a stanza'), [...details].join())
  })
})
