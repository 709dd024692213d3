import { Element } from 'ltx'
import type { Address } from '../model/address.ts'
import type { Stanza } from '../model/stanza.ts'
import { isProperIq } from '../rules/iq.ts'
import { NS_PING, NS_STANZA_ERRORS } from '../xml/namespaces.ts'

/**
 * The answer that an incoming stanza gets from the engine itself: `bad-request` for an iq that does not say what it is (RFC 6120
 * §8.2.3), and a result for a ping of one of our domains (XEP-0199 §4.3), where the engine is to answer those.
 *
 * @returns undefined for everything else: it is the application's
 */
export function ownAnswer(stanza: Stanza, answersPings: boolean): Element | undefined {
  if (stanza.name !== 'iq') return undefined
  if (!isProperIq(stanza.type)) return badRequest(stanza)
  return answersPings && isPing(stanza) ? answer(stanza, 'result') : undefined
}

function isPing({ type, to, element }: Stanza): boolean {
  return type === 'get' && isDomain(to) && element.getChild('ping', NS_PING) !== undefined
}

function isDomain({ local, resource }: Address): boolean {
  return local === undefined && resource === undefined
}

function badRequest(stanza: Stanza): Element {
  const error = answer(stanza, 'error')
  error.c('error', { type: 'modify' }).c('bad-request', { xmlns: NS_STANZA_ERRORS })
  return error
}

function answer({ from, to, id }: Stanza, type: 'result' | 'error'): Element {
  return new Element('iq', { type, from: to.text, to: from.text, ...(id === undefined ? {} : { id }) })
}
