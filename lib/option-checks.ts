import { FederationError } from './errors.ts'

type Check = (value: unknown, where: string) => void

/** The error for an option that is not usable: it names the key. */
export function unusable(where: string, problem: string): FederationError {
  return new FederationError('S2S_CONFIG', { detail: `${where} ${problem}` })
}

/** @throws FederationError `S2S_CONFIG` naming the first key that is not known */
export function checkKeys(given: object, known: Readonly<Record<string, unknown>>, where: string): void {
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(known, key)) throw unusable(`${where}.${key}`, `is not known; known are ${Object.keys(known).join(', ')}`)
  }
}

/** An object that is not null; an array is none. */
export function objectAt(value: unknown, where: string, what = 'an object'): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(where, `has to be ${what}`)
  // Any object may be read by any key: what is not there is undefined.
  return value as Readonly<Record<string, unknown>>
}

export const isBoolean: Check = (value, where) => {
  if (typeof value !== 'boolean') throw unusable(where, 'has to be true or false')
}

export const isFunction: Check = (value, where) => {
  if (typeof value !== 'function') throw unusable(where, 'has to be a function')
}

/** Something that is plugged in: an object with these methods, its own or inherited. */
export function hasMethods(...names: readonly string[]): Check {
  return (value, where) => {
    const plug = objectAt(value, where, `an object with ${names.join(', ')}`)
    for (const name of names) if (typeof plug[name] !== 'function') throw unusable(`${where}.${name}`, 'has to be a function')
  }
}

const texts: Check = (value, where) => {
  if (!Array.isArray(value) || !value.every(each => typeof each === 'string')) throw unusable(where, 'has to be a list of texts')
}

const QUESTIONS = { admit: true, tls: true, certificate: true, minimumLevel: true } as const
const POLICY = { kind: true, name: true, options: true, proofs: true, afterFailure: true, ...QUESTIONS } as const
const GUARD = { kind: true, name: true, pins: true, plain: true, learn: true, ...QUESTIONS } as const

function checkAnswers(value: unknown, where: string, known: Readonly<Record<string, true>>): Readonly<Record<string, unknown>> {
  const given = objectAt(value, where)
  // A class of the user's may have fields of its own; a literal with a misspelt question would silently not be asked.
  if (Object.getPrototypeOf(given) === Object.prototype) checkKeys(given, known, where)
  for (const key of Object.keys(known)) {
    if (['kind', 'name', 'options'].includes(key) || given[key] === undefined) continue
    isFunction(given[key], `${where}.${key}`)
  }
  return given
}

export const isPolicy: Check = (value, where) => {
  const { kind } = checkAnswers(value, where, POLICY)
  if (kind !== undefined && kind !== 'policy') throw unusable(where, 'is no policy; guards go into options.guards')
}

export const areGuards: Check = (value, where) => {
  if (!Array.isArray(value)) throw unusable(where, 'has to be a list of guards')
  for (const [index, each] of value.entries()) {
    const { kind, name } = checkAnswers(each, `${where}[${index}]`, GUARD)
    if (kind !== 'guard' || typeof name !== 'string')
      throw unusable(`${where}[${index}]`, "is no guard: it lacks kind: 'guard' or its name")
  }
}

export const isTrust: Check = (value, where) => {
  const trust = objectAt(value, where)
  checkKeys(trust, { default: true, also: true, forDomains: true }, where)
  if (trust['default'] !== undefined && trust['default'] !== 'bundled' && trust['default'] !== 'system')
    texts(trust['default'], `${where}.default`)
  if (trust['also'] !== undefined) texts(trust['also'], `${where}.also`)
  if (trust['forDomains'] === undefined) return
  if (!Array.isArray(trust['forDomains'])) throw unusable(`${where}.forDomains`, 'has to be a list of { patterns, ca, only }')
  for (const [index, each] of trust['forDomains'].entries()) {
    const at = `${where}.forDomains[${index}]`
    const entry = objectAt(each, at)
    checkKeys(entry, { patterns: true, ca: true, only: true }, at)
    texts(entry['patterns'], `${at}.patterns`)
    texts(entry['ca'], `${at}.ca`)
    if (entry['only'] !== undefined) isBoolean(entry['only'], `${at}.only`)
  }
}

export const areDomains: Check = (value, where) => {
  const domains = objectAt(value, where, 'an object from domain to credentials, or a KeyStore')
  if (typeof domains['credentialsFor'] === 'function') return texts(domains['domains'], `${where}.domains`)
  if (Object.keys(domains).length === 0) throw unusable(where, 'names no domain')
  for (const [name, each] of Object.entries(domains)) {
    if (each === undefined) continue
    const at = `${where}[${JSON.stringify(name)}]`
    const credentials = objectAt(each, at, '{ key, cert }, or undefined for a domain without a certificate')
    checkKeys(credentials, { key: true, cert: true, passphrase: true }, at)
    for (const part of ['key', 'cert']) {
      if (typeof credentials[part] !== 'string' && !Buffer.isBuffer(credentials[part]))
        throw unusable(`${at}.${part}`, 'has to be PEM, text or a Buffer')
    }
  }
}

/** At least 32 bytes each (XEP-0185 §3). */
export const isDialbackSecret: Check = (value, where) => {
  const secret = objectAt(value, where, '{ current, accepted }')
  checkKeys(secret, { current: true, accepted: true }, where)
  const accepted: unknown = secret['accepted'] === undefined ? [] : secret['accepted']
  if (!Array.isArray(accepted)) throw unusable(`${where}.accepted`, 'has to be a list')
  for (const each of [secret['current'], ...(accepted as readonly unknown[])]) {
    if (typeof each !== 'string' && !Buffer.isBuffer(each)) throw unusable(where, 'has to hold text or Buffers')
    if (Buffer.byteLength(each) < 32) throw unusable(where, 'has to be at least 32 bytes long')
  }
}
