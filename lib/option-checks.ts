import { CHANNELS } from './observe/channels.ts'
import type { Clock, Timer } from './model/plugs.ts'
import { readPatterns } from './rules/domain-patterns.ts'
import {
  areTexts,
  checkKeys,
  isBoolean,
  isText,
  kindOf,
  objectAt,
  oneOf,
  shown,
  unusable,
  wholeNumber,
  wrong
} from './rules/option-value.ts'
import type { Check } from './rules/option-value.ts'

export const isTrust: Check = (value, where) => {
  const trust = objectAt(value, where)
  checkKeys(trust, ['default', 'also', 'forDomains'], where)
  if (typeof trust['default'] === 'string') oneOf('bundled', 'system')(trust['default'], `${where}.default`)
  else if (trust['default'] !== undefined) areTexts(trust['default'], `${where}.default`)
  if (trust['also'] !== undefined) areTexts(trust['also'], `${where}.also`)
  if (trust['forDomains'] === undefined) return
  if (!Array.isArray(trust['forDomains']))
    throw wrong(`${where}.forDomains`, 'a list of { patterns, ca, only }', shown(trust['forDomains']))
  for (const [index, each] of trust['forDomains'].entries()) {
    const at = `${where}.forDomains[${index}]`
    const entry = objectAt(each, at)
    checkKeys(entry, ['patterns', 'ca', 'only'], at)
    readPatterns(entry['patterns'], `${at}.patterns`)
    areTexts(entry['ca'], `${at}.ca`)
    if (entry['only'] !== undefined) isBoolean(entry['only'], `${at}.only`)
  }
}

/** One place to listen. An empty host would be all addresses, which only leaving it out may be. */
export const isListener: Check = (value, where) => {
  const { host, port, tls } = endpointAt(value, where)
  if (host !== undefined) isText(host, `${where}.host`)
  wholeNumber(0, 65_535)(port, `${where}.port`)
  isTlsKind(tls, `${where}.tls`)
}

export const isOverride: Check = (value, where) => {
  const { host, port, tls } = endpointAt(value, where)
  isText(host, `${where}.host`)
  if (port !== undefined) wholeNumber(1, 65_535)(port, `${where}.port`)
  isTlsKind(tls, `${where}.tls`)
}

function endpointAt(value: unknown, where: string): { readonly host?: unknown; readonly port?: unknown; readonly tls?: unknown } {
  const endpoint = objectAt(value, where, '{ host, port, tls }')
  checkKeys(endpoint, ['host', 'port', 'tls'], where)
  return endpoint
}

const isTlsKind: Check = (value, where) => {
  if (value !== undefined) oneOf('starttls', 'direct')(value, where)
}

export const isPassword: Check = (value, where) => {
  const password = objectAt(value, where, '{ username, password }')
  checkKeys(password, ['username', 'password'], where)
  for (const field of ['username', 'password']) {
    const text = password[field]
    if (typeof text !== 'string' || text === '') throw wrong(`${where}.${field}`, 'text', text === '' ? 'empty' : kindOf(text))
    if (text.includes('\0')) throw unusable(`${where}.${field}`, 'has to be text without NUL')
  }
}

export const areDomains: Check = (value, where) => {
  const domains = objectAt(value, where, 'an object from domain to credentials, or a KeyStore')
  if (typeof domains['credentialsFor'] === 'function') return areTexts(domains['domains'], `${where}.domains`)
  if (Object.keys(domains).length === 0) throw unusable(where, 'names no domain')
  for (const [name, each] of Object.entries(domains)) if (each !== undefined) isCredentials(each, `${where}[${JSON.stringify(name)}]`)
}

/** What was given is never shown: it may be the key. */
const isCredentials: Check = (value, where) => {
  const credentials = objectAt(value, where, '{ key, cert }, or undefined for a domain without a certificate')
  checkKeys(credentials, ['key', 'cert', 'passphrase'], where)
  for (const part of ['key', 'cert']) {
    if (!isTextOrBuffer(credentials[part])) throw wrong(`${where}.${part}`, 'PEM, text or a Buffer', kindOf(credentials[part]))
  }
  const { passphrase } = credentials
  if (passphrase !== undefined && typeof passphrase !== 'string') throw wrong(`${where}.passphrase`, 'text', kindOf(passphrase))
}

/** At least 32 bytes each (XEP-0185 §3). */
export const isDialbackSecret: Check = (value, where) => {
  const secret = objectAt(value, where, '{ current, accepted }')
  checkKeys(secret, ['current', 'accepted'], where)
  const accepted: unknown = secret['accepted'] === undefined ? [] : secret['accepted']
  if (!Array.isArray(accepted)) throw wrong(`${where}.accepted`, 'a list', kindOf(accepted))
  isSecret(secret['current'], `${where}.current`)
  for (const [index, each] of accepted.entries()) isSecret(each, `${where}.accepted[${index}]`)
}

const isSecret: Check = (value, where) => {
  if (!isTextOrBuffer(value)) throw wrong(where, 'text or a Buffer', kindOf(value))
  const length = Buffer.byteLength(value)
  if (length < 32) throw wrong(where, 'at least 32 bytes long', String(length))
}

function isTextOrBuffer(value: unknown): value is string | Buffer {
  return typeof value === 'string' || Buffer.isBuffer(value)
}

const FAR = 86_400_000

/**
 * Node's own `setTimeout` gives timers that have no `cancel`: one is set to see.
 *
 * @throws FederationError `S2S_CONFIG`
 */
export function checkClock(clock: Clock, where: string): void {
  const now: unknown = clock.now()
  if (typeof now !== 'number' || !Number.isFinite(now)) throw wrong(`what ${where}.now gives`, 'a number of milliseconds', shown(now))
  const timer: unknown = clock.setTimeout(() => undefined, FAR)
  if (isTimer(timer)) timer.cancel()
  else {
    // It would keep the process for a day.
    clearTimeout(Number(timer))
    throw wrong(`what ${where}.setTimeout gives`, 'a timer with cancel', kindOf(timer))
  }
}

function isTimer(value: unknown): value is Timer {
  return typeof value === 'object' && value !== null && 'cancel' in value && typeof value.cancel === 'function'
}

/**
 * The options of one call: an object with nothing in it but these.
 *
 * @throws FederationError `S2S_CONFIG` naming the first that is not usable
 */
export function checkCall(value: unknown, call: string, known: Readonly<Record<string, Check>>): void {
  const where = `${call}: options`
  const given = objectAt(value, where)
  checkKeys(given, Object.keys(known), where)
  for (const [key, check] of Object.entries(known)) if (given[key] !== undefined) check(given[key], `${where}.${key}`)
}

export const isSignal: Check = (value, where) => {
  if (!(value instanceof AbortSignal)) throw wrong(where, 'an AbortSignal', shown(value))
}

/**
 * From JavaScript, what is misspelt would never be heard.
 *
 * @throws FederationError `S2S_CONFIG`
 */
export function checkListener(event: unknown, listener: unknown): void {
  if (typeof event !== 'string' || !Object.hasOwn(CHANNELS, event))
    throw wrong('event', `one of ${Object.keys(CHANNELS).join(', ')}`, shown(event))
  if (typeof listener !== 'function') throw wrong(`the listener of ${event}`, 'a function', kindOf(listener))
}
