import { Duplex } from 'node:stream'
import type { SocketAddress } from '../model/plugs.ts'
import type { CutKind, CutPlace, End } from './cut.ts'
import { connectionReset, Lane } from './lane.ts'
import type { LaneOptions } from './lane.ts'

/** One connection of an in-memory network, seen from the middle. */
export interface Wire {
  /** Who dialled, and what was dialled. */
  readonly from: SocketAddress
  readonly to: SocketAddress
  /** The ends that have not been destroyed yet; empty: the connection is gone. */
  readonly heldBy: readonly End[]
  /** Bytes that each end has sent. */
  readonly sent: Readonly<Record<End, number>>
  /**
   * Both ends see ECONNRESET, after what is already on its way. With `arriving`, no more than so many bytes of that still arrive at
   * either end, and the rest is lost, as when a machine goes down.
   */
  reset(arriving?: number): void
  /** The bytes that one end sends from now on stop at a place, as with the network's `cut`. */
  cut(fault: { readonly how: CutKind; readonly of: End } & CutPlace): void
  /** The other end sees a FIN after what is already on its way; what this end sends from now on vanishes. */
  finish(end: End): void
  /** What one end has sent, or both, no longer arrives, be it bytes, FIN or reset; back-pressure builds up. */
  stall(end?: End): void
  /** Ends a stall. */
  resume(end?: End): void
}

export interface WireOptions extends LaneOptions {
  readonly from: SocketAddress
  readonly to: SocketAddress
  /** Whether an end stays writable after a FIN; Node's sockets do not unless told to. */
  readonly allowHalfOpen: Readonly<Record<End, boolean>>
  readonly onGone: () => void
}

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
    reset: (arriving = Infinity) => {
      for (const end of both) lanes[end].lose(arriving)
      for (const end of both) lanes[end].end('reset')
    },
    cut: ({ how, of, ...at }) => lanes[of].cut({ how, of, at, hit: () => undefined }),
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
