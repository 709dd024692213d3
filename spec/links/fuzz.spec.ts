import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain, pairKey } from '../../lib/model/domain.ts'
import type { Guard, Policy } from '../../lib/model/policy.ts'
import type { Extensions } from '../../lib/model/settings.ts'
import type { Wire } from '../../lib/testing/wire.ts'
import { createWorld } from '../world.ts'
import type { World } from '../world.ts'

const STANZAS = 700
/** A hundred of them take a minute, and are as good. */
const SEEDS = [1, 2, 3, 4, 5]
/** The longest that a handler takes: longer than a connection is waited for, and than a loss goes unnoticed. */
const LONGEST = 20_000

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Side = 'a' | 'b'
const namesOf = (side: Side): readonly string[] => [1, 2, 3].map(n => `${side}${n}.example`)

interface Kind {
  readonly extensions?: Partial<Extensions>
  /** Dialback lets pairs join a link; EXTERNAL gives each its own. */
  readonly policy?: Policy
}

/** Two engines of three domains each that send to each other while whatever can end a link does, and handlers take their time. */
class Play {
  readonly delivered = new Map<string, number[]>()
  readonly ends: Promise<string>[] = []
  readonly #random: () => number
  readonly #world: World
  readonly #engines: Record<Side, Federation>

  constructor(world: World, random: () => number, engines: Record<Side, Federation>, delivered: Map<string, number[]>) {
    this.#world = world
    this.#random = random
    this.#engines = engines
    this.delivered = delivered
  }

  static async begin(world: World, random: () => number, kind: Kind): Promise<Play> {
    const delivered = new Map<string, number[]>()
    const sleep = (ms: number): Promise<void> => new Promise(resolve => void world.clock.setTimeout(resolve, ms))
    const engine = async (side: Side): Promise<Federation> => {
      const [first = '', ...others] = namesOf(side)
      const certificate = world.authority.issue(first, { alsoFor: others, now: world.clock.now() })
      const made = await world.engine(first, {
        ...kind,
        domains: Object.fromEntries(namesOf(side).map(name => [name, certificate])),
        random: () => 0,
        guards: [slowGuard(random, sleep)],
        limits: { verificationsPerSender: 64, unackedStanzas: 1 + Math.floor(random() * 50) },
        onStanza: ({ id }, { pair }) => {
          const key = pairKey(pair.pair)
          delivered.set(key, [...(delivered.get(key) ?? []), Number(id)])
          return random() < 0.2 ? sleep(Math.ceil(random() * (random() < 0.02 ? LONGEST : 30))) : undefined
        }
      })
      for (const name of others) world.network.zone.server(name, { addresses: [world.addressOf(first)] })
      return made
    }
    return new Play(world, random, { a: await engine('a'), b: await engine('b') }, delivered)
  }

  async run(): Promise<readonly string[]> {
    for (let n = 0; n < STANZAS; n += 1) {
      const from: Side = this.#random() < 0.5 ? 'a' : 'b'
      const to = from === 'a' ? 'b' : 'a'
      const [sender, target] = [this.#one(namesOf(from)) ?? '', this.#one(namesOf(to).slice(0, 2)) ?? '']
      this.#send(from, sender, target, n)
      const pause = this.#random()
      if (pause < 0.1) await this.#world.clock.advance(Math.ceil(this.#random() * 60))
      else if (pause < 0.2) await new Promise(resolve => setImmediate(resolve))
      this.#disturb(this.#engines[from], sender, target)
    }
    const ends = await this.#world.run(Promise.all(this.ends))
    await this.#world.clock.advance(60_000)
    return ends
  }

  #send(from: Side, sender: string, target: string, n: number): void {
    const text = this.#random() < 0.5 ? '' : 'x'.repeat(this.#random() * 3_000)
    const message = new Element('message', { from: `x@${sender}`, to: `y@${target}`, id: `${n}` }).c('body').t(text).root()
    this.ends.push(this.#engines[from].send(message).catch((error: unknown) => FederationError.from(error).code))
  }

  #disturb(engine: Federation, sender: string, target: string): void {
    const dice = this.#random()
    const end = this.#random() < 0.5 ? 'initiating' : 'receiving'
    if (dice < 0.012) this.#wire()?.reset(end === 'initiating' ? Math.floor(this.#random() * 300) : undefined)
    else if (dice < 0.018) this.#wire()?.finish(end)
    else if (dice < 0.023) void this.#one(engine.links())?.close()
    else if (dice < 0.025) void engine.close(target)
    else if (dice < 0.04) engine.retryNow(target)
    else if (dice < 0.042) engine.ping({ sender: domain(sender), target: domain(target) }).catch(() => undefined)
  }

  #wire(): Wire | undefined {
    return this.#one(this.#world.network.wires)
  }

  #one<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#random() * all.length)]
  }
}

function slowGuard(random: () => number, sleep: (ms: number) => Promise<void>): Guard {
  return {
    kind: 'guard',
    name: 'slow',
    admit: async () => {
      if (random() < 0.3) await sleep(Math.ceil(random() * 20))
      return undefined
    }
  }
}

/** Whatever a stanza ended as, it was handed over as often as that says, and after those that were sent before. */
function judge(delivered: ReadonlyMap<string, readonly number[]>, ends: readonly string[]): readonly string[] {
  const problems: string[] = []
  for (const [pair, ids] of delivered)
    for (const [at, id] of ids.entries()) {
      const before = ids[at - 1] ?? -1
      if (id <= before) problems.push(`${pair}: ${id} (${ends[id] ?? ''}) came after ${before} (${ends[before] ?? ''})`)
    }
  const times = new Map<number, number>()
  for (const id of [...delivered.values()].flat()) times.set(id, (times.get(id) ?? 0) + 1)
  for (const [id, end] of ends.entries()) {
    const count = times.get(id) ?? 0
    const isRight = end === 'acknowledged' ? count === 1 : end === 'written' || end === 'S2S_IN_DOUBT' ? count <= 1 : count === 0
    if (!isRight) problems.push(`${id} ended ${end} and was handed over ${count} times`)
  }
  return problems
}

const byDialback: Policy = { proofs: () => ['dialback'] }
const KINDS: Readonly<Record<string, Kind>> = {
  'several pairs on links that go both ways': { policy: byDialback },
  'several pairs on links that go one way': { policy: byDialback, extensions: { bidi: false } },
  'a link for each pair, both ways': {},
  'a link for each pair, one way': { extensions: { bidi: false, multiplexing: false } },
  'nothing resumed': { policy: byDialback, extensions: { resumption: false } },
  'nothing acknowledged': { policy: byDialback, extensions: { streamManagement: false } }
}

describe('two engines whose links end at random, with slow handlers', () => {
  for (const [how, kind] of Object.entries(KINDS))
    for (const seed of SEEDS)
      it(`[ENG-Q-a] [RFC6120-10.1-b] keep order and promises, and come to rest: ${how}, chances ${seed}`, async function () {
        this.timeout(60_000)
        const world = createWorld({ latency: 3 })
        const unhandled: unknown[] = []
        const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
        process.on('unhandledRejection', onUnhandled)
        const play = await Play.begin(world, seeded(seed), kind)
        const ends = await play.run()
        await world.stop()
        await world.clock.advance(LONGEST)
        process.off('unhandledRejection', onUnhandled)
        assert.deepEqual(judge(play.delivered, ends), [])
        assert.deepEqual(unhandled, [])
        assert.ok([...play.delivered.values()].flat().length > STANZAS / 3, 'most is handed over')
        assert.deepEqual([world.clock.pendingTimers, world.network.wires.length], [0, 0])
      })
})
