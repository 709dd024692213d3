import type { Span } from './frame.ts'
import { illFormed } from './scope.ts'

/** How an attribute was written: bits. */
export const DECLARATION = 1
export const INDIRECT = 2
export const WIDE = 4

const NAME_FROM = 0
const NAME_TO = 1
const COLON = 2
const VALUE_FROM = 3
const VALUE_TO = 4
const FLAGS = 5
const STRIDE = 6

/** The attributes of the start tag that is being read: offsets from the first byte of the element, in the order written. */
export class AttributeList {
  readonly #rows: Int32Array
  #count = 0
  #flags = 0
  #prefixed = 0

  constructor(most: number) {
    this.#rows = new Int32Array(most * STRIDE)
  }

  get count(): number {
    return this.#count
  }

  get isFull(): boolean {
    return this.#count * STRIDE === this.#rows.length
  }

  /** Whether any attribute was written so. */
  has(flag: number): boolean {
    return (this.#flags & flag) !== 0
  }

  /** Whether any attribute but a declaration has a prefix. */
  get hasPrefixes(): boolean {
    return this.#prefixed > 0
  }

  clear(): void {
    this.#count = 0
    this.#flags = 0
    this.#prefixed = 0
  }

  /** `colon` 0: none. */
  add(nameFrom: number, nameTo: number, colon: number, valueFrom: number, valueTo: number, flags: number): void {
    const row = this.#count++ * STRIDE
    this.#rows[row + NAME_FROM] = nameFrom
    this.#rows[row + NAME_TO] = nameTo
    this.#rows[row + COLON] = colon
    this.#rows[row + VALUE_FROM] = valueFrom
    this.#rows[row + VALUE_TO] = valueTo
    this.#rows[row + FLAGS] = flags
    this.#flags |= flags
    if (colon !== 0 && (flags & DECLARATION) === 0) this.#prefixed++
  }

  nameFrom(index: number): number {
    return this.#rows[index * STRIDE + NAME_FROM] ?? 0
  }

  nameTo(index: number): number {
    return this.#rows[index * STRIDE + NAME_TO] ?? 0
  }

  colon(index: number): number {
    return this.#rows[index * STRIDE + COLON] ?? 0
  }

  valueFrom(index: number): number {
    return this.#rows[index * STRIDE + VALUE_FROM] ?? 0
  }

  valueTo(index: number): number {
    return this.#rows[index * STRIDE + VALUE_TO] ?? 0
  }

  flags(index: number): number {
    return this.#rows[index * STRIDE + FLAGS] ?? 0
  }

  span(index: number): Span {
    return { from: this.valueFrom(index), to: this.valueTo(index), indirect: (this.flags(index) & INDIRECT) !== 0 }
  }

  /** XML 1.0 §3.1: no attribute name occurs twice in a tag. Expanded names are compared by the caller. */
  refuseSameNames(bytes: Uint8Array, start: number): void {
    for (let one = 1; one < this.#count; one++) {
      const from = start + this.nameFrom(one)
      const length = this.nameTo(one) - this.nameFrom(one)
      for (let other = 0; other < one; other++) {
        const at = start + this.nameFrom(other)
        if (this.nameTo(other) - this.nameFrom(other) === length && equalRange(bytes, from, at, length))
          throw illFormed('a tag has an attribute twice')
      }
    }
  }
}

/** Whether `length` bytes at two places are the same. */
export function equalRange(bytes: Uint8Array, one: number, other: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (bytes[one + index] !== bytes[other + index]) return false
  return true
}
