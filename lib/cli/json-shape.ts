import { usageError } from './command.ts'

/** Reads one value of a JSON file. A wrong one is a usage error that names its path in the file. */
export type Read<T> = (value: unknown, path: string) => T

interface Field<T> {
  readonly read: Read<T>
  readonly required: boolean
}

type Fields = Readonly<Record<string, Field<unknown>>>

type Shape<F extends Fields> = {
  readonly [K in keyof F as F[K] extends Field<infer T> ? (undefined extends T ? never : K) : never]: F[K] extends Field<infer T>
    ? T
    : never
} & {
  readonly [K in keyof F as F[K] extends Field<infer T> ? (undefined extends T ? K : never) : never]?: F[K] extends Field<infer T>
    ? Exclude<T, undefined>
    : never
}

export function required<T>(read: Read<T>): Field<T> {
  return { read, required: true }
}

/** A key that may be absent. A present one has to be right; null is not absence. */
export function optional<T>(read: Read<T>): Field<T | undefined> {
  return { read, required: false }
}

/** The error for a value: its path, what was expected, what was found. */
export function wrong(path: string, expected: string, found: unknown): Error {
  return usageError(`${path} has to be ${expected}, not ${shown(found)}`)
}

export const text: Read<string> = (value, path) => {
  if (typeof value !== 'string' || value === '') throw wrong(path, 'text', value)
  return value
}

export const flag: Read<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw wrong(path, 'true or false', value)
  return value
}

export function whole(least: number, most: number): Read<number> {
  return (value, path) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most)
      throw wrong(path, `a whole number from ${least} to ${most}`, value)
    return value
  }
}

export function oneOf<const W extends string>(...words: readonly W[]): Read<W> {
  return (value, path) => {
    const word = words.find(each => each === value)
    if (word === undefined) throw wrong(path, `one of ${words.join(', ')}`, value)
    return word
  }
}

export function listOf<T>(read: Read<T>): Read<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, 'a list', value)
    return value.map((each: unknown, index) => read(each, `${path}[${index}]`))
  }
}

/** An object whose keys are names: domains, mostly. */
export function recordOf<T>(read: Read<T>): Read<Readonly<Record<string, T>>> {
  return (value, path) => {
    const entries = Object.entries(plainObject(value, path))
    return Object.fromEntries(entries.map(([key, each]) => [key, read(each, `${path}[${JSON.stringify(key)}]`)]))
  }
}

/** An object with exactly these keys. The empty path is the file itself. */
export function shapeOf<F extends Fields>(fields: F): Read<Shape<F>> {
  return (value, path) => {
    const given = plainObject(value, path)
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(fields, key)) throw usageError(`${below(path, key)} is not known; known are ${Object.keys(fields).join(', ')}`)
    }
    const read: Record<string, unknown> = {}
    for (const [key, field] of Object.entries(fields)) {
      if (Object.hasOwn(given, key)) read[key] = field.read(given[key], below(path, key))
      else if (field.required) throw usageError(`${below(path, key)} is missing`)
    }
    // Every field was read by its own reader, which is what Shape is computed from.
    return read as Shape<F>
  }
}

/** Either of two readings, told apart by what kind of value it is. */
export function either<A, B>(isFirst: (value: unknown) => boolean, first: Read<A>, second: Read<B>): Read<A | B> {
  return (value, path) => (isFirst(value) ? first(value, path) : second(value, path))
}

function plainObject(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(path === '' ? 'the file' : path, 'an object', value)
  return value as Readonly<Record<string, unknown>>
}

function below(path: string, key: string): string {
  const isWord = /^[A-Za-z_][A-Za-z0-9_]*$/.test(key)
  if (!isWord) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}

function shown(value: unknown): string {
  const json = JSON.stringify(value)
  return json.length > 60 ? `${json.slice(0, 57)}…` : json
}
