import { pairKey } from '../lib/model/domain.ts'
import type { FederationOptions, StanzaContext } from '../lib/options.ts'
import type { Stanza } from '../lib/model/stanza.ts'
import { TurnClock } from './accounting-clock.ts'
import { Heap } from './accounting-heap.ts'
import { Killer } from './accounting-kills.ts'
import type { KillKind } from './accounting-kills.ts'
import { Ledger } from './accounting-ledger.ts'
import type { Figures } from './accounting-ledger.ts'
import { Sender, textOf } from './accounting-traffic.ts'
import { createAccountingWorld } from './accounting-world.ts'
import type { AccountingWorld } from './accounting-world.ts'
import { seeded } from './random.ts'

export interface RunOptions {
  readonly stanzas: number
  readonly pairs: number
  readonly seed: number
  /** One connection ends for so many stanzas. */
  readonly stanzasPerKill: number
  readonly extensions?: FederationOptions['extensions']
  /** Whether certificates prove who everybody is; else dialback does. */
  readonly isCertified: boolean
  /** Whether each pair comes with its reverse, which begins a little later and finds a link. */
  readonly isAnswered?: boolean
  /** Whether the heap is measured, which takes whole collections. */
  readonly measuresHeap: boolean
}

export interface RunResult extends Figures {
  readonly kills: ReadonlyMap<KillKind, number>
  readonly links: number
  /** Pairs that were authenticated on a link that there was. */
  readonly joined: number
  readonly seconds: number
  /** On the engines' clock. */
  readonly simulatedSeconds: number
  /** Bytes. */
  readonly peakHeap: number
  /** What was wrong, in words; empty: the books are right. */
  readonly violations: readonly string[]
}

/** How far one turn of the event loop moves the engines' clock, in milliseconds. */
const TURN = 20
/** How much later an answer begins, in milliseconds on the engines' clock. */
const LATER = 1_500
/** Turns without any event after which the clock moves on to the next timer. */
const QUIET_TURNS = 400
/** How long a slow handler takes at most, in milliseconds on the engines' clock. */
const SLOW = 2_000

/** One run: engines, pairs, stanzas, and connections that end at random; then the books are closed. */
export async function runAccounting(options: RunOptions): Promise<RunResult> {
  const run = new Run(options)
  const began = process.hrtime.bigint()
  await run.go()
  return run.result(Number(process.hrtime.bigint() - began) / 1e9)
}

class Run {
  readonly #options: RunOptions
  readonly #start = Date.now()
  readonly #clock = new TurnClock(this.#start)
  readonly #ledger: Ledger
  readonly #world: AccountingWorld
  readonly #killer: Killer
  readonly #senders: readonly Sender[]
  readonly #pairs: ReadonlyMap<string, number>
  readonly #random: () => number
  readonly #heap: Heap | undefined
  #struck = 0
  #links = 0
  #joined = 0
  #bounced = 0
  #isSending = true

  constructor(options: RunOptions) {
    const { stanzas, pairs, seed, extensions, isCertified, isAnswered = false } = options
    const random = seeded(seed)
    this.#options = options
    this.#random = random
    this.#heap = options.measuresHeap ? new Heap() : undefined
    this.#ledger = new Ledger(stanzas, pairs)
    const onStanza = this.#deliver.bind(this)
    this.#world = createAccountingWorld({ clock: this.#clock, random, pairs, onStanza, extensions, isCertified, isAnswered })
    this.#killer = new Killer(this.#world, this.#clock, random)
    const on = { ledger: this.#ledger, clock: this.#clock, random }
    this.#senders = this.#world.sendings.map((sending, index) => new Sender(sending, index, on))
    this.#pairs = new Map(this.#world.sendings.map(({ pair }, index) => [pairKey(pair), index]))
    for (const engine of this.#world.engines) {
      engine.on('link-established', ({ link }) => (this.#links += link.direction === 'outgoing' ? 1 : 0))
      engine.on('pair-authenticated', ({ link }) => (this.#joined += link.direction === 'outgoing' && link.pairs.length > 1 ? 1 : 0))
      engine.on('stanza-bounced', () => (this.#bounced += 1))
    }
  }

  async go(): Promise<void> {
    const { engines } = this.#world
    await this.#turning(Promise.all(engines.map(engine => engine.start())))
    for (const [index, sender] of this.#senders.entries()) {
      if (this.#options.isAnswered === true && index % 2 === 1) this.#clock.setTimeout(() => sender.go(), LATER)
      else sender.go()
    }
    await this.#turning()
    this.#isSending = false
    this.#killer.end()
    for (const sender of this.#senders) sender.end()
    await this.#turning(Promise.all(engines.map(engine => engine.stop())))
  }

  result(seconds: number): RunResult {
    const figures = this.#ledger.close()
    const { violations } = this.#ledger
    const rejections = [...figures.rejected.values()].reduce(
      (sum, each) => sum + each,
      figures.inDoubtDelivered + figures.inDoubtNotDelivered
    )
    if (this.#bounced !== rejections) violations.push(`${rejections} stanzas were rejected, and 'stanza-bounced' told of ${this.#bounced}`)
    if (this.#world.network.wires.length > 0) violations.push(`${this.#world.network.wires.length} connections are left`)
    if (this.#clock.pendingTimers > 0) violations.push(`${this.#clock.pendingTimers} timers are left`)
    if (this.#heap?.grows === true) violations.push(`memory grows: ${this.#heap.described}`)
    return {
      ...figures,
      kills: this.#killer.kills,
      links: this.#links,
      joined: this.#joined,
      seconds,
      simulatedSeconds: (this.#clock.now() - this.#start) / 1000,
      peakHeap: this.#heap?.peak ?? 0,
      violations
    }
  }

  /** Turns the event loop until some work is done; without, until every stanza has ended. Time jumps when nothing else moves. */
  async #turning(work?: Promise<unknown>): Promise<void> {
    const state = { isDone: false }
    const done = (): void => void (state.isDone = true)
    work?.then(done, done)
    let seen = -1
    for (let quiet = 0; !state.isDone && (work !== undefined || this.#ledger.settled < this.#options.stanzas);) {
      await new Promise(resolve => setImmediate(resolve))
      this.#clock.tick(TURN)
      this.#strike()
      const events = this.#ledger.settled + this.#ledger.delivered + this.#world.network.opened
      quiet = events === seen ? quiet + 1 : 0
      seen = events
      if (quiet < QUIET_TURNS) continue
      quiet = 0
      if (!this.#clock.skip()) break
    }
    await work
  }

  #strike(): void {
    const { stanzas, stanzasPerKill } = this.#options
    const { settled } = this.#ledger
    for (; this.#isSending && this.#struck < settled / stanzasPerKill; this.#struck += 1) this.#killer.strike()
    this.#heap?.look(settled / stanzas)
  }

  /** What a handler does beside: mostly nothing, now and then something that takes a turn, or a while. */
  #work(): Promise<void> | undefined {
    const dice = this.#random()
    if (dice < 0.9) return undefined
    const isSlow = dice > 0.999
    return new Promise(resolve => (isSlow ? this.#clock.setTimeout(resolve, this.#random() * SLOW) : setImmediate(resolve)))
  }

  #deliver(stanza: Stanza, { pair }: StanzaContext): Promise<void> | undefined {
    const number = Number(stanza.id)
    this.#ledger.deliver(number, this.#pairs.get(pairKey(pair.pair)) ?? -1)
    if (stanza.from.domain !== pair.pair.sender || stanza.to.domain !== pair.pair.target)
      this.#ledger.violations.push(`stanza ${number} was delivered on another pair than its own`)
    // Building the tree costs more than everything else.
    if (number % 64 === 0 && stanza.element.getChildText('body') !== textOf(number))
      this.#ledger.violations.push(`stanza ${number} was changed`)
    return this.#work()
  }
}
