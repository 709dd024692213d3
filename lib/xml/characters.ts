import { isUtf8 } from 'node:buffer'

const LAST_NAME_START = 0xeffff

// Name productions of XML 1.0, fifth edition, §2.3, as pairs of first and last code point, beyond ASCII.
const NAME_START: readonly (readonly [first: number, last: number])[] = [
  [0xc0, 0xd6],
  [0xd8, 0xf6],
  [0xf8, 0x2ff],
  [0x370, 0x37d],
  [0x37f, 0x1fff],
  [0x200c, 0x200d],
  [0x2070, 0x218f],
  [0x2c00, 0x2fef],
  [0x3001, 0xd7ff],
  [0xf900, 0xfdcf],
  [0xfdf0, 0xfffd],
  [0x10000, LAST_NAME_START]
]
const NAME_MORE: typeof NAME_START = [
  [0xb7, 0xb7],
  [0x300, 0x36f],
  [0x203f, 0x2040]
]

const NAME = 1
const START = 2

/** Bits for every character of the first plane: a name in another script costs no more than one in this. */
const FIRST_PLANE = new Uint8Array(0x10000)
for (const [first, last] of NAME_MORE) FIRST_PLANE.fill(NAME, first, last + 1)
for (const [first, last] of NAME_START) FIRST_PLANE.fill(NAME | START, first, last + 1)

/** Whether a code point beyond ASCII may stand in a name, or begin one. */
export function isNameCharacter(codePoint: number, first: boolean): boolean {
  if (codePoint > 0xffff) return codePoint <= LAST_NAME_START
  return ((FIRST_PLANE[codePoint] ?? 0) & (first ? START : NAME)) !== 0
}

const pattern = (ranges: typeof NAME_START): string =>
  ranges.map(([first, last]) => `\\u{${first.toString(16)}}-\\u{${last.toString(16)}}`).join('')
const NC_NAME = new RegExp(`^[A-Za-z_${pattern(NAME_START)}][-.0-9A-Za-z_${pattern(NAME_START)}${pattern(NAME_MORE)}]*$`, 'u')

/** Namespaces in XML 1.0 §3, `NCName`: a name without a colon. */
export function isNcName(text: string): boolean {
  return NC_NAME.test(text)
}

/** XML 1.0 §2.2, `Char`. */
export function isCharacter(codePoint: number): boolean {
  return (
    (codePoint >= 0x20 && codePoint <= 0xd7ff) ||
    codePoint === 0x9 ||
    codePoint === 0xa ||
    codePoint === 0xd ||
    (codePoint >= 0xe000 && codePoint <= 0xfffd) ||
    (codePoint >= 0x10000 && codePoint <= 0x10ffff)
  )
}

/** How many bytes the character takes that begins with `lead`, which is known to begin a valid one. */
export function characterLength(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
}

/** Reads one complete, valid character beyond ASCII. */
export function codePointAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0
  const second = (bytes[at + 1] ?? 0) & 0x3f
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | second
  const third = (bytes[at + 2] ?? 0) & 0x3f
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | (second << 6) | third
  return ((lead & 0x07) << 18) | (second << 12) | (third << 6) | ((bytes[at + 3] ?? 0) & 0x3f)
}

/** Where the valid, complete characters of some bytes end, and whether what stands there can still become one. */
export interface Utf8Prefix {
  readonly end: number
  readonly broken: boolean
}

// Below this a call into the runtime costs more than looking at the bytes.
const SHORT = 24

/** RFC 3629: overlong forms, surrogates and everything above U+10FFFF are no characters. */
export function utf8Prefix(bytes: Buffer, from: number, to: number): Utf8Prefix {
  if (to - from < SHORT) return walkUtf8(bytes, from, to)
  const end = to - openTail(bytes, to)
  const whole = from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end)
  return walkUtf8(bytes, isUtf8(whole) ? end : from, to)
}

/** How many of the last bytes may be the beginning of a character that has not arrived. */
function openTail(bytes: Uint8Array, to: number): number {
  for (let back = 1; back <= 3; back++) {
    const byte = bytes[to - back] ?? 0
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return characterLength(byte) > back ? back : 0
  }
  return 0
}

function walkUtf8(bytes: Uint8Array, from: number, to: number): Utf8Prefix {
  let at = from
  while (at < to) {
    const lead = bytes[at] ?? 0
    if (lead < 0x80) {
      at++
      continue
    }
    if (lead < 0xc2 || lead > 0xf4) return { end: at, broken: true }
    const length = characterLength(lead)
    for (let index = 1; index < length; index++) {
      if (at + index >= to) return { end: at, broken: false }
      const byte = bytes[at + index] ?? 0
      const lowest = index > 1 ? 0x80 : lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
      const highest = index > 1 ? 0xbf : lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
      if (byte < lowest || byte > highest) return { end: at, broken: true }
    }
    at += length
  }
  return { end: at, broken: false }
}

/** What a byte may do, by where it stands: bits of {@link BYTES}. */
export const NAME_STOP = 1
export const NAME_START_BYTE = 2
export const SPACE_BYTE = 4
/** Ends plain running in text, in an attribute value, in a namespace name. */
export const TEXT_STOP = 8
export const VALUE_STOP = 16
export const NAMESPACE_STOP = 32

/** Ends the name of an element. */
export const NAME_END = 64

/** One entry for each byte. */
export const BYTES = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(byte)
  const control = byte < 0x20 && byte !== 0x9 && byte !== 0xa
  // U+FFFE and U+FFFF begin with 0xEF.
  const refused = control || byte === 0xef || character === '<' || character === '>' || character === '&'
  const valueStop = refused || byte >= 0x80 || byte < 0x20 || character === '"' || character === "'"
  BYTES[byte] =
    (/[-.0-9A-Za-z_]/.test(character) ? 0 : NAME_STOP) |
    (/[A-Za-z_]/.test(character) ? NAME_START_BYTE : 0) |
    (/[ \t\r\n]/.test(character) ? SPACE_BYTE : 0) |
    (refused ? TEXT_STOP : 0) |
    (valueStop ? VALUE_STOP : 0) |
    (valueStop || character === ' ' ? NAMESPACE_STOP : 0) |
    (/[ \t\r\n/>]/.test(character) ? NAME_END : 0)
}

/**
 * Where the first byte stands that has a bit of `mask`, from one place to another. The framer's time is spent here: eight bytes
 * a turn take two thirds of the time that one a turn takes.
 */
export function findByte(bytes: Uint8Array, from: number, to: number, mask: number): number {
  let at = from
  for (const last = to - 8; at <= last; at += 8) {
    if (((BYTES[bytes[at] ?? 0] ?? 0) & mask) !== 0) return at
    if (((BYTES[bytes[at + 1] ?? 0] ?? 0) & mask) !== 0) return at + 1
    if (((BYTES[bytes[at + 2] ?? 0] ?? 0) & mask) !== 0) return at + 2
    if (((BYTES[bytes[at + 3] ?? 0] ?? 0) & mask) !== 0) return at + 3
    if (((BYTES[bytes[at + 4] ?? 0] ?? 0) & mask) !== 0) return at + 4
    if (((BYTES[bytes[at + 5] ?? 0] ?? 0) & mask) !== 0) return at + 5
    if (((BYTES[bytes[at + 6] ?? 0] ?? 0) & mask) !== 0) return at + 6
    if (((BYTES[bytes[at + 7] ?? 0] ?? 0) & mask) !== 0) return at + 7
  }
  while (at < to && ((BYTES[bytes[at] ?? 0] ?? 0) & mask) === 0) at++
  return at
}
