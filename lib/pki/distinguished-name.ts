import type { DistinguishedName } from '../model/chain.ts'
import { expectTag, readAll, readObjectId, readOne } from './der.ts'
import { escapeText } from '../rules/escape.ts'

const SHORT: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress'
}

/** A Name as its DER says. */
export interface NameFacts {
  /** Comparable; the empty list for an empty name. */
  readonly rdns: DistinguishedName
  /** For people. */
  readonly text: string
  readonly emails: number
}

/** Reads a Name's TLV. Strings of different types are the same name when case and spaces fold to the same (RFC 5280 §7.1). */
export function readName(raw: Buffer): NameFacts {
  const rdns: string[] = []
  const texts: string[] = []
  let emails = 0
  for (const rdn of readAll(readOne(raw, 0x30).value)) {
    const attributes: string[] = []
    for (const attribute of readAll(expectTag(rdn, 0x31).value)) {
      const [type, value] = readAll(expectTag(attribute, 0x30).value)
      const oid = readObjectId(expectTag(type, 0x06).value)
      const text = value === undefined ? undefined : stringOf(value.tag, value.value)
      if (oid === '1.2.840.113549.1.9.1') emails++
      attributes.push(`${oid}=${text === undefined ? `#${value?.raw.toString('hex') ?? ''}` : JSON.stringify(fold(text))}`)
      texts.push(`${SHORT[oid] ?? oid}=${text ?? '#'}`)
    }
    rdns.push(attributes.sort().join('+'))
  }
  return { rdns, text: texts.length === 0 ? '(no subject)' : escapeText(texts.join(', ')), emails }
}

// ASCII only, as OpenSSL folds: what folds further would be two names there and one here.
function fold(text: string): string {
  return text
    .replace(/[\t\n\v\f\r ]+/g, ' ')
    .replace(/^ | $/g, '')
    .replace(/[A-Z]/g, letter => letter.toLowerCase())
}

function stringOf(tag: number, value: Buffer): string | undefined {
  switch (tag) {
    case 0x0c: // UTF8String
      return value.toString('utf8')
    case 0x13: // PrintableString
    case 0x14: // T61String, in practice Latin-1
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return value.toString('latin1')
    case 0x1e: // BMPString
      return value.length % 2 === 0 ? Buffer.from(value).swap16().toString('utf16le') : undefined
    default:
      return undefined
  }
}
