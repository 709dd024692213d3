import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import { addressText, parseAddress } from '../model/address.ts'
import type { Address } from '../model/address.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Stanza } from '../model/stanza.ts'
import { NS_CLIENT, NS_SERVER } from '../xml/namespaces.ts'
import { kindOf } from '../rules/option-value.ts'
import { isReceived, isStanzaName, withHeader } from '../xml/stanza.ts'
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
  if (!isReceived(stanza)) return fromElement(elementOf(stanza))
  const { from, to, content } = stanza
  if (!Buffer.isBuffer(content)) return fromElement(content)
  const isCanonical = addressText(from) === from.text && addressText(to) === to.text
  if (!isCanonical) return outboundStanza(stanza.readdressed({ from: from.text, to: to.text }))
  return { pair: { sender: from.domain, target: to.domain }, xml: content, size: content.length }
}

/**
 * The tree of what was given as a stanza.
 *
 * @throws FederationError `S2S_ADDRESS` for what is neither an element nor a stanza that was received
 */
export function elementOf(stanza: Element | Stanza): Element {
  const given: unknown = stanza
  if (isElement(given)) return given
  // Received by another copy of this library.
  if (typeof given === 'object' && given !== null && 'element' in given && isElement(given.element)) return given.element
  throw new FederationError('S2S_ADDRESS', {
    detail: `a stanza has to be an Element of ltx, or one that was received, not ${kindOf(given)}`
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
  const { attrs } = element as { readonly attrs: Readonly<Record<string, unknown>> }
  const from = readAddress(attrs['from'], 'from')
  const to = readAddress(attrs['to'], 'to')
  const written = { from: addressText(from), to: addressText(to) }
  // The peer compares with the pair's domains as the stream has them, and may know no other spelling.
  const isCanonical = written.from === from.text && written.to === to.text
  const xml = serialize(isCanonical ? element : withHeader(element, written))
  return { pair: { sender: from.domain, target: to.domain }, xml, size: Buffer.byteLength(xml) }
}

function readAddress(text: unknown, attribute: 'from' | 'to'): Address {
  if (typeof text !== 'string' || text === '') throw new FederationError('S2S_ADDRESS', { detail: `the stanza has no ${attribute}` })
  const address = parseAddress(text)
  if (address === undefined)
    throw new FederationError('S2S_ADDRESS', { detail: `${attribute} ${JSON.stringify(text.slice(0, 80))} is not an address` })
  return address
}
