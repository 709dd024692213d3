import type { Domain } from '../model/domain.ts'
import { NS_DELAY } from './namespaces.ts'
import { buildTree, readTag } from './tree.ts'
import { escapeAttribute } from './writer.ts'

/**
 * A message or a presence that says when it was sent first (XEP-0203 §2), in the name of a domain that has not said so before. An iq,
 * and what says so already, are left as they are.
 *
 * @param xml what the writer or the framer has made: one element, without anything around it
 * @param since milliseconds since the epoch
 */
export function delayed(xml: string | Buffer, domain: Domain, since: number): string | Buffer {
  const text = xml.toString()
  const { name, empty, end } = readTag(text, 0)
  if (/(?:^|:)iq$/.test(name) || saysSo(text, domain)) return xml
  const delay = `<delay xmlns='${NS_DELAY}' from='${escapeAttribute(domain)}' stamp='${new Date(since).toISOString()}'/>`
  const at = empty ? end - '/>'.length : text.lastIndexOf('</')
  const whole = empty ? `${text.slice(0, at)}>${delay}</${name}>` : `${text.slice(0, at)}${delay}${text.slice(at)}`
  return typeof xml === 'string' ? whole : Buffer.from(whole)
}

function saysSo(text: string, domain: Domain): boolean {
  // The tree is only built where there may be something in it to find.
  if (!text.includes(NS_DELAY)) return false
  return buildTree(text, new Map())
    .getChildElements()
    .some(child => child.getName() === 'delay' && child.getNS() === NS_DELAY && child.attrs['from'] === domain)
}
