import { AsnConvert } from '@peculiar/asn1-schema'
import type { GeneralName, GeneralSubtree } from '@peculiar/asn1-x509'
import type { NameSubtree, PresentedName } from '../model/chain.ts'
import { derError, readOne } from './der.ts'
import { readName } from './distinguished-name.ts'

const XMPP_ADDR = '1.3.6.1.5.5.7.8.5'
const SRV_NAME = '1.3.6.1.5.5.7.8.7'
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const OUTSIDE_ASCII = /[^\x20-\x7e]/

/**
 * What a subjectAltName's entry says. An otherName's value is raw, and is read here.
 *
 * @throws FederationError for a name with bytes that its type does not have: NUL or beyond ASCII in a dNSName, bad UTF-8
 */
export function presentedName(name: GeneralName): PresentedName {
  if (name.dNSName !== undefined) return { kind: 'dns', value: ascii(name.dNSName, 'dNSName') }
  if (name.otherName !== undefined) return otherName(name.otherName.typeId, Buffer.from(name.otherName.value))
  if (name.rfc822Name !== undefined) return { kind: 'email', value: ascii(name.rfc822Name, 'rfc822Name') }
  if (name.uniformResourceIdentifier !== undefined) return { kind: 'uri', value: ascii(name.uniformResourceIdentifier, 'URI') }
  if (name.iPAddress !== undefined) return { kind: 'ip', value: octets(name) }
  if (name.directoryName !== undefined) return { kind: 'directory', value: readName(derOf(name.directoryName)).rdns }
  return { kind: 'other', value: otherForm(name) }
}

/** The subtrees of a name constraint; what is not understood says so. */
export function nameSubtrees(subtrees: Iterable<GeneralSubtree> | undefined): NameSubtree[] {
  return Array.from(subtrees ?? [], ({ base, minimum, maximum }) => {
    if (minimum !== 0 || maximum !== undefined) return { kind: 'unknown', form: 'minimum or maximum' }
    if (base.dNSName !== undefined) return { kind: 'dns', base: ascii(base.dNSName, 'dNSName') }
    if (base.rfc822Name !== undefined) return { kind: 'email', base: ascii(base.rfc822Name, 'rfc822Name') }
    if (base.uniformResourceIdentifier !== undefined) return { kind: 'uri', base: ascii(base.uniformResourceIdentifier, 'URI') }
    if (base.directoryName !== undefined) return { kind: 'directory', base: readName(derOf(base.directoryName)).rdns }
    if (base.iPAddress !== undefined) return addressRange(octets(base))
    return { kind: 'unknown', form: otherForm(base) }
  })
}

function otherName(oid: string, raw: Buffer): PresentedName {
  if (oid === SRV_NAME) return { kind: 'srv', value: ascii(readOne(raw, 0x16).value.toString('latin1'), 'SRVName') }
  if (oid !== XMPP_ADDR) return { kind: 'other', value: oid }
  try {
    return { kind: 'xmpp', value: UTF8.decode(readOne(raw, 0x0c).value) }
  } catch (cause) {
    throw derError(`XmppAddr is not a UTF8String: ${String(cause)}`)
  }
}

function ascii(text: string, form: string): string {
  if (OUTSIDE_ASCII.test(text)) throw derError(`${form} has characters outside printable ASCII`)
  return text
}

function addressRange(hex: string): NameSubtree {
  const half = hex.length / 2
  if (half !== 8 && half !== 32) return { kind: 'unknown', form: 'iPAddress of an odd size' }
  return { kind: 'ip', address: hex.slice(0, half), mask: hex.slice(half) }
}

function otherForm(name: GeneralName): string {
  if (name.otherName !== undefined) return `otherName ${name.otherName.typeId}`
  const form = (['registeredID', 'x400Address', 'ediPartyName'] as const).find(one => name[one] !== undefined)
  return form ?? 'unknown form'
}

// The library gives addresses as text; their bytes are in what it writes: tag, length, octets.
const octets = (name: GeneralName): string => derOf(name).subarray(2).toString('hex')
const derOf = (value: unknown): Buffer => Buffer.from(AsnConvert.serialize(value))
