import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import { parseAddress } from '../model/address.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Stanza } from '../model/stanza.ts'
import { NS_CLIENT, NS_SERVER } from '../xml/namespaces.ts'
import { kindOf } from '../rules/option-value.ts'
import { isStanzaName } from '../xml/stanza.ts'
import { isElement, serialize } from '../xml/writer.ts'

/** A stanza ready to leave: the pair it belongs to, and its bytes. */
export interface OutboundStanza {
  readonly pair: DomainPair
  readonly xml: string | Buffer
  readonly size: number
}

/**
 * Reads who a stanza is from and for, and serialises it (RFC 6120 §8.1, §4.8.2).
 *
 * @throws FederationError `S2S_ADDRESS` when it is no stanza, lacks an address, or holds what XML cannot carry
 */
export function outboundStanza(stanza: Element | Stanza): OutboundStanza {
  if (isElement(stanza)) return fromElement(stanza)
  checkStanza(stanza)
  const xml = stanza.bytes
  return { pair: { sender: stanza.from.domain, target: stanza.to.domain }, xml, size: xml.length }
}

/**
 * Whether what is no element is a stanza that was received.
 *
 * @throws FederationError `S2S_ADDRESS`
 */
export function checkStanza(value: unknown): void {
  if (typeof value === 'object' && value !== null && 'bytes' in value && 'element' in value && 'from' in value && 'to' in value) return
  throw new FederationError('S2S_ADDRESS', {
    detail: `a stanza has to be an Element of ltx, or one that was received, not ${kindOf(value)}`
  })
}

/**
 * Whether an element is a stanza, whatever its addresses.
 *
 * @throws FederationError `S2S_ADDRESS`
 */
export function checkElement(element: Element): void {
  if (!isStanzaName(element.getName()))
    throw new FederationError('S2S_ADDRESS', { detail: `<${element.getName()}/> is not a message, a presence or an iq` })
  const namespace = element.getNS()
  if (namespace !== undefined && namespace !== NS_SERVER && namespace !== NS_CLIENT) {
    throw new FederationError('S2S_ADDRESS', { detail: `<${element.getName()} xmlns='${namespace}'/> is not a stanza` })
  }
}

function fromElement(element: Element): OutboundStanza {
  checkElement(element)
  const from: unknown = element.attrs['from']
  const to: unknown = element.attrs['to']
  const xml = serialize(element)
  return { pair: { sender: domainOf(from, 'from'), target: domainOf(to, 'to') }, xml, size: Buffer.byteLength(xml) }
}

function domainOf(text: unknown, attribute: 'from' | 'to'): DomainPair['sender'] {
  if (typeof text !== 'string' || text === '') throw new FederationError('S2S_ADDRESS', { detail: `the stanza has no ${attribute}` })
  const address = parseAddress(text)
  if (address === undefined)
    throw new FederationError('S2S_ADDRESS', { detail: `${attribute} ${JSON.stringify(text.slice(0, 80))} is not an address` })
  return address.domain
}
