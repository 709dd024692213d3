import type { LocalServer } from '../auth/local-server.ts'
import type { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Timer } from '../model/plugs.ts'
import type { Consignment } from '../streams/consignment.ts'
import type { Backlog } from './backlog.ts'
import { noLinkInTime, noRoomInTime, queueFull, tooLargeToWait } from './refusals.ts'

/** What a queue knows of its route. */
interface QueueOwner {
  /** The last that waited was too old. */
  readonly onEmpty: () => void
  /** Whether there is a link, which has no room then. */
  readonly hasLink: () => boolean
}

/** What waits for the link of one pair, in order: bounded in count, bytes and age, and in what waits for all pairs together. */
export class Queue {
  readonly #pair: DomainPair
  readonly #server: LocalServer
  readonly #backlog: Backlog
  readonly #owner: QueueOwner
  #waiting: Consignment[] = []
  #bytes = 0
  #ageing: Timer | undefined

  constructor(pair: DomainPair, server: LocalServer, backlog: Backlog, owner: QueueOwner) {
    this.#pair = pair
    this.#server = server
    this.#backlog = backlog
    this.#owner = owner
  }

  get length(): number {
    return this.#waiting.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Why no more of this size may wait; undefined: it may.
   *
   * @param isFlowing whether a link takes it at once, if nothing waits before it: then no other pair's stanzas keep it from leaving
   */
  refusal(size: number, isFlowing: boolean): FederationError | undefined {
    const { queuedStanzas, queuedBytes } = this.#server.limits
    if (size > queuedBytes) return tooLargeToWait(this.#pair, size, queuedBytes)
    if (this.length >= queuedStanzas || this.#bytes + size > queuedBytes) return queueFull(this.#pair, this.length, this.#bytes)
    return isFlowing && this.length === 0 ? undefined : this.#backlog.refusal(this.#pair, size)
  }

  push(consignment: Consignment): void {
    this.#waiting.push(consignment)
    this.#add(consignment)
    this.#watchAge(consignment)
  }

  shift(): Consignment | undefined {
    const next = this.#waiting.shift()
    if (next !== undefined) this.#remove(next)
    return next
  }

  /** What comes back goes before what was queued since, in the order in which all of it was sent; however full the queue is. */
  takeBack(returned: readonly Consignment[]): void {
    for (const each of returned) this.#add(each)
    this.#waiting = [...returned, ...this.#waiting].sort((a, b) => a.number - b.number)
    const [oldest] = this.#waiting
    if (oldest !== undefined) this.#watchAge(oldest)
  }

  /** Fails everything that waits. */
  clear(error: FederationError): void {
    this.#reject(this.#waiting.splice(0), error)
  }

  /** Nothing waits, or ever will: no timer is left. */
  rest(): void {
    this.#ageing?.cancel()
    this.#ageing = undefined
  }

  #add({ size }: Consignment): void {
    this.#bytes += size
    this.#backlog.add(size)
  }

  #remove({ size }: Consignment): void {
    this.#bytes -= size
    this.#backlog.remove(size)
  }

  #reject(waiting: readonly Consignment[], error: FederationError): void {
    for (const each of waiting) this.#remove(each)
    for (const each of waiting) each.failed(error)
  }

  /** One timer for the oldest, not one for each. */
  #watchAge(oldest: Consignment): void {
    if (this.#ageing !== undefined) return
    const { clock, timeouts } = this.#server
    this.#ageing = clock.setTimeout(() => this.#dropOld(), Math.max(0, oldest.since + timeouts.queue - clock.now()))
  }

  #dropOld(): void {
    this.#ageing = undefined
    const { clock, timeouts } = this.#server
    const young = this.#waiting.findIndex(each => each.since + timeouts.queue > clock.now())
    const why = this.#owner.hasLink() ? noRoomInTime : noLinkInTime
    this.#reject(this.#waiting.splice(0, young < 0 ? this.length : young), why(this.#pair, timeouts.queue))
    const [next] = this.#waiting
    if (next === undefined) this.#owner.onEmpty()
    else this.#watchAge(next)
  }
}
