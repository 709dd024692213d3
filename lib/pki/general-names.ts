import { AsnConvert } from '@peculiar/asn1-schema'
import type { GeneralSubtree } from '@peculiar/asn1-x509'
import type { NameSubtree, PresentedName } from '../model/chain.ts'
import { derError, expectTag, readAll, readObjectId, readOne } from './der.ts'
import type { Tlv } from './der.ts'
import { readName } from './distinguished-name.ts'

const XMPP_ADDR = '1.3.6.1.5.5.7.8.5'
const SRV_NAME = '1.3.6.1.5.5.7.8.7'
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const OUTSIDE_ASCII = /[^\x20-\x7e]/
const OTHER_FORMS: Readonly<Record<number, string>> = { 0xa3: 'x400Address', 0xa5: 'ediPartyName', 0x88: 'registeredID' }

/**
 * Reads the names of a subjectAltName, at most 1024. Done here and not by the extension decoder, which takes 10 to 40 µs for each of what may be
 * a thousand names; the reader beneath takes DER alone, so nothing is to be compared afterwards.
 *
 * @throws FederationError for what is not DER, and for names with bytes that their type does not have: NUL or beyond ASCII in a
 * dNSName, bad UTF-8 in an XmppAddr
 */
export function readAltNames(extension: Buffer): PresentedName[] {
  return readAll(readOne(extension, 0x30).value).map(generalName)
}

/** The subtrees of a name constraint; what is not understood says so. */
export function nameSubtrees(subtrees: Iterable<GeneralSubtree> | undefined): NameSubtree[] {
  return Array.from(subtrees ?? [], ({ base, minimum, maximum }) => {
    if (minimum !== 0 || maximum !== undefined) return { kind: 'unknown', form: 'minimum or maximum' }
    const [tlv] = readAll(Buffer.from(AsnConvert.serialize(base)))
    return subtree(tlv?.tag === 0x87 ? { kind: 'ip', value: tlv.value.toString('hex') } : generalName(tlv))
  })
}

function generalName(name: Tlv | undefined): PresentedName {
  switch (name?.tag) {
    case 0xa0:
      return otherName(name)
    case 0x81:
      return { kind: 'email', value: ascii(name, 'rfc822Name') }
    case 0x82:
      return { kind: 'dns', value: ascii(name, 'dNSName') }
    case 0xa4:
      return { kind: 'directory', value: readName(name.value).rdns }
    case 0x86:
      return { kind: 'uri', value: ascii(name, 'URI') }
    case 0x87:
      if (name.value.length !== 4 && name.value.length !== 16) throw derError('an iPAddress is none')
      return { kind: 'ip', value: name.value.toString('hex') }
    default: {
      const form = OTHER_FORMS[name?.tag ?? 0]
      if (form === undefined) throw derError('a name of no known form')
      return { kind: 'other', value: form }
    }
  }
}

function otherName(name: Tlv): PresentedName {
  const [type, tagged, ...rest] = readAll(name.value)
  const oid = readObjectId(expectTag(type, 0x06).value)
  const value = expectTag(tagged, 0xa0).value
  if (rest.length > 0) throw derError('an otherName has trailing bytes')
  if (oid === SRV_NAME) return { kind: 'srv', value: ascii(readOne(value, 0x16), 'SRVName') }
  if (oid === XMPP_ADDR) return { kind: 'xmpp', value: utf8(readOne(value, 0x0c)) }
  return { kind: 'other', value: oid }
}

function ascii(name: Tlv, form: string): string {
  const text = name.value.toString('latin1')
  if (OUTSIDE_ASCII.test(text)) throw derError(`${form} has characters outside printable ASCII`)
  return text
}

function utf8(name: Tlv): string {
  try {
    return UTF8.decode(name.value)
  } catch {
    throw derError('XmppAddr is not UTF-8')
  }
}

function subtree(name: PresentedName): NameSubtree {
  switch (name.kind) {
    case 'dns':
    case 'email':
    case 'uri':
      return { kind: name.kind, base: name.value }
    case 'directory':
      return { kind: 'directory', base: name.value }
    case 'ip': {
      const half = name.value.length / 2
      if (half !== 8 && half !== 32) return { kind: 'unknown', form: 'iPAddress of an odd size' }
      return { kind: 'ip', address: name.value.slice(0, half), mask: name.value.slice(half) }
    }
    case 'srv':
    case 'xmpp':
    case 'other':
      return { kind: 'unknown', form: `otherName ${name.value}` }
  }
}
