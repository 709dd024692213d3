import { isUtf8 } from 'node:buffer'
import type { CertificateFacts, DistinguishedName } from '../model/chain.ts'
import { escapeText } from '../rules/escape.ts'
import { derError, expectTag, readAll, readObjectId, readOne } from './der.ts'
import type { Tlv } from './der.ts'

const COMMON_NAME = '2.5.4.3'
const EMAIL = '1.2.840.113549.1.9.1'
const IA5_STRING = 0x16

const SHORT: Readonly<Record<string, string>> = {
  [COMMON_NAME]: 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  [EMAIL]: 'emailAddress'
}

/** A Name as its DER says. */
export interface NameFacts {
  /** Comparable; the empty list for an empty name. */
  readonly rdns: DistinguishedName
  /** For people. */
  readonly text: string
  readonly commonNames: readonly string[]
  readonly emails: CertificateFacts['subjectEmails']
}

/**
 * Reads a Name's TLV. Strings of different types are the same name when case and spaces fold to the same (RFC 5280 §7.1).
 *
 * @throws FederationError for what is not DER, NUL in a string, and a common name that is no text
 */
export function readName(raw: Buffer): NameFacts {
  const rdns: string[] = []
  const texts: string[] = []
  const commonNames: string[] = []
  const emailTags: number[] = []
  for (const rdn of readAll(readOne(raw, 0x30).value)) {
    const attributes: string[] = []
    for (const attribute of readAll(expectTag(rdn, 0x31).value)) {
      const { oid, value } = readAttribute(attribute)
      const text = stringOf(value)
      if (oid === EMAIL) emailTags.push(value.tag)
      if (oid === COMMON_NAME) commonNames.push(text ?? notText())
      attributes.push(`${oid}=${text === undefined ? `#${value.raw.toString('hex')}` : JSON.stringify(fold(text))}`)
      texts.push(`${SHORT[oid] ?? oid}=${text ?? '#'}`)
    }
    rdns.push(attributes.sort().join('+'))
  }
  const emails = emailTags.length === 0 ? 'none' : emailTags.every(tag => tag === IA5_STRING) ? 'some' : 'not-ia5'
  return { rdns, text: texts.length === 0 ? '(no subject)' : escapeText(texts.join(', ')), commonNames, emails }
}

function readAttribute(attribute: Tlv): { readonly oid: string; readonly value: Tlv } {
  const [type, value, ...rest] = readAll(expectTag(attribute, 0x30).value)
  if (value === undefined || rest.length > 0) throw derError('a part of a name is not a type and a value')
  return { oid: readObjectId(expectTag(type, 0x06).value), value }
}

function notText(): never {
  throw derError('a common name is no text')
}

// ASCII only, as OpenSSL folds: what folds further would be two names there and one here.
function fold(text: string): string {
  return text
    .replace(/[\t\n\v\f\r ]+/g, ' ')
    .replace(/^ | $/g, '')
    .replace(/[A-Z]/g, letter => letter.toLowerCase())
}

function stringOf({ tag, value }: Tlv): string | undefined {
  const text = decoded(tag, value)
  if (text?.includes('\0') === true) throw derError('a name holds NUL')
  return text
}

function decoded(tag: number, value: Buffer): string | undefined {
  switch (tag) {
    case 0x0c: // UTF8String
      return isUtf8(value) ? value.toString('utf8') : undefined
    case 0x13: // PrintableString
    case 0x14: // T61String, in practice Latin-1
    case IA5_STRING:
    case 0x1a: // VisibleString
      return value.toString('latin1')
    case 0x1c: // UniversalString
      return value.length % 4 === 0 ? codePoints(value) : undefined
    case 0x1e: // BMPString
      return value.length % 2 === 0 ? Buffer.from(value).swap16().toString('utf16le') : undefined
    default:
      return undefined
  }
}

function codePoints(value: Buffer): string | undefined {
  const points = Array.from({ length: value.length / 4 }, (_, at) => value.readUInt32BE(at * 4))
  return points.every(point => point <= 0x10ffff) ? points.map(point => String.fromCodePoint(point)).join('') : undefined
}
