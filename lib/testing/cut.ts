/** The two ends of a connection: who dialled, and who listened. */
export type End = 'initiating' | 'receiving'

/** What happens to a connection at a place in its bytes. */
export type CutKind = 'reset' | 'fin' | 'stall'

/**
 * Where in the bytes of one end: after so many of them, or before or after a pattern. `before` keeps back what of the pattern
 * arrives in one piece. Simulated TLS encrypts nothing, so patterns are found inside it too.
 */
export type CutPlace =
  | { readonly after: number | string | Buffer; readonly before?: undefined; readonly nth?: number }
  | { readonly before: string | Buffer; readonly after?: undefined; readonly nth?: number }

/** A fault that waits in the bytes of one end. */
export interface Cut {
  readonly of: End
  readonly how: CutKind
  readonly at: CutPlace
  /** Called when it happens. */
  readonly hit: () => void
}

/** Watches the bytes of one end for all of its faults. */
export class Cutter {
  readonly #watches = new Map<Cut, Watch>()

  constructor(cuts: readonly Cut[]) {
    for (const cut of cuts) this.add(cut)
  }

  /** Watches for one more from here on. */
  add(cut: Cut): void {
    this.#watches.set(cut, watchFor(cut.at))
  }

  /** Where in the next bytes a fault happens: the first place, once per fault. */
  find(chunk: Buffer): { readonly at: number; readonly cut: Cut } | undefined {
    let first: { at: number; cut: Cut } | undefined
    for (const [cut, watch] of this.#watches) {
      const at = watch(chunk)
      if (at !== undefined && (first === undefined || at < first.at)) first = { at, cut }
    }
    if (first !== undefined) this.#watches.delete(first.cut)
    return first
  }
}

type Watch = (chunk: Buffer) => number | undefined

function watchFor(place: CutPlace): Watch {
  if (typeof place.after === 'number') return afterBytes(place.after)
  const pattern = Buffer.from(place.after ?? place.before)
  return nearPattern(pattern, place.nth ?? 1, place.after === undefined ? 0 : pattern.length)
}

function afterBytes(count: number): Watch {
  let left = count
  return chunk => {
    if (left <= chunk.length) return left
    left -= chunk.length
    return undefined
  }
}

function nearPattern(pattern: Buffer, nth: number, offset: number): Watch {
  let tail: Buffer = Buffer.alloc(0)
  let left = nth
  return chunk => {
    const seen = tail.length
    const bytes = Buffer.concat([tail, chunk])
    let from = 0
    for (let found = bytes.indexOf(pattern); found >= 0; found = bytes.indexOf(pattern, from)) {
      from = found + pattern.length
      left -= 1
      if (left === 0) return Math.max(0, found + offset - seen)
    }
    tail = bytes.subarray(Math.max(from, bytes.length - pattern.length + 1))
    return undefined
  }
}
