import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Domain } from '../model/domain.ts'
import type { Clock, Timer } from '../model/plugs.ts'
import { zoneOf } from '../rules/zone.ts'
import { Line } from './line.ts'
import type { Place } from './line.ts'

export interface TurnstileOptions {
  /** What passes: for the error of whoever had no turn. */
  readonly what: 'negotiations' | 'verifications'
  /** How many may be inside at once, and which of the `limits` says so. */
  readonly most: number
  readonly limit: 'negotiations' | 'verifications' | 'verificationsPerSender'
  /** How many may enter in a second, a second's worth at once after a rest, and which of the `limits` says so; undefined: any number. */
  readonly pace?: { readonly perSecond: number; readonly limit: 'dialsPerSecond' | 'verificationsPerSecond' }
  /** How long one waits for its turn, in milliseconds. */
  readonly patience: number
  readonly clock: Clock
}

/** Those that take their turns together. */
interface Group {
  readonly name: string
  inside: number
  readonly waiting: Line<Waiting>
  /** Where it waits for its turn among the groups, if somebody of it waits. */
  place: { readonly line: 'due' | 'sated'; readonly at: Place<Group> } | undefined
}

interface Waiting {
  enter(): void
  leave(error: FederationError): void
}

/**
 * Lets so many through at once and so many in a second; whoever comes later waits, and not for ever. Groups take turns, and in each it is
 * first come, first served. A group may hold a third of what is free, which is less than a quarter of all places; the last eighth is for
 * groups that hold nothing.
 */
export class Turnstile {
  readonly #options: TurnstileOptions
  readonly #groups = new Map<string, Group>()
  /** Groups with somebody who waits: in turn, and those that hold their share. */
  readonly #lines = { due: new Line<Group>(), sated: new Line<Group>() }
  /** No sated group holds less. */
  #leastSated = Infinity
  #inside = 0
  /** When the last one would have entered, had they come evenly. */
  #pace = -Infinity
  #pause: Timer | undefined
  #closed: FederationError | undefined

  constructor(options: TurnstileOptions) {
    this.#options = options
  }

  /**
   * Runs the work when there is room for it.
   *
   * @param remote whom it calls
   * @param signal when aborted, nobody waits for its turn any more
   * @param name the group that takes turns with others: the zone of whom it calls, unless somebody else is behind it
   * @throws FederationError `S2S_BUSY` when its turn did not come in time; then, and after an abort, the work was never begun
   */
  async pass<T>(remote: Domain, work: () => Promise<T>, signal?: AbortSignal, name = zoneOf(remote)): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed
    if (signal?.aborted === true) throw abortReason(signal)
    const group = this.#groupOf(name)
    // While one pauses for the pace, others are due before.
    if (this.#pause === undefined && group.place === undefined && this.#holdsLess(group) && this.#hasRoom && this.#wait() <= 0)
      this.#enter(group)
    else await this.#turn(remote, group, signal)
    try {
      return await work()
    } finally {
      this.#inside -= 1
      group.inside -= 1
      this.#reconsider(group)
      this.#admitNext()
    }
  }

  /** Sends away whoever waits, and whoever comes later. */
  close(error: FederationError): void {
    this.#closed = error
    this.#pause?.cancel()
    for (const { waiting } of this.#groups.values())
      for (let next = waiting.first; next !== undefined; next = waiting.first) next.leave(error)
  }

  get #hasRoom(): boolean {
    return this.#inside < this.#options.most
  }

  /** What one group may hold now. */
  get #share(): number {
    const { most } = this.#options
    return Math.max(1, Math.floor((most - this.#inside - Math.floor(most / 8)) / 3))
  }

  #holdsLess(group: Group): boolean {
    return group.inside < this.#share
  }

  #groupOf(name: string): Group {
    const known = this.#groups.get(name)
    if (known !== undefined) return known
    const group: Group = { name, inside: 0, waiting: new Line(), place: undefined }
    this.#groups.set(name, group)
    return group
  }

  #enter(group: Group): void {
    this.#pace = Math.max(this.#pace, this.#options.clock.now() - 1000) + this.#gap
    this.#inside += 1
    group.inside += 1
  }

  /** Milliseconds between two that enter evenly. */
  get #gap(): number {
    return 1000 / (this.#options.pace?.perSecond ?? Infinity)
  }

  /** Milliseconds until one more may enter. */
  #wait(): number {
    return Math.max(0, this.#pace + this.#gap - this.#options.clock.now())
  }

  /** Whoever leaves, and whoever enters, lets the next in: nobody slips in between. */
  #admitNext(): void {
    while (this.#pause === undefined && this.#hasRoom) {
      if (this.#share > this.#leastSated) this.#letSatedReturn()
      const group = this.#lines.due.first
      if (group === undefined) return
      if (!this.#holdsLess(group)) this.#move(group, 'sated')
      else if (this.#wait() > 0) this.#rest()
      else {
        this.#enter(group)
        this.#move(group, 'due')
        group.waiting.first?.enter()
      }
    }
  }

  #rest(): void {
    this.#pause = this.#options.clock.setTimeout(() => {
      this.#pause = undefined
      this.#admitNext()
    }, Math.ceil(this.#wait()))
  }

  #letSatedReturn(): void {
    this.#leastSated = Infinity
    for (let group = this.#lines.sated.first; group !== undefined; group = this.#lines.sated.first) this.#move(group, 'due')
  }

  /** To the end of a line of groups, or out of all of them. */
  #move(group: Group, to: 'due' | 'sated' | undefined): void {
    if (group.place !== undefined) this.#lines[group.place.line].leave(group.place.at)
    group.place = to === undefined ? undefined : { line: to, at: this.#lines[to].join(group) }
    if (to === 'sated') this.#leastSated = Math.min(this.#leastSated, group.inside)
  }

  /** One of the group has gone, from inside or from its line. */
  #reconsider(group: Group): void {
    if (group.waiting.first === undefined) this.#move(group, undefined)
    else if (group.place?.line === 'sated') this.#move(group, this.#holdsLess(group) ? 'due' : 'sated')
    if (group.waiting.first === undefined && group.inside === 0) this.#groups.delete(group.name)
  }

  #turn(remote: Domain, group: Group, signal: AbortSignal | undefined): Promise<void> {
    const { clock, patience } = this.#options
    return new Promise((resolve, reject) => {
      const end = (): void => {
        group.waiting.leave(place)
        this.#reconsider(group)
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        if (signal !== undefined) waiting.leave(abortReason(signal))
      }
      const waiting: Waiting = {
        enter: () => {
          end()
          resolve()
        },
        leave: error => {
          end()
          reject(error)
        }
      }
      const timer = clock.setTimeout(() => waiting.leave(this.#noTurn(remote, group)), patience)
      signal?.addEventListener('abort', onAbort, { once: true })
      const place = group.waiting.join(waiting)
      if (group.place === undefined) this.#move(group, 'due')
      this.#admitNext()
    })
  }

  #noTurn(remote: Domain, { name, inside }: Group): FederationError {
    const { what, limit, most, pace, patience } = this.#options
    const held = `${this.#inside} of ${most} ${what} were under way, ${inside} of them for ${name}`
    const limits = pace === undefined ? `limits.${limit} says` : `limits.${limit} and limits.${pace.limit} say`
    const rate = pace === undefined ? '' : `, and ${pace.perSecond} begin in a second`
    const detail = `no turn for ${remote} came within ${patience} ms; ${held}${rate}; ${limits} how many`
    return new FederationError('S2S_BUSY', { detail })
  }
}
