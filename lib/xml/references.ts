import { isCharacter } from './characters.ts'
import { illFormed, restricted } from './refusals.ts'

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', apos: "'", quot: '"' }
const INDIRECT = /[&\t\n\r]/
const REFERENCE = /&(?:#x([0-9a-fA-F]+)|#([0-9]+)|([a-z]+));/g

/** The character data that checked text stands for (XML 1.0 §2.11, §4.6): references resolved, line ends as line feeds. */
export function expandText(raw: string): string {
  const lines = raw.includes('\r') ? raw.replace(/\r\n?/g, '\n') : raw
  return lines.includes('&') ? resolve(lines) : lines
}

/** The value that a checked attribute stands for (XML 1.0 §3.3.3): literal white space becomes spaces, a line end one space. */
export function expandValue(raw: string): string {
  if (!INDIRECT.test(raw)) return raw
  const spaced = raw.replace(/\r\n|[\t\n\r]/g, ' ')
  return spaced.includes('&') ? resolve(spaced) : spaced
}

function resolve(text: string): string {
  return text.replace(REFERENCE, (reference: string, hex: string | undefined, decimal: string | undefined, name: string | undefined) => {
    if (name !== undefined) return NAMED[name] ?? reference
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
  })
}

const BEGIN = 0
const NUMBER = 1
const DECIMAL = 2
const HEX_BEGIN = 3
const HEX = 4
const NAME = 5

const SEMICOLON = 0x3b
const LONGEST_PREDEFINED = 4
const PREDEFINED: ReadonlySet<number> = new Set(
  Object.keys(NAMED).map(name => [...Buffer.from(name)].reduce((code, byte) => code * 256 + byte, 0))
)

/**
 * Checks one reference, byte by byte: the five predefined entities (XML 1.0 §4.6) and references to characters (§4.1) are let
 * through, any other entity is none in XMPP (RFC 6120 §11.1). Holds a number, however long the reference grows.
 */
export class ReferenceCheck {
  #state = BEGIN
  #value = 0
  #length = 0

  /** Whether a character was given by its number. */
  get isNumeric(): boolean {
    return this.#state !== NAME
  }

  /** After `&`. */
  begin(): void {
    this.#state = BEGIN
    this.#value = 0
    this.#length = 0
  }

  /** Takes the next byte. True: it was the semicolon of a reference that stands. */
  add(byte: number): boolean {
    if (byte === SEMICOLON) return this.#close()
    if (this.#state === BEGIN) {
      if (byte === 0x23) this.#state = NUMBER
      else if (isNameByte(byte) && !isDigit(byte) && byte !== 0x2d && byte !== 0x2e) this.#addToName(byte)
      else throw illFormed('& begins no reference')
    } else if (this.#state === NAME) {
      if (!isNameByte(byte)) throw illFormed('a reference without its semicolon')
      this.#addToName(byte)
    } else if (this.#state === NUMBER && byte === 0x78) this.#state = HEX_BEGIN
    else this.#addDigit(byte)
    return false
  }

  #addToName(byte: number): void {
    this.#state = NAME
    this.#value = this.#value * 256 + byte
    this.#length++
    if (this.#length > LONGEST_PREDEFINED) throw restricted('a reference to an entity')
  }

  #addDigit(byte: number): void {
    const hex = this.#state === HEX || this.#state === HEX_BEGIN
    const lower = byte | 0x20
    const digit = isDigit(byte) ? byte - 0x30 : hex && lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
    if (digit < 0) throw illFormed('a reference to a character that is no number')
    this.#state = hex ? HEX : DECIMAL
    this.#value = this.#value * (hex ? 16 : 10) + digit
    if (this.#value > 0x10ffff) throw illFormed('a reference to no character')
  }

  #close(): boolean {
    if (this.#state === NAME) {
      if (!PREDEFINED.has(this.#value)) throw restricted('a reference to an entity')
    } else if ((this.#state !== DECIMAL && this.#state !== HEX) || !isCharacter(this.#value)) throw illFormed('a reference to no character')
    return true
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Whether a byte may belong to a name. Any beyond ASCII counts: the name is none that is expected, whatever it is. */
export function isNameByte(byte: number): boolean {
  const lower = byte | 0x20
  return (
    (lower >= 0x61 && lower <= 0x7a) || isDigit(byte) || byte === 0x2d || byte === 0x2e || byte === 0x5f || byte === 0x3a || byte >= 0x80
  )
}
