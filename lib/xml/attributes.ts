import type { FederationError } from '../errors.ts'
import { excess, illFormed } from './refusals.ts'
import { boundNamespace, LONGEST_NAMESPACE, readValue, XML_NAMESPACE, XMLNS_NAMESPACE } from './scope.ts'
import type { Scope } from './scope.ts'

/** How an attribute was written: bits. */
export const DECLARATION = 1
export const INDIRECT = 2
export const WIDE = 4

/** Bytes of one `xml:lang` (BCP 47 needs 35). */
export const LONGEST_LANG = 128

// What is kept of each: offsets from the first byte of the element; colon 0: none.
const NAME_FROM = 0
const NAME_TO = 1
const COLON = 2
const VALUE_FROM = 3
const VALUE_TO = 4
const FLAGS = 5
const STRIDE = 6

/** Where the value of an attribute stands, counted from the first byte of the element; `to` 0: there is no such attribute. */
export interface Spans {
  fromAt: number
  fromTo: number
  toAt: number
  toTo: number
  idAt: number
  idTo: number
  typeAt: number
  typeTo: number
  langAt: number
  langTo: number
  /** Bits: any value was written with references or white space; any with other bytes than ASCII. */
  flags: number
}

/** The attributes of the start tag in hand, in the order written. */
export class AttributeList {
  readonly #rows: Int32Array
  #filled = 0
  #flags = 0
  #prefixed = false
  #default = -1
  /** Whether a declaration is to be judged: it has a prefix, or might bind what must not be bound. */
  #judged = false

  constructor(most: number) {
    this.#rows = new Int32Array(most * STRIDE)
  }

  get isFull(): boolean {
    return this.#filled === this.#rows.length
  }

  get declaresDefault(): boolean {
    return this.#default >= 0
  }

  clear(): void {
    this.#filled = 0
    this.#flags = 0
    this.#prefixed = false
    this.#default = -1
    this.#judged = false
  }

  add(nameFrom: number, nameTo: number, colon: number, valueFrom: number, valueTo: number, flags: number): void {
    const rows = this.#rows
    const row = this.#filled
    rows[row + NAME_FROM] = nameFrom
    rows[row + NAME_TO] = nameTo
    rows[row + COLON] = colon
    rows[row + VALUE_FROM] = valueFrom
    rows[row + VALUE_TO] = valueTo
    rows[row + FLAGS] = flags
    this.#filled = row + STRIDE
    this.#flags |= flags
    if (colon !== 0) this.#prefixed = true
    if ((flags & DECLARATION) === 0) return
    if (colon === 0) this.#default = row
    if (colon !== 0 || !isHarmless(valueTo - valueFrom, flags)) this.#judged = true
  }

  /**
   * The tag has ended: takes its declarations into a scope and refuses what XML 1.0 §3.1 and Namespaces in XML 1.0 §6.3 forbid,
   * a name that occurs twice, as written or as meant, and a prefix that nothing binds.
   */
  settle(scope: Scope, bytes: Buffer, start: number): void {
    if (this.#judged) this.#declare(scope, bytes, start)
    const rows = this.#rows
    const filled = this.#filled
    for (let row = STRIDE; row < filled; row += STRIDE) {
      const name = rows[row + NAME_FROM] ?? 0
      const length = (rows[row + NAME_TO] ?? 0) - name
      for (let other = 0; other < row; other += STRIDE) {
        const at = rows[other + NAME_FROM] ?? 0
        if ((rows[other + NAME_TO] ?? 0) - at === length && equalRange(bytes, start + name, start + at, length)) throw twice()
      }
    }
    if (this.#prefixed) this.#resolve(scope, bytes, start)
  }

  #declare(scope: Scope, bytes: Buffer, start: number): void {
    const rows = this.#rows
    for (let row = 0; row < this.#filled; row += STRIDE) {
      if (((rows[row + FLAGS] ?? 0) & DECLARATION) === 0) continue
      const from = start + (rows[row + VALUE_FROM] ?? 0)
      const to = start + (rows[row + VALUE_TO] ?? 0)
      const colon = rows[row + COLON] ?? 0
      if (to - from > LONGEST_NAMESPACE) throw excess(`a namespace name of more than ${LONGEST_NAMESPACE} bytes`)
      if (colon === 0) boundNamespace('', readValue(bytes, from, to))
      else {
        const prefix = Buffer.from(bytes.subarray(start + colon + 1, start + (rows[row + NAME_TO] ?? 0)))
        scope.declare(prefix, boundNamespace(prefix.toString(), readValue(bytes, from, to)))
      }
    }
  }

  /** The default namespace that the tag declares. */
  defaultNamespace(bytes: Buffer, start: number): string | undefined {
    const row = this.#default
    if (row < 0) return undefined
    return readValue(bytes, start + (this.#rows[row + VALUE_FROM] ?? 0), start + (this.#rows[row + VALUE_TO] ?? 0))
  }

  #resolve(scope: Scope, bytes: Buffer, start: number): void {
    const rows = this.#rows
    const seen = new Set<string>()
    for (let row = 0; row < this.#filled; row += STRIDE) {
      const colon = rows[row + COLON] ?? 0
      if (colon === 0 || ((rows[row + FLAGS] ?? 0) & DECLARATION) !== 0) continue
      const nameFrom = start + (rows[row + NAME_FROM] ?? 0)
      const namespace = scope.resolve(bytes, nameFrom, start + colon)
      const local = bytes.toString('utf8', start + colon + 1, start + (rows[row + NAME_TO] ?? 0))
      if (namespace === XML_NAMESPACE && local === 'lang' && (rows[row + VALUE_TO] ?? 0) - (rows[row + VALUE_FROM] ?? 0) > LONGEST_LANG)
        throw excess(`an xml:lang of more than ${LONGEST_LANG} bytes`)
      // A space is in no name: the two cannot run into each other.
      const expanded = `${local} ${namespace}`
      if (seen.has(expanded)) throw twice()
      seen.add(expanded)
    }
  }

  /** Where the attributes stand that every stanza has. */
  spans(bytes: Uint8Array, start: number): Spans {
    const rows = this.#rows
    const spans: Spans = {
      fromAt: 0,
      fromTo: 0,
      toAt: 0,
      toTo: 0,
      idAt: 0,
      idTo: 0,
      typeAt: 0,
      typeTo: 0,
      langAt: 0,
      langTo: 0,
      flags: this.#flags
    }
    for (let row = 0; row < this.#filled; row += STRIDE) {
      const name = rows[row + NAME_FROM] ?? 0
      const length = (rows[row + NAME_TO] ?? 0) - name
      const at = rows[row + VALUE_FROM] ?? 0
      const to = rows[row + VALUE_TO] ?? 0
      if (length === 2) {
        if (equalBytes(bytes, start + name, TO)) {
          spans.toAt = at
          spans.toTo = to
        } else if (equalBytes(bytes, start + name, ID)) {
          spans.idAt = at
          spans.idTo = to
        }
      } else if (length === 4) {
        if (equalBytes(bytes, start + name, FROM)) {
          spans.fromAt = at
          spans.fromTo = to
        } else if (equalBytes(bytes, start + name, TYPE)) {
          spans.typeAt = at
          spans.typeTo = to
        }
      } else if (length === 8 && equalBytes(bytes, start + name, XML_LANG)) {
        spans.langAt = at
        spans.langTo = to
      }
    }
    return spans
  }

  /** All of them, decoded. */
  *decoded(bytes: Buffer, start: number): Generator<readonly [name: string, value: string]> {
    const rows = this.#rows
    for (let row = 0; row < this.#filled; row += STRIDE) {
      const name = bytes.toString('utf8', start + (rows[row + NAME_FROM] ?? 0), start + (rows[row + NAME_TO] ?? 0))
      yield [name, readValue(bytes, start + (rows[row + VALUE_FROM] ?? 0), start + (rows[row + VALUE_TO] ?? 0))]
    }
  }
}

const FROM = Buffer.from('from')
const TO = Buffer.from('to')
const ID = Buffer.from('id')
const TYPE = Buffer.from('type')
const XML_LANG = Buffer.from('xml:lang')

/** Whether a word stands at a place. */
export function equalBytes(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let index = 0; index < word.length; index++) if (bytes[at + index] !== word[index]) return false
  return true
}

function equalRange(bytes: Uint8Array, one: number, other: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (bytes[one + index] !== bytes[other + index]) return false
  return true
}

function twice(): FederationError {
  return illFormed('a tag has an attribute twice')
}

// Written plainly, only two namespace names are forbidden, and their lengths tell that most are none of them.
function isHarmless(length: number, flags: number): boolean {
  return (
    length <= LONGEST_NAMESPACE && (flags & (INDIRECT | WIDE)) === 0 && length !== XML_NAMESPACE.length && length !== XMLNS_NAMESPACE.length
  )
}
