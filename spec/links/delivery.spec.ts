import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { Extensions } from '../../lib/model/settings.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

/** What happens between the sends, and to whom. */
type Happening =
  | { readonly kind: 'send'; readonly count: number; readonly size: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'reset' | 'finish' | 'stall' | 'resume'; readonly wire: number; readonly end: 'initiating' | 'receiving' }
  | { readonly kind: 'close'; readonly by: 'sender' | 'receiver' }
  | { readonly kind: 'rest' | 'restart' }

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      count: fc.integer({ min: 1, max: 12 }),
      size: fc.constantFrom(0, 10, 3_000)
    })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 5, 20, 100, 700, 6_000, 40_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('reset' as const, 'reset' as const, 'finish' as const, 'stall' as const, 'resume' as const),
      wire: fc.nat(3),
      end: fc.constantFrom('initiating' as const, 'receiving' as const)
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), by: fc.constantFrom('sender' as const, 'receiver' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('rest' as const, 'restart' as const) }) }
)

const surroundings = fc.record({
  latency: fc.constantFrom(0, 3, 40),
  segment: fc.constantFrom(1_000, Infinity),
  highWaterMark: fc.constantFrom(1_000, 16_384),
  /** How long each handler takes in turn, in milliseconds. */
  handlers: fc.array(fc.constantFrom(0, 0, 0, 2, 50, 20_000), { minLength: 1, maxLength: 6 }),
  unackedStanzas: fc.constantFrom(1, 4, 1_000),
  resumption: fc.constantFrom(200, 60_000)
})

interface Run {
  readonly world: World
  readonly ends: readonly string[]
  /** The numbers of the stanzas, as they came to the handler. */
  readonly delivered: readonly number[]
}

async function played(
  extensions: Partial<Extensions>,
  around: typeof surroundings extends fc.Arbitrary<infer T> ? T : never,
  story: readonly Happening[]
): Promise<Run> {
  const { latency, segment, highWaterMark, handlers, unackedStanzas, resumption } = around
  const world = createWorld({ latency, segment, highWaterMark })
  const delivered: number[] = []
  const common = {
    policy: policies.ladder({ tls: 'never' }),
    random: () => 0,
    extensions,
    timeouts: { resumption },
    limits: { unackedStanzas }
  }
  const onStanza = ({ id }: { readonly id: string | undefined }): Promise<void> | undefined => {
    delivered.push(Number(id))
    const delay = handlers[delivered.length % handlers.length] ?? 0
    return delay === 0 ? undefined : new Promise(resolve => void world.clock.setTimeout(resolve, delay))
  }
  const sender = await world.engine('a.example', common)
  const engines = { sender, receiver: await world.engine('b.example', { ...common, onStanza }) }
  const ends: string[] = []
  let sent = 0
  const send = (size: number): void => {
    const number = sent++
    ends[number] = ''
    const told = (end: string): void => void (ends[number] = ends[number] === '' ? end : `${ends[number] ?? ''} and ${end}`)
    const stanza = new Element('message', { from: 'x@a.example', to: 'y@b.example', id: `${number}` }).t('x'.repeat(size))
    void sender.send(stanza).then(told, (error: unknown) => told(FederationError.from(error).code))
  }
  for (const each of story) {
    await happen(each, world, engines, send)
    if (each.kind !== 'restart') continue
    await world.run(engines.receiver.stop())
    engines.receiver = await world.engine('b.example', { ...common, onStanza })
  }
  for (const wire of world.network.wires) wire.resume()
  await world.run(Promise.all([sender.stop({ drain: true }), engines.receiver.stop()]))
  await world.clock.advance(60_000)
  return { world, ends, delivered }
}

async function happen(
  each: Happening,
  { clock, network }: World,
  engines: { readonly sender: Federation; readonly receiver: Federation },
  send: (size: number) => void
): Promise<void> {
  if (each.kind === 'send') for (let count = 0; count < each.count; count += 1) send(each.size)
  else if (each.kind === 'pass') await clock.advance(each.ms)
  else if (each.kind === 'close') {
    const engine = each.by === 'sender' ? engines.sender : engines.receiver
    for (const link of engine.links()) void link.close()
  } else if ('wire' in each) {
    const wire = network.wires[each.wire % Math.max(1, network.wires.length)]
    if (each.kind === 'reset') wire?.reset()
    else wire?.[each.kind](each.end)
  } else await clock.settle()
}

/** The delivery contract: what the sender was told, and what reached the handler at the other end. */
function holds({ world, ends, delivered }: Run, managed: boolean, inOrder: boolean): void {
  const times = new Map<number, number>()
  for (const number of delivered) times.set(number, (times.get(number) ?? 0) + 1)
  for (const [number, end] of ends.entries()) {
    const count = times.get(number) ?? 0
    const all = end === 'acknowledged' ? [1] : end === 'written' || end === 'S2S_IN_DOUBT' ? [0, 1] : [0]
    assert.ok(/^(?:written|acknowledged|S2S_[A-Z_]+)$/.test(end), `${number} ended with ${JSON.stringify(end)}`)
    assert.ok(all.includes(count), `${number} ended with ${end} and was handled ${count} times`)
    if (managed) assert.notEqual(end, 'written')
  }
  const sorted = [...delivered].sort((a, b) => a - b)
  if (inOrder) assert.deepEqual(delivered, sorted)
  assert.equal(world.clock.pendingTimers, 0, 'timers are left')
  assert.equal(world.network.wires.length, 0, 'connections are left')
}

describe('delivery, whatever happens to the links', () => {
  const story = fc.array(happening, { minLength: 1, maxLength: 25 })
  const variants: Readonly<Record<string, Partial<Extensions>>> = {
    'stream management and resumption': { streamManagement: true, resumption: true },
    'stream management': { streamManagement: true, resumption: false },
    'neither stream management nor resumption': { streamManagement: false }
  }
  for (const [name, extensions] of Object.entries(variants))
    it(`[ENG-Q-a] ends each stanza once, delivers none twice and all that is acknowledged, and keeps the order, with ${name}`, async function () {
      this.timeout(120_000)
      await fc.assert(
        fc.asyncProperty(surroundings, story, async (around, happenings) => {
          // Without resumption nobody can tell the other end that a connection is over which it has not read to its end.
          const isPrompt = around.handlers.every(ms => ms === 0) && !happenings.some(each => each.kind === 'stall')
          const managed = extensions.streamManagement === true
          holds(await played(extensions, around, happenings), managed, extensions.resumption === true || isPrompt)
        }),
        { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 60) }
      )
    })
})
