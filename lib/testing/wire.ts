import { Duplex } from 'node:stream'
import type { Clock, SocketAddress, Timer } from '../model/plugs.ts'
import { cutter } from './cut.ts'
import type { Cut, CutKind, Cutter } from './cut.ts'

/** The two ends of a connection: who dialled, and who listened. */
export type End = 'initiating' | 'receiving'

/** One connection of an in-memory network, seen from the middle. */
export interface Wire {
  /** Who dialled, and what was dialled. */
  readonly from: SocketAddress
  readonly to: SocketAddress
  /** The ends that have not been destroyed yet; empty: the connection is gone. */
  readonly heldBy: readonly End[]
  /** Bytes that each end has sent. */
  readonly sent: Readonly<Record<End, number>>
  /** Both ends see ECONNRESET, after what is already on its way. */
  reset(): void
  /** The other end sees a FIN after what is already on its way; what this end sends from now on vanishes. */
  finish(end: End): void
  /** What one end has sent, or both, no longer arrives, be it bytes, FIN or reset; back-pressure builds up. */
  stall(end?: End): void
  /** Ends a stall. */
  resume(end?: End): void
}

export interface WireOptions {
  readonly from: SocketAddress
  readonly to: SocketAddress
  /** Bytes that each of the three buffers between a writer and a reader holds before it pushes back. */
  readonly highWaterMark: number
  /** Bytes that arrive in one turn of the event loop, at most. */
  readonly segment: number
  /** Milliseconds, on the clock, that bytes take. */
  readonly latency: number
  readonly clock: Clock | undefined
  /** Whether an end stays writable after a FIN; Node's sockets do not unless told to. */
  readonly allowHalfOpen: Readonly<Record<End, boolean>>
  readonly cuts: readonly Cut[]
  readonly onGone: () => void
}

type Item = Buffer | CutKind

/** Makes a connection and gives its two ends. */
export function createWire(options: WireOptions): { readonly wire: Wire; readonly ends: Readonly<Record<End, Duplex>> } {
  const lanes = { initiating: new Lane(options, 'initiating'), receiving: new Lane(options, 'receiving') }
  const ends = {
    initiating: new WireEnd(lanes.receiving, lanes.initiating, options, 'initiating'),
    receiving: new WireEnd(lanes.initiating, lanes.receiving, options, 'receiving')
  }
  const both = ['initiating', 'receiving'] as const
  const heldBy = (): End[] => both.filter(end => !ends[end].destroyed)
  for (const end of both) ends[end].once('close', () => heldBy().length === 0 && options.onGone())
  lanes.initiating.open(ends.receiving, lanes.receiving)
  lanes.receiving.open(ends.initiating, lanes.initiating)
  const wire: Wire = {
    from: options.from,
    to: options.to,
    get heldBy() {
      return heldBy()
    },
    get sent() {
      return { initiating: lanes.initiating.sent, receiving: lanes.receiving.sent }
    },
    reset: () => both.forEach(end => lanes[end].end('reset')),
    finish: end => lanes[end].end('fin'),
    stall: end => (end === undefined ? both : [end]).forEach(each => lanes[each].stall()),
    resume: end => (end === undefined ? both : [end]).forEach(each => lanes[each].resume())
  }
  return { wire, ends }
}

class WireEnd extends Duplex {
  readonly #incoming: Lane
  readonly #outgoing: Lane

  constructor(incoming: Lane, outgoing: Lane, { highWaterMark, allowHalfOpen }: WireOptions, end: End) {
    super({ highWaterMark, allowHalfOpen: allowHalfOpen[end] })
    this.#incoming = incoming
    this.#outgoing = outgoing
    // Like a socket that nobody owns yet: its errors end no process.
    this.on('error', () => undefined)
  }

  override _read(): void {
    this.#incoming.pull()
  }

  override _write(chunk: Buffer, _encoding: string, taken: (error?: Error) => void): void {
    if (this.#incoming.brings('reset')) taken(connectionReset('write'))
    else this.#outgoing.send(Buffer.from(chunk), taken)
  }

  override _final(done: () => void): void {
    this.#outgoing.end('fin')
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#incoming.abandon()
    if (!this.writableFinished) this.#outgoing.end('reset')
    done(error)
  }
}

/** What one end sends, on its way to the other. */
class Lane {
  readonly #options: WireOptions
  readonly #cut: Cutter
  readonly #items: Item[] = []
  readonly #flights = new Set<Timer>()
  #receiver: WireEnd | undefined
  #opposite: Lane | undefined
  #roomAwaited: ((error?: Error) => void) | undefined
  #buffered = 0
  #wanted = false
  #stalled = false
  #ended: 'fin' | 'reset' | undefined
  #abandoned = false
  #turn: NodeJS.Immediate | undefined
  sent = 0

  constructor(options: WireOptions, sender: End) {
    this.#options = options
    this.#cut = cutter(options.cuts.filter(each => each.of === sender))
  }

  open(receiver: WireEnd, opposite: Lane): void {
    this.#receiver = receiver
    this.#opposite = opposite
    // A fault after no bytes happens at once.
    this.send(Buffer.alloc(0), () => undefined)
    // As sockets do: what arrives before somebody reads is taken up to the high-water mark.
    receiver.read(0)
  }

  /** Takes bytes over; `taken` is called once there is room for more. */
  send(chunk: Buffer, taken: (error?: Error) => void): void {
    this.sent += chunk.length
    if (this.#abandoned) this.#opposite?.end('reset')
    if (this.#abandoned || this.#ended !== undefined) {
      taken()
      return
    }
    const fault = this.#cut(chunk)
    if (fault === undefined) this.#depart(chunk)
    else this.#suffer(fault.cut, chunk.subarray(0, fault.at), chunk.subarray(fault.at))
    if (this.#buffered < this.#options.highWaterMark) taken()
    else this.#roomAwaited = taken
  }

  /** Nothing that is sent from now on arrives; a reset may still follow a FIN. */
  end(how: 'fin' | 'reset'): void {
    if (this.#ended === 'reset' || this.#ended === how) return
    this.#ended = how
    this.#depart(how)
  }

  stall(): void {
    this.#stalled = true
  }

  resume(): void {
    this.#stalled = false
    this.#schedule()
  }

  /** The receiver asks for more. */
  pull(): void {
    this.#wanted = true
    this.#schedule()
  }

  /** The receiver is gone: nothing is on its way any more, and who waits for room hears that there will be none. */
  abandon(): void {
    this.#abandoned = true
    for (const timer of this.#flights) timer.cancel()
    this.#flights.clear()
    this.#items.length = 0
    const waiting = this.#roomAwaited
    this.#roomAwaited = undefined
    this.#took(this.#buffered)
    waiting?.(connectionReset('write'))
  }

  brings(item: 'reset'): boolean {
    return this.#items.includes(item)
  }

  #suffer({ how, hit }: Cut, before: Buffer, after: Buffer): void {
    hit()
    this.#depart(before)
    if (how === 'stall') {
      this.#depart('stall')
      this.#depart(after)
    } else {
      this.end(how)
      if (how === 'reset') this.#opposite?.end('reset')
    }
  }

  #depart(item: Item): void {
    if (this.#abandoned) return
    if (typeof item !== 'string') this.#buffered += item.length
    const { latency, clock } = this.#options
    if (latency === 0 || clock === undefined) {
      this.#arrive(item)
      return
    }
    const timer = clock.setTimeout(() => {
      this.#flights.delete(timer)
      this.#arrive(item)
    }, latency)
    this.#flights.add(timer)
  }

  #arrive(item: Item): void {
    if (item.length > 0) this.#items.push(item)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#items.length === 0 || this.#stalled || !(this.#wanted || this.#items[0] === 'reset')) return
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.#deliver()
    })
  }

  /** Brings what fits into one turn. */
  #deliver(): void {
    let room = this.#options.segment
    let idle = true
    while (room > 0 && this.#wanted && !this.#stalled) {
      const item = this.#items[0]
      if (item === undefined) return
      if (typeof item !== 'string') {
        idle = false
        const bytes = item.subarray(0, room)
        room -= bytes.length
        if (bytes.length === item.length) this.#items.shift()
        else this.#items[0] = item.subarray(bytes.length)
        this.#wanted = this.#receiver?.push(bytes) ?? false
        this.#took(bytes.length)
      } else if (item === 'reset') break
      else this.#mark(item)
    }
    // In a turn of its own: a stream that is destroyed no longer shows what it has just got.
    if (idle && this.#items[0] === 'reset' && !this.#stalled) this.#receiver?.destroy(connectionReset('read'))
    else this.#schedule()
  }

  #mark(item: 'fin' | 'stall'): void {
    this.#items.shift()
    if (item === 'stall') this.#stalled = true
    else this.#receiver?.push(null)
  }

  #took(bytes: number): void {
    this.#buffered -= bytes
    if (this.#buffered >= this.#options.highWaterMark) return
    const taken = this.#roomAwaited
    this.#roomAwaited = undefined
    taken?.()
  }
}

function connectionReset(call: 'read' | 'write'): Error {
  return Object.assign(new Error(`${call} ECONNRESET`), { code: 'ECONNRESET', errno: -104, syscall: call })
}
