import { FederationError } from '../errors.ts'

/** Finds fault with a value that was given as an option, or finds none. `where` is the option as its caller knows it. */
export type Check = (value: unknown, where: string) => void

/** The error for an option that is not usable: it names the key. */
export function unusable(where: string, problem: string): FederationError {
  return new FederationError('S2S_CONFIG', { detail: `${where} ${problem}` })
}

/** The error for an option that is something else than it has to be: it names the key, what is expected and what was given. */
export function wrong(where: string, expected: string, given: string): FederationError {
  return unusable(where, `has to be ${expected}, not ${given}`)
}

/** What was given, for messages: a word, a number or the beginning of a text as it is, the kind of anything else. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 39)}…` : value)
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  return kindOf(value)
}

/** What kind of value was given, where the value itself may be a secret. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return 'text'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** An object that is not null; an array is none. */
export function objectAt(value: unknown, where: string, what = 'an object'): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, what, kindOf(value))
  // Any object may be read by any key: what is not there is undefined.
  return value as Readonly<Record<string, unknown>>
}

/** @throws FederationError `S2S_CONFIG` naming the first key that is not known */
export function checkKeys(given: object, known: readonly string[], where: string): void {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) throw unusable(`${where}.${key}`, `is not known; known are ${known.join(', ')}`)
  }
}

/** Whether an object was written out, and is no instance of a class, which may have fields of its own. */
export function isLiteral(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

export const isBoolean: Check = (value, where) => {
  if (typeof value !== 'boolean') throw wrong(where, 'true or false', shown(value))
}

export const isFunction: Check = (value, where) => {
  if (typeof value !== 'function') throw wrong(where, 'a function', shown(value))
}

export const isText: Check = (value, where) => {
  if (typeof value !== 'string' || value === '') throw wrong(where, 'text', shown(value))
}

export const areTexts: Check = (value, where) => {
  if (!Array.isArray(value)) throw wrong(where, 'a list of texts', shown(value))
  const list: readonly unknown[] = value
  for (const [index, each] of list.entries()) if (typeof each !== 'string') throw wrong(`${where}[${index}]`, 'text', shown(each))
}

/** Something that is plugged in: an object with these methods, its own or inherited. */
export function hasMethods(...names: readonly string[]): Check {
  return (value, where) => {
    const plug = objectAt(value, where, `an object with ${names.join(', ')}`)
    for (const name of names) isFunction(plug[name], `${where}.${name}`)
  }
}

/** One of a few words. */
export function oneOf(...words: readonly string[]): Check {
  return (value, where) => {
    if (typeof value !== 'string' || !words.includes(value))
      throw wrong(where, words.map(word => JSON.stringify(word)).join(' or '), shown(value))
  }
}

export function wholeNumber(least: number, most: number): Check {
  return (value, where) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most)
      throw wrong(where, `a whole number from ${least} to ${most}`, shown(value))
  }
}
