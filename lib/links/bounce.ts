import { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import type { Stanza } from '../model/stanza.ts'
import { isBounceable } from '../rules/bounceable.ts'
import { NS_STANZA_ERRORS } from '../xml/namespaces.ts'
import { checkElement, elementOf } from './outbound-stanza.ts'

/**
 * The error stanza for a stanza that could not be sent (RFC 6120 §8.3): the same kind and id, the addresses swapped, the condition
 * and type of the error, and its sentence; without the payload, and without naming servers. Called by whoever handles a rejected
 * `send`, to tell the local sender.
 *
 * @param error what `send` rejected with; anything else counts as an internal error
 * @returns undefined for an error stanza and for an iq result, which are never answered with an error: no loop can begin
 * @throws FederationError `S2S_ADDRESS` for what is no stanza at all
 */
export function bounce(stanza: Element | Stanza, error: FederationError): Element | undefined {
  const element = elementOf(stanza)
  checkElement(element)
  // An application that catches everything may hand over what is none of ours.
  const { stanzaErrorType, stanzaCondition, summary } = FederationError.from(error)
  const { type, id, from, to } = attributesOf(element)
  const name = element.getName()
  if (!isBounceable(name, type)) return undefined
  const bounced = new Element(name, {
    type: 'error',
    ...(to === undefined ? {} : { from: to }),
    ...(from === undefined ? {} : { to: from }),
    ...(id === undefined ? {} : { id })
  })
  const details = bounced.c('error', { type: stanzaErrorType })
  details.c(stanzaCondition, { xmlns: NS_STANZA_ERRORS })
  details.c('text', { xmlns: NS_STANZA_ERRORS, 'xml:lang': 'en' }).t(summary)
  return bounced
}

function attributesOf(element: Element): Readonly<Record<'type' | 'id' | 'from' | 'to', string | undefined>> {
  const attributes: Readonly<Record<string, unknown>> = element.attrs
  const text = (name: string): string | undefined => {
    const value = attributes[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  return { type: text('type'), id: text('id'), from: text('from'), to: text('to') }
}
