import type { Link } from '../lib/model/link.ts'
import type { Timer } from '../lib/model/plugs.ts'
import type { End } from '../lib/testing/cut.ts'
import type { Wire } from '../lib/testing/wire.ts'
import type { TurnClock } from './accounting-clock.ts'
import type { AccountingWorld } from './accounting-world.ts'

const REFUSED = 2_000

export type KillKind = 'reset' | 'cut' | 'fin' | 'closed' | 'stalled' | 'unreachable'

/** Out of a hundred. */
const KINDS: readonly (readonly [KillKind, number])[] = [
  ['reset', 35],
  ['cut', 22],
  ['closed', 30],
  ['fin', 8],
  ['stalled', 3],
  ['unreachable', 2]
]

/** Ends connections at random, in every way in which connections end. */
export class Killer {
  readonly kills = new Map<KillKind, number>()
  readonly #world: AccountingWorld
  readonly #clock: TurnClock
  readonly #random: () => number
  /** Each lifts one fault. */
  readonly #lifts = new Set<Timer>()

  constructor(world: AccountingWorld, clock: TurnClock, random: () => number) {
    this.#world = world
    this.#clock = clock
    this.#random = random
  }

  strike(): void {
    const kind = this.#kind()
    const hit = kind === 'closed' ? this.#close() : kind === 'unreachable' ? this.#cutOff() : this.#break(kind)
    if (hit) this.kills.set(kind, (this.kills.get(kind) ?? 0) + 1)
  }

  end(): void {
    for (const timer of this.#lifts) timer.cancel()
  }

  #kind(): KillKind {
    let left = this.#random() * 100
    for (const [kind, share] of KINDS) if ((left -= share) < 0) return kind
    return 'reset'
  }

  #one<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)]
  }

  #end(): End {
    return this.#random() < 0.5 ? 'initiating' : 'receiving'
  }

  /** Either entity closes the stream politely. */
  #close(): boolean {
    const link: Link | undefined = this.#one(this.#one(this.#world.engines)?.links() ?? [])
    void link?.close()
    return link !== undefined
  }

  /** Nobody can connect to one of the engines for a while. */
  #cutOff(): boolean {
    const address = this.#one(this.#world.addresses)
    if (address === undefined) return false
    const fault = this.#world.network.refuse(address)
    const timer = this.#clock.setTimeout(() => {
      fault.lift()
      this.#lifts.delete(timer)
    }, REFUSED)
    this.#lifts.add(timer)
    return true
  }

  #break(kind: Exclude<KillKind, 'closed' | 'unreachable'>): boolean {
    const wire = this.#one(this.#world.network.wires)
    if (wire !== undefined) this.#breakWire(wire, kind)
    return wire !== undefined
  }

  #breakWire(wire: Wire, kind: Exclude<KillKind, 'closed' | 'unreachable'>): void {
    if (kind === 'reset') wire.reset(this.#random() < 0.5 ? Infinity : Math.floor(this.#random() * 10_000))
    else if (kind === 'fin') wire.finish(this.#end())
    else if (kind === 'stalled') wire.stall(this.#random() < 0.5 ? undefined : this.#end())
    else {
      const how = this.#random() < 0.7 ? 'reset' : 'fin'
      wire.cut({ how, of: this.#end(), after: Math.floor(this.#random() * 20_000) })
    }
  }
}
