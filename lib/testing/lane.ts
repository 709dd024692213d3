import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../model/plugs.ts'
import { Cutter } from './cut.ts'
import type { Cut, CutKind, End } from './cut.ts'

export interface LaneOptions {
  /** Bytes that each of the three buffers between a writer and a reader holds before it pushes back. */
  readonly highWaterMark: number
  /** Bytes that arrive in one turn of the event loop, at most. */
  readonly segment: number
  /** Milliseconds, on the clock, that bytes take. */
  readonly latency: number
  readonly clock: Clock | undefined
  readonly cuts: readonly Cut[]
}

type Item = Buffer | CutKind

/** A fault after no bytes happens at once. */
const NOTHING = Buffer.alloc(0)

/** What one end sends, on its way to the other. */
export class Lane {
  readonly #options: LaneOptions
  readonly #cut: Cutter
  readonly #items: Item[] = []
  readonly #flights = new Set<Timer>()
  #receiver: Duplex | undefined
  #opposite: Lane | undefined
  #roomAwaited: ((error?: Error) => void) | undefined
  #buffered = 0
  #wanted = false
  #stalled = false
  #ended: 'fin' | 'reset' | undefined
  #abandoned = false
  /** Bytes that still arrive; what is on its way behind them is lost. */
  #arriving = Infinity
  #turn: NodeJS.Immediate | undefined
  sent = 0

  constructor(options: LaneOptions, sender: End) {
    this.#options = options
    this.#cut = new Cutter(options.cuts.filter(each => each.of === sender))
  }

  open(receiver: Duplex, opposite: Lane): void {
    this.#receiver = receiver
    this.#opposite = opposite
    this.#pass(NOTHING)
    // As sockets do: what arrives before somebody reads is taken up to the high-water mark.
    receiver.read(0)
  }

  /** Takes bytes over; `taken` is called once there is room for more. */
  send(chunk: Buffer, taken: (error?: Error) => void): void {
    this.sent += chunk.length
    if (this.#abandoned) this.#opposite?.end('reset')
    const isGoing = this.#ended === undefined && !this.#abandoned
    if (isGoing) this.#pass(chunk)
    if (!isGoing || this.#buffered < this.#options.highWaterMark) taken()
    else this.#roomAwaited = taken
  }

  #pass(chunk: Buffer): void {
    const fault = this.#cut.find(chunk)
    if (fault === undefined) this.#depart(chunk)
    else this.#suffer(fault.cut, chunk.subarray(0, fault.at), chunk.subarray(fault.at))
  }

  /** Nothing that is sent from now on arrives; a reset may still follow a FIN. */
  end(how: 'fin' | 'reset'): void {
    if (this.#ended === 'reset' || this.#ended === how) return
    this.#ended = how
    this.#depart(how)
  }

  cut(cut: Cut): void {
    this.#cut.add(cut)
    this.#pass(NOTHING)
  }

  /** Of what is on its way, only so many bytes arrive. */
  lose(arriving: number): void {
    if (arriving >= this.#buffered) return
    this.#arriving = arriving
    for (const item of this.#items.splice(0)) this.#enqueue(item)
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
    this.#enqueue(item)
    this.#schedule()
  }

  #enqueue(item: Item): void {
    if (typeof item === 'string') this.#items.push(item)
    else {
      const arrives = item.subarray(0, this.#arriving)
      this.#arriving -= arrives.length
      this.#took(item.length - arrives.length)
      if (arrives.length > 0) this.#items.push(arrives)
    }
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
    // Who waits for room where bytes were lost hears of the reset.
    if (this.#buffered >= this.#options.highWaterMark || this.#arriving < Infinity) return
    const taken = this.#roomAwaited
    this.#roomAwaited = undefined
    taken?.()
  }
}

/** The error that a socket has after a reset. */
export function connectionReset(call: 'read' | 'write'): Error {
  return Object.assign(new Error(`${call} ECONNRESET`), { code: 'ECONNRESET', errno: -104, syscall: call })
}
