import { FederationError } from '../errors.ts'

/** One tag-length-value. `raw` is all of it. */
export interface Tlv {
  readonly tag: number
  readonly value: Buffer
  readonly raw: Buffer
}

const DEEPEST = 12
const MOST_PARTS = 1024

/** What is wrong with an encoding. Caught within `pki`, where it becomes a defect of the certificate. */
export function derError(detail: string): FederationError {
  return new FederationError('S2S_CERTIFICATE', { detail })
}

/**
 * Splits bytes into TLVs that fill them exactly, at most 1024. DER only: definite, minimal lengths and one-byte tags.
 *
 * @throws FederationError with a clause that says what is wrong
 */
export function readAll(bytes: Buffer): Tlv[] {
  const list: Tlv[] = []
  for (let at = 0; at < bytes.length;) {
    const one = readAt(bytes, at)
    if (list.push(one) > MOST_PARTS) throw derError(`more than ${MOST_PARTS} parts`)
    at += one.raw.length
  }
  return list
}

/** The one TLV that fills the bytes, which must have this tag. */
export function readOne(bytes: Buffer, tag: number): Tlv {
  const [one, ...rest] = readAll(bytes)
  if (one === undefined || rest.length > 0) throw derError('trailing or missing bytes')
  return expectTag(one, tag)
}

/** The TLV itself, if it has this tag. */
export function expectTag(one: Tlv | undefined, tag: number): Tlv {
  if (one?.tag !== tag) throw derError(`tag 0x${tag.toString(16)} is missing`)
  return one
}

/**
 * How many TLVs the bytes are made of at every depth, so that costlier readers can be spared.
 *
 * @throws FederationError for what is not DER, or made of more than `most`
 */
export function countTlvs(bytes: Buffer, most: number, depth = 0): number {
  if (depth > DEEPEST) throw derError('nested too deeply')
  let count = 0
  for (const one of readAll(bytes)) {
    count += 1 + ((one.tag & 0x20) === 0 ? 0 : countTlvs(one.value, most - count, depth + 1))
    if (count > most) throw derError('too large to be read')
  }
  return count
}

/** The dotted form of an OBJECT IDENTIFIER's value; hex for one with arcs beyond 49 bits, which is none that anybody knows. */
export function readObjectId(value: Buffer): string {
  const arcs: number[] = []
  let arc = 0
  let octets = 0
  for (const byte of value) {
    if (octets === 0 && byte === 0x80) throw derError('object identifier is not minimal')
    if (++octets > 7) return `#${value.toString('hex')}`
    arc = arc * 128 + (byte & 0x7f)
    if ((byte & 0x80) !== 0) continue
    arcs.push(arc)
    arc = 0
    octets = 0
  }
  const [first] = arcs
  if (first === undefined || octets > 0 || arcs.length > 64) throw derError('object identifier is not one')
  const root = Math.min(2, Math.floor(first / 40))
  return [root, first - root * 40, ...arcs.slice(1)].join('.')
}

/** Value of a non-negative INTEGER without its leading zero; throws for what is negative or not minimal. */
export function readUnsigned(value: Buffer): Buffer {
  const [first, second] = value
  if (first === undefined || first >= 0x80) throw derError('integer is not positive')
  if (first !== 0 || second === undefined) return value
  if (second < 0x80) throw derError('integer is not minimal')
  return value.subarray(1)
}

function readAt(bytes: Buffer, at: number): Tlv {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) throw derError('cut off')
  if ((tag & 0x1f) === 0x1f) throw derError('tag has more than one byte')
  const [length, head] = first < 0x80 ? [first, 2] : readLength(bytes, at + 2, first & 0x7f)
  const end = at + head + length
  if (end > bytes.length) throw derError('cut off')
  return { tag, value: bytes.subarray(at + head, end), raw: bytes.subarray(at, end) }
}

function readLength(bytes: Buffer, at: number, octets: number): [length: number, head: number] {
  if (octets === 0 || octets > 3) throw derError('length is indefinite or too large')
  if (at + octets > bytes.length) throw derError('cut off')
  const length = bytes.readUIntBE(at, octets)
  if (length < 0x80 || length < 256 ** (octets - 1)) throw derError('length is not minimal')
  return [length, 2 + octets]
}
