import type { SaslCondition } from './sasl.ts'

/** What a top-level element is to a receiving entity. */
export type ElementKind =
  | 'starttls'
  | 'auth'
  | 'sasl-reply'
  | 'dialback-key'
  | 'dialback-verify'
  | 'dialback-answer'
  | 'stanza'
  | 'prefixed-stanza'
  | 'stream-management'
  | 'bidi'
  | 'unknown'

/**
 * Where an incoming stream stands. `clear-tls-required`: TLS has to come first. `authenticated`: at least one pair is. `closing`:
 * our closing tag is sent, the peer's is awaited.
 */
export type IncomingState = 'clear' | 'clear-tls-required' | 'tls' | 'authenticated' | 'closing'

/** What is done with an element: it is acted on, ignored, or answered with one of four kinds of no. */
export type Permission =
  | { readonly kind: 'act' | 'ignore' | 'starttls-failure' }
  | { readonly kind: 'stream-error'; readonly condition: string; readonly because: string }
  | { readonly kind: 'sasl-failure'; readonly condition: SaslCondition }
  | { readonly kind: 'dialback-error'; readonly condition: string }

const NS_SERVER = 'jabber:server'
const NS_DIALBACK = 'jabber:server:dialback'
const NS_TLS = 'urn:ietf:params:xml:ns:xmpp-tls'
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl'
const NS_SM = 'urn:xmpp:sm:3'
const NS_BIDI = 'urn:xmpp:bidi'
const STANZAS = new Set(['message', 'presence', 'iq'])

/** What an element is, by its name, namespace and prefix, and for dialback by whether it asks or answers (XEP-0220 §2.1). */
export function kindOf(element: {
  readonly name: string
  readonly namespace: string
  readonly prefix: string
  readonly type: string | undefined
}): ElementKind {
  const { name, namespace, prefix, type } = element
  if (namespace === NS_SERVER && STANZAS.has(name)) return prefix === '' ? 'stanza' : 'prefixed-stanza'
  if (namespace === NS_DIALBACK && (name === 'result' || name === 'verify')) {
    if (type !== undefined) return 'dialback-answer'
    return name === 'result' ? 'dialback-key' : 'dialback-verify'
  }
  if (namespace === NS_TLS && name === 'starttls') return 'starttls'
  if (namespace === NS_SASL && name === 'auth') return 'auth'
  if (namespace === NS_SASL && (name === 'response' || name === 'abort')) return 'sasl-reply'
  if (namespace === NS_BIDI && name === 'bidi') return 'bidi'
  return namespace === NS_SM ? 'stream-management' : 'unknown'
}

const act: Permission = { kind: 'act' }
const ignore: Permission = { kind: 'ignore' }
const noTls: Permission = { kind: 'starttls-failure' }
const needsTls: Permission = { kind: 'sasl-failure', condition: 'encryption-required' }
const keyNeedsTls: Permission = { kind: 'dialback-error', condition: 'policy-violation' }
const end = (condition: string, because: string): Permission => ({ kind: 'stream-error', condition, because })

const tooEarly = end('not-authorized', 'a stanza came before anybody was authenticated')
const tlsFirst = end('policy-violation', 'TLS has to be negotiated first')
const settled = end('policy-violation', 'SASL came after authentication')
const unasked = end('policy-violation', 'a dialback answer came that nobody asked for on this stream')
const prefixed = end('bad-namespace-prefix', 'stanzas are not prefixed')
const unsupported = end('unsupported-stanza-type', 'the element is not supported here')

/**
 * Which elements are permitted in which state, and what each forbidden one gets (RFC 6120 §4.3.5, §4.9.3, §5.4.2.2, §6.5;
 * XEP-0220 §2.2). A dialback answer is never permitted: what we ask, we ask on connections of our own. `dialback-verify` always is.
 * Stream management before authentication is answered by itself, on a stream that goes on (XEP-0198 §3); after our closing tag the
 * peer may still acknowledge. `<bidi/>` counts inside TLS until somebody is authenticated (XEP-0288 §2.2): it has no answer, so
 * elsewhere it does nothing.
 */
const TABLE: Readonly<Record<ElementKind, Readonly<Record<IncomingState, Permission>>>> = {
  starttls: { clear: act, 'clear-tls-required': act, tls: noTls, authenticated: noTls, closing: ignore },
  auth: { clear: needsTls, 'clear-tls-required': needsTls, tls: act, authenticated: settled, closing: ignore },
  'sasl-reply': { clear: needsTls, 'clear-tls-required': needsTls, tls: act, authenticated: settled, closing: ignore },
  'dialback-key': { clear: act, 'clear-tls-required': keyNeedsTls, tls: act, authenticated: act, closing: ignore },
  'dialback-verify': { clear: act, 'clear-tls-required': act, tls: act, authenticated: act, closing: ignore },
  'dialback-answer': { clear: unasked, 'clear-tls-required': unasked, tls: unasked, authenticated: unasked, closing: ignore },
  stanza: { clear: tooEarly, 'clear-tls-required': tlsFirst, tls: tooEarly, authenticated: act, closing: act },
  'prefixed-stanza': { clear: prefixed, 'clear-tls-required': prefixed, tls: prefixed, authenticated: prefixed, closing: ignore },
  'stream-management': { clear: act, 'clear-tls-required': act, tls: act, authenticated: act, closing: act },
  bidi: { clear: ignore, 'clear-tls-required': ignore, tls: act, authenticated: ignore, closing: ignore },
  unknown: { clear: unsupported, 'clear-tls-required': unsupported, tls: unsupported, authenticated: unsupported, closing: ignore }
}

/** What the table says about one element in one state. */
export function permitted(kind: ElementKind, state: IncomingState): Permission {
  return TABLE[kind][state]
}
