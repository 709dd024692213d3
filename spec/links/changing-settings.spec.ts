import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { seeded } from '../../benchmark/random.ts'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { pairKey } from '../../lib/model/domain.ts'
import type { DomainPair } from '../../lib/model/domain.ts'
import type { Guard, Policy } from '../../lib/model/policy.ts'
import { createWorld, pairOf } from '../world.ts'

const STANZAS = 1_000
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]
/** No moment of the network, and no handler but a few, takes longer than this. */
const LATENCY = 3

type Side = 'a' | 'b'
const domainsOf = (side: Side): readonly string[] => [1, 2, 3].map(n => `${side}${n}.example`)
const other = (side: Side): Side => (side === 'a' ? 'b' : 'a')

/** One engine with what its guard refuses, and since when that is in force. */
interface Player {
  readonly engine: Federation
  refuses: string | undefined
  isInForce: boolean
}

interface Sent {
  readonly pair: DomainPair
  readonly end: Promise<string>
}

/** Two engines of three domains each that send to each other while their connections end, their settings change and links are closed. */
class Play {
  readonly world = createWorld({ latency: LATENCY })
  readonly problems: string[] = []
  readonly sent: Sent[] = []
  readonly #random: () => number
  readonly #delivered = new Map<string, number[]>()
  readonly #players = new Map<Side, Player>()

  constructor(seed: number) {
    this.#random = seeded(seed)
  }

  async run(policy: Policy | undefined): Promise<void> {
    for (const side of ['a', 'b'] as const) this.#players.set(side, await this.#player(side, policy))
    while (this.sent.length < STANZAS) {
      this.#send()
      if (this.#chance(0.1)) await this.world.clock.advance(this.#upTo(60))
      else if (this.#chance(0.1)) await new Promise(resolve => setImmediate(resolve))
      this.#disturb()
    }
    const ends = await this.world.run(Promise.all(this.sent.map(({ end }) => end)))
    await this.world.clock.advance(60_000)
    this.#compare(ends)
    await this.world.stop()
    await this.world.clock.settle()
    assert.deepEqual([this.world.network.wires.length, this.world.clock.pendingTimers], [0, 0], 'nothing is left')
  }

  async #player(side: Side, policy: Policy | undefined): Promise<Player> {
    const [first = '', ...others] = domainsOf(side)
    const certificate = this.world.authority.issue(first, { alsoFor: others, now: this.world.clock.now() })
    const engine = await this.world.engine(first, {
      domains: Object.fromEntries(domainsOf(side).map(name => [name, certificate])),
      random: () => 0,
      ...(policy === undefined ? {} : { policy }),
      limits: { verificationsPerSender: 64, unackedStanzas: this.#upTo(50) },
      onStanza: ({ id = '' }, { pair }) => this.#deliver(side, pair.pair, Number(id))
    })
    for (const name of others) this.world.network.zone.server(name, { addresses: [this.world.addressOf(first)] })
    return { engine, refuses: undefined, isInForce: false }
  }

  #deliver(side: Side, pair: DomainPair, id: number): Promise<void> | undefined {
    const player = this.#players.get(side)
    if (player?.isInForce === true && player.refuses === pair.sender)
      this.problems.push(`${id} of ${pair.sender} came after it was refused`)
    const key = pairKey(pair)
    this.#delivered.set(key, [...(this.#delivered.get(key) ?? []), id])
    if (!this.#chance(0.2)) return undefined
    const delay = this.#upTo(this.#chance(0.02) ? 20_000 : 30)
    return new Promise(resolve => void this.world.clock.setTimeout(resolve, delay))
  }

  #send(): void {
    const side = this.#side()
    const pair = pairOf(this.#one(domainsOf(side)), this.#one(domainsOf(other(side))))
    const stanza = new Element('message', { from: `x@${pair.sender}`, to: `y@${pair.target}`, id: `${this.sent.length}` })
    const end = this.#engine(side)
      .send(stanza)
      .catch((error: unknown) => FederationError.from(error).code)
    this.sent.push({ pair, end })
  }

  /** Most of the time nothing happens. */
  #disturb(): void {
    const side = this.#side()
    const engine = this.#engine(side)
    const { wires } = this.world.network
    const wire = wires[Math.floor(this.#random() * wires.length)]
    const events: readonly (readonly [share: number, happens: () => void])[] = [
      [0.006, () => wire?.reset(this.#chance(0.5) ? this.#upTo(300) : undefined)],
      [0.001, () => wire?.finish(this.#chance(0.5) ? 'initiating' : 'receiving')],
      [0.003, () => void this.#maybeOne(engine.links())?.close()],
      [0.001, () => void engine.close(this.#one(domainsOf(other(side))))],
      [0.007, () => this.#changeGuards(side)],
      [0.024, () => engine.retryNow(this.#one(domainsOf(other(side))))]
    ]
    let drawn = this.#random()
    for (const [share, happens] of events) {
      if (drawn < share && drawn >= 0) happens()
      drawn -= share
    }
  }

  /** Refuses one domain of the other side, or nobody any more; what is refused must not come once the change is made. */
  #changeGuards(side: Side): void {
    const player = this.#players.get(side)
    if (player === undefined) return
    player.isInForce = false
    player.refuses = player.refuses === undefined ? this.#one(domainsOf(other(side))) : undefined
    const { refuses } = player
    const isSlow = this.#chance(0.3)
    const said = (remote: string | undefined): 'refuse' | undefined => (remote === refuses ? 'refuse' : undefined)
    const later = (remote: string | undefined): Promise<'refuse' | undefined> =>
      new Promise(resolve => void this.world.clock.setTimeout(() => resolve(said(remote)), 5))
    const guard: Guard = { kind: 'guard', name: 'refuses', admit: ({ remote }) => (isSlow ? later(remote) : said(remote)) }
    void player.engine.setGuards(refuses === undefined ? [] : [guard]).then(() => {
      if (player.refuses === refuses) player.isInForce = refuses !== undefined
    })
  }

  /** Every end of `send` against what arrived, and the order of each pair. */
  #compare(ends: readonly string[]): void {
    const times = new Map<number, number>()
    for (const [key, ids] of this.#delivered)
      for (const [i, id] of ids.entries()) {
        times.set(id, (times.get(id) ?? 0) + 1)
        const before = ids[i - 1] ?? -1
        if (before >= id) this.problems.push(`${key}: ${id} (${ends[id] ?? ''}) came behind ${before} (${ends[before] ?? ''})`)
      }
    for (const [id, end] of ends.entries()) {
      const arrived = times.get(id) ?? 0
      const isRight = end === 'acknowledged' ? arrived === 1 : end === 'written' || end === 'S2S_IN_DOUBT' ? arrived <= 1 : arrived === 0
      if (!isRight) this.problems.push(`${id} ended ${end} and arrived ${arrived} times`)
    }
  }

  #engine(side: Side): Federation {
    return this.#players.get(side)?.engine ?? assert.fail('it has not begun')
  }

  #side(): Side {
    return this.#chance(0.5) ? 'a' : 'b'
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most)
  }

  #one<T>(of: readonly T[]): T {
    return this.#maybeOne(of) ?? assert.fail('there is none')
  }

  #maybeOne<T>(of: readonly T[]): T | undefined {
    return of[Math.floor(this.#random() * of.length)]
  }
}

describe('traffic both ways between several pairs while settings change', () => {
  const HOW: readonly (readonly [string, Policy | undefined])[] = [
    ['on links that each pair has for itself, both ways', undefined],
    ['on links that pairs share by dialback', { name: 'own', proofs: () => ['dialback'] }]
  ]
  for (const [how, policy] of HOW)
    for (const seed of SEEDS)
      it(`[ENG-Q-a] ${how}: every end is true, and nothing comes from whom settings refuse (seed ${seed})`, async function () {
        this.timeout(60_000)
        const play = new Play(seed)
        await play.run(policy)
        assert.deepEqual(play.problems, [])
      })
})
