import { excess, illFormed } from './refusals.ts'
import { expandValue } from './references.ts'

/** Namespaces in XML 1.0 §3: the two names that are bound for ever. */
export const XML_NAMESPACE = 'http://www.w3.org/XML/1998/namespace'
export const XMLNS_NAMESPACE = 'http://www.w3.org/2000/xmlns/'

/** Bytes of one namespace name. */
export const LONGEST_NAMESPACE = 1024
/** Prefixes in scope at one place, those of the stream header included. */
export const MOST_PREFIXES = 128

/** What the elements of a stream inherit from its header. */
export interface Inherited {
  /** The default namespace; '' if there is none. */
  readonly defaultNamespace: string
  readonly prefixes: ReadonlyMap<string, string>
  readonly lang: string | undefined
}

// C0 and C1 controls and white space: in no namespace name that means well, and separators in other parsers.
export const NOT_IN_NAMESPACE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029]/u

/** The namespace that a declaration binds, refused where Namespaces in XML 1.0 §3 forbids the binding. `prefix` is '' for the default. */
export function boundNamespace(prefix: string, value: string): string {
  if (prefix === 'xmlns') throw illFormed('the prefix xmlns is declared')
  if (prefix !== '' && value === '') throw illFormed('a prefix is undeclared')
  if (value === XMLNS_NAMESPACE) throw illFormed('the namespace of declarations is bound')
  if ((prefix === 'xml') !== (value === XML_NAMESPACE)) throw illFormed('the prefix xml and its namespace belong to each other')
  if (NOT_IN_NAMESPACE.test(value)) throw illFormed('a namespace name holds white space or control characters')
  return value
}

/** One prefix and what it is bound to. */
interface Binding {
  readonly prefix: Buffer
  readonly namespace: string
  readonly inherited: string | undefined
}

/**
 * The prefixes in scope while an element is read. The default namespace is not among them: it decides nothing about
 * well-formedness below the top.
 */
export class Scope {
  #bindings: Binding[] = []
  #used = new Set<Binding>()

  constructor(prefixes: ReadonlyMap<string, string> = new Map()) {
    for (const [prefix, namespace] of prefixes) this.#bindings.push({ prefix: Buffer.from(prefix), namespace, inherited: prefix })
  }

  /** How many prefixes are in scope: given back to {@link Scope.leave}. */
  get size(): number {
    return this.#bindings.length
  }

  declare(prefix: Buffer, namespace: string): void {
    if (this.#bindings.length >= MOST_PREFIXES) throw excess(`more than ${MOST_PREFIXES} namespace prefixes in scope`)
    this.#bindings.push({ prefix, namespace, inherited: undefined })
  }

  leave(size: number): void {
    if (this.#bindings.length !== size) this.#bindings.length = size
  }

  /** The namespace of the prefix that stands in some bytes; refused if nothing binds it. */
  resolve(bytes: Buffer, from: number, to: number): string {
    for (let index = this.#bindings.length - 1; index >= 0; index--) {
      const binding = this.#bindings[index]
      if (binding === undefined || !sameBytes(binding.prefix, bytes, from, to)) continue
      if (binding.inherited !== undefined) this.#used.add(binding)
      return binding.namespace
    }
    if (to - from === 3 && bytes.toString('latin1', from, to) === 'xml') return XML_NAMESPACE
    throw illFormed('a namespace prefix is not declared')
  }

  /** The inherited bindings that were used since the last call. */
  takeUsed(): ReadonlyMap<string, string> | undefined {
    if (this.#used.size === 0) return undefined
    const used = new Map([...this.#used].map(({ prefix, namespace }) => [prefix.toString(), namespace]))
    this.#used.clear()
    return used
  }
}

function sameBytes(one: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (one.length !== to - from || one[0] !== bytes[from]) return false
  for (let index = 1; index < one.length; index++) if (one[index] !== bytes[from + index]) return false
  return true
}

/** Decodes the value of an attribute. */
export function readValue(bytes: Buffer, from: number, to: number): string {
  return expandValue(bytes.toString('utf8', from, to))
}
