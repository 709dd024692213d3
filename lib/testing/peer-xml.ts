import {
  NS_BIDI_FEATURE,
  NS_DIALBACK,
  NS_DIALBACK_FEATURE,
  NS_SASL,
  NS_SERVER,
  NS_STANZA_ERRORS,
  NS_STREAMS,
  NS_TLS
} from '../xml/namespaces.ts'
import { escapeAttribute, escapeText } from '../xml/writer.ts'

/** What a stream header says (RFC 6120 §4.7). Whatever is left out is not there. */
export interface SentHeader {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly id?: string | undefined
  /** Default `1.0`; undefined: a header of before RFC 3920. */
  readonly version?: string | undefined
  readonly lang?: string | undefined
  /** Whether the dialback namespace is declared. Default true. */
  readonly dialback?: boolean
  /** Default true. */
  readonly declaration?: boolean
}

/** What `<stream:features/>` offers. Whatever is left out is not offered. */
export interface SentFeatures {
  readonly starttls?: 'offered' | 'required' | undefined
  /** An empty list is an empty element. */
  readonly mechanisms?: readonly string[] | undefined
  readonly dialback?: 'with-errors' | 'without-errors' | undefined
  readonly bidi?: boolean | undefined
  /** A `from` attribute, as one deployed server has it. */
  readonly from?: string | undefined
  /** Raw XML inside. */
  readonly other?: string | undefined
}

/** One of the messages of XEP-0220 §2.1: a key, or with a `type` an answer. */
export interface SentDialback {
  readonly from: string
  readonly to: string
  readonly id?: string | undefined
  readonly type?: 'valid' | 'invalid' | 'error' | (string & {}) | undefined
  readonly key?: string | undefined
  /** The condition of an `error` answer. */
  readonly condition?: string | undefined
}

type Attributes = Readonly<Record<string, string | undefined>>

/** An XML declaration and a start tag. */
export function headerOf(header: SentHeader): string {
  const version = 'version' in header ? header.version : '1.0'
  const namespaces = { xmlns: NS_SERVER, 'xmlns:stream': NS_STREAMS, ...(header.dialback === false ? {} : { 'xmlns:db': NS_DIALBACK }) }
  const { from, to, id, lang } = header
  return `${header.declaration === false ? '' : "<?xml version='1.0'?>"}<stream:stream${attributes({ ...namespaces, from, to, id, version, 'xml:lang': lang })}>`
}

/** The features after a header (RFC 6120 §4.3.2); what is not named is not offered. */
export function featuresOf(features: SentFeatures): string {
  const { starttls, mechanisms, dialback, bidi, from, other = '' } = features
  const offered = [
    starttls === undefined ? '' : element('starttls', { xmlns: NS_TLS }, starttls === 'required' ? '<required/>' : ''),
    mechanisms === undefined
      ? ''
      : element('mechanisms', { xmlns: NS_SASL }, mechanisms.map(each => element('mechanism', {}, escapeText(each))).join('')),
    dialback === undefined ? '' : element('dialback', { xmlns: NS_DIALBACK_FEATURE }, dialback === 'with-errors' ? '<errors/>' : ''),
    bidi === true ? element('bidi', { xmlns: NS_BIDI_FEATURE }) : '',
    other
  ].join('')
  return element('stream:features', { from }, offered)
}

/** The initiating entity's wish for TLS (RFC 6120 §5.4.2.1). */
export const STARTTLS = element('starttls', { xmlns: NS_TLS })

/** The receiving entity's consent to it (RFC 6120 §5.4.2.3); the next byte is TLS. */
export const PROCEED = element('proceed', { xmlns: NS_TLS })

/** The end of SASL that went well (RFC 6120 §6.4.6). */
export const SUCCESS = element('success', { xmlns: NS_SASL })

/** `authzid` is sent in base64; the empty one as `=`. undefined: no initial response at all. */
export function authOf(mechanism: string, authzid: string | undefined): string {
  const response = authzid === undefined ? '' : authzid === '' ? '=' : Buffer.from(authzid).toString('base64')
  return element('auth', { xmlns: NS_SASL, mechanism }, response)
}

/** The end of SASL that did not (RFC 6120 §6.4.5), with a condition such as `not-authorized`. */
export function saslFailureOf(condition: string, text?: string): string {
  return element(
    'failure',
    { xmlns: NS_SASL },
    element(condition) + (text === undefined ? '' : element('text', { 'xml:lang': 'en' }, escapeText(text)))
  )
}

/** A key of dialback or an answer to one (XEP-0220 §2.1): `db:result` or `db:verify`. */
export function dialbackOf(name: 'result' | 'verify', { from, to, id, type, key = '', condition }: SentDialback): string {
  const error = condition === undefined ? '' : element('error', { type: 'cancel' }, element(condition, { xmlns: NS_STANZA_ERRORS }))
  return element(`db:${name}`, { from, to, id, type }, escapeText(key) + error)
}

function element(name: string, named: Attributes = {}, content = ''): string {
  return content === '' ? `<${name}${attributes(named)}/>` : `<${name}${attributes(named)}>${content}</${name}>`
}

function attributes(named: Attributes): string {
  return Object.entries(named)
    .map(([name, value]) => (value === undefined ? '' : ` ${name}='${escapeAttribute(value)}'`))
    .join('')
}
