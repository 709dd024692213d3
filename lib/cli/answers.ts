import { createElement, Element } from 'ltx'
import type { Stanza } from '../index.ts'

const DISCO = 'http://jabber.org/protocol/disco#info'
const PING = 'urn:xmpp:ping'
const ERRORS = 'urn:ietf:params:xml:ns:xmpp-stanzas'
/** Marks an echo, which is not echoed again: two servers that echo would never end. */
const ECHO = 'xmpp-federation:echo'

/**
 * What a server for labs answers: XEP-0199 pings, disco#info (XEP-0030), messages when told to echo, and `service-unavailable` to
 * other requests and messages (RFC 6120 §8.4, RFC 6121 §8.5.1). Presence and answers are taken in silence.
 */
export function answerTo(stanza: Stanza, echo: boolean): Element | undefined {
  if (stanza.name === 'iq') return stanza.type === 'get' || stanza.type === 'set' ? answerToRequest(stanza) : undefined
  if (stanza.name === 'presence' || stanza.type === 'error') return undefined
  if (stanza.element.getChild('echo', ECHO) !== undefined) return undefined
  if (echo) return echoOf(stanza)
  return stanza.type === 'headline' ? undefined : refusal(stanza, 'service-unavailable')
}

function answerToRequest(stanza: Stanza): Element {
  const request = stanza.element
  if (stanza.type === 'get' && request.getChild('ping', PING) !== undefined) return reply(stanza, 'result')
  const query = stanza.type === 'get' ? request.getChild('query', DISCO) : undefined
  if (query === undefined) return refusal(stanza, 'service-unavailable')
  return query.attrs['node'] === undefined ? aboutUs(stanza) : refusal(stanza, 'item-not-found')
}

function aboutUs(stanza: Stanza): Element {
  const answer = reply(stanza, 'result')
  const query = createElement('query', { xmlns: DISCO })
  query.append(createElement('identity', { category: 'server', type: 'im', name: 'xmpp-federation' }))
  for (const feature of [DISCO, PING]) query.append(createElement('feature', { var: feature }))
  answer.append(query)
  return answer
}

function echoOf(stanza: Stanza): Element {
  const echo = stanza.element
  Object.assign(echo.attrs, { from: stanza.to.text, to: stanza.from.text })
  echo.append(createElement('echo', { xmlns: ECHO }))
  return echo
}

function refusal(stanza: Stanza, condition: 'service-unavailable' | 'item-not-found'): Element {
  const answer = reply(stanza, 'error')
  const error = createElement('error', { type: 'cancel' })
  error.append(createElement(condition, { xmlns: ERRORS }))
  answer.append(error)
  return answer
}

function reply(stanza: Stanza, type: 'result' | 'error'): Element {
  const id = stanza.id === undefined ? {} : { id: stanza.id }
  return new Element(stanza.name, { type, ...id, from: stanza.to.text, to: stanza.from.text })
}
