import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import type { ApplicationCondition } from '../errors.ts'
import { isNcName } from './characters.ts'
import { NS_CLIENT, NS_DIALBACK, NS_SERVER, NS_STREAM_ERRORS, NS_STREAMS } from './namespaces.ts'
import { boundNamespace, XML_NAMESPACE } from './scope.ts'

/** The prefixes that every stream of ours declares in its header, beside the content namespace. */
const HEADER_PREFIXES: ReadonlyMap<string, string> = new Map([
  ['stream', NS_STREAMS],
  ['db', NS_DIALBACK]
])
const NO_PREFIXES: ReadonlyMap<string, string> = new Map()

const DEEPEST = 1000
// What is to be escaped, or looked at: most text is neither.
const TEXT_SPECIAL = /[&<>\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ud800-\udfff\ufffe\uffff]/
const ATTRIBUTE_SPECIAL = /[&<>"'\u0000-\u001f\ud800-\udfff\ufffe\uffff]/
const TEXT_ESCAPED = /[&<>\r]/g
const ATTRIBUTE_ESCAPED = /[&<>"'\t\n\r]/g
const NOT_A_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;'
}
const escaped = (character: string): string => ESCAPES[character] ?? character

/**
 * Writes character data so that every conforming reader reads it back unchanged (XML 1.0 §2.4, §2.11).
 *
 * @throws FederationError `S2S_ADDRESS` for what is no XML character: control characters, lone surrogates
 */
export function escapeText(text: string): string {
  return TEXT_SPECIAL.test(text) ? characters(text).replace(TEXT_ESCAPED, escaped) : text
}

/** Writes an attribute value, for either quote (XML 1.0 §3.3.3: literal white space would be normalised). Throws as {@link escapeText}. */
export function escapeAttribute(value: string): string {
  return ATTRIBUTE_SPECIAL.test(value) ? characters(value).replace(ATTRIBUTE_ESCAPED, escaped) : value
}

function characters(text: string): string {
  if (NOT_A_CHARACTER.test(text) || !text.isWellFormed()) throw unserializable('text holds a character that XML has not')
  return text
}

function unserializable(detail: string): FederationError {
  return new FederationError('S2S_ADDRESS', { detail: `an element cannot be written: ${detail}` })
}

/**
 * Writes a tree as it has to stand on one of our streams, whose default namespace is `jabber:server`: a top-level element
 * in `jabber:client` or in no namespace, and what inherits from it, is re-scoped (RFC 6120 §4.8.3); every prefix is declared
 * inside (but for `stream` and `db` on a top-level element that carries them); nothing that ltx leaves unescaped stays so.
 *
 * @throws FederationError `S2S_ADDRESS` for names, characters and namespaces that XML cannot hold, and for cyclic trees
 */
export function serialize(element: Element): string {
  return new TreeWriter(element, true).write()
}

/** A tree as it is, for a place of its own: whatever it inherits from its parents is declared in it. Throws as {@link serialize}. */
export function serializeAlone(element: Element): string {
  return new TreeWriter(element, false).write()
}

/** An element whose end tag is still to be written. */
interface Open {
  readonly element: Element
  readonly name: string
  readonly prefixes: ReadonlyMap<string, string>
  /** The default namespace here, in the tree and as written. */
  readonly inTree: string
  readonly written: string
  /** In the content namespace, and everything around it too. */
  readonly content: boolean
  child: number
}

/** Walks a tree in a loop and writes each element with the namespace that it has. */
class TreeWriter {
  readonly #top: Element
  readonly #onStream: boolean
  readonly #open: Open[] = []
  #xml = ''
  // The start tag in hand: what is bound there, and what has to be declared beside what the element declares itself.
  #prefixes = NO_PREFIXES
  #missing = ''

  constructor(top: Element, onStream: boolean) {
    this.#top = top
    this.#onStream = onStream
  }

  write(): string {
    this.#start(this.#top, undefined)
    for (let open = this.#open.at(-1); open !== undefined; open = this.#open.at(-1)) {
      const children: readonly unknown[] = open.element.children
      const child = children[open.child]
      if (open.child++ === children.length) {
        this.#xml += `</${open.name}>`
        this.#open.pop()
      } else if (typeof child === 'string') this.#xml += escapeText(child)
      else if (isElement(child)) this.#start(child, open)
      else if (child !== null && child !== undefined) this.#xml += escapeText(textOf(child))
    }
    return this.#xml
  }

  #start(element: Element, parent: Open | undefined): void {
    if (this.#open.length >= DEEPEST) throw unserializable(`it is deeper than ${DEEPEST} elements`)
    const own = readAttributes(element)
    this.#prefixes = declaredPrefixes(own, parent?.prefixes ?? NO_PREFIXES)
    this.#missing = ''
    const declared = own.xmlns ?? parent?.inTree ?? inherited(element, '')
    const here = parent === undefined && this.#onStream && !declared ? NS_SERVER : (declared ?? '')
    const { prefix, local } = qualifiedName(element.name)
    const namespace = prefix === '' ? here : this.#resolve(prefix)
    const content = this.#onStream && (parent?.content ?? true) && (namespace === NS_SERVER || namespace === NS_CLIENT)
    const around = parent === undefined ? (this.#onStream ? NS_SERVER : declared === undefined ? '' : undefined) : parent.written
    // A prefixed element leaves the default namespace to what is under it.
    const written = content ? NS_SERVER : prefix === '' || own.xmlns !== undefined ? here : (around ?? here)
    const name = content ? local : element.name
    const attributes = this.#attributes(own)
    this.#xml += `<${name}${written === around ? '' : ` xmlns="${escapeAttribute(written)}"`}${this.#missing}${attributes}`
    if (element.children.length === 0) this.#xml += '/>'
    else {
      this.#xml += '>'
      this.#open.push({ element, name, prefixes: this.#prefixes, inTree: here, written, content, child: 0 })
    }
  }

  #attributes({ pairs }: OwnAttributes): string {
    let text = ''
    let expanded: Set<string> | undefined
    for (const [name, value] of pairs) {
      const { prefix, local } = qualifiedName(name)
      if (prefix !== '' && prefix !== 'xmlns') {
        const key = `${local} ${this.#resolve(prefix)}`
        if (expanded?.has(key)) throw unserializable('it has an attribute twice')
        expanded = (expanded ?? new Set()).add(key)
      }
      text += ` ${name}="${escapeAttribute(value)}"`
    }
    return text
  }

  #resolve(prefix: string): string {
    const bound = this.#prefixes.get(prefix)
    if (bound !== undefined) return bound
    if (prefix === 'xml') return XML_NAMESPACE
    const outside = inherited(this.#top, prefix)
    if (outside !== undefined) {
      this.#prefixes = new Map([...this.#prefixes, [prefix, outside]])
      this.#missing += ` xmlns:${prefix}="${escapeAttribute(outside)}"`
      return outside
    }
    // `db:result` and `stream:error` stand on the declarations of the header, as every peer sends them.
    const header = this.#onStream && this.#top.name.startsWith(`${prefix}:`) ? HEADER_PREFIXES.get(prefix) : undefined
    if (header === undefined) throw unserializable('a prefix is not declared')
    return header
  }
}

/** By what it has: an element may come from another copy of ltx than ours, or from its CommonJS build. */
export function isElement(child: unknown): child is Element {
  return typeof child === 'object' && child !== null && 'children' in child && 'attrs' in child && 'getName' in child
}

function textOf(child: unknown): string {
  if (typeof child === 'string') return child
  if (typeof child === 'number' || typeof child === 'bigint' || typeof child === 'boolean') return String(child)
  throw unserializable('a child is neither an element nor text')
}

/** What an element's attributes say: the default namespace apart. */
interface OwnAttributes {
  readonly pairs: readonly (readonly [name: string, value: string])[]
  readonly xmlns: string | undefined
  readonly declares: boolean
}

// ltx writes an attribute unless it is null or undefined, and numbers as they are.
function readAttributes(element: Element): OwnAttributes {
  const attributes = element.attrs as Readonly<Record<string, unknown>>
  const pairs: [string, string][] = []
  let xmlns: string | undefined
  let declares = false
  for (const name of Object.keys(attributes)) {
    const value = attributes[name]
    if (value === null || value === undefined) continue
    if (name === 'xmlns') xmlns = textOf(value)
    else pairs.push([name, textOf(value)])
    if (name.startsWith('xmlns')) declares = true
  }
  return { pairs, xmlns, declares }
}

function declaredPrefixes(own: OwnAttributes, outer: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (!own.declares) return outer
  let prefixes: Map<string, string> | undefined
  bind('', own.xmlns ?? '')
  for (const [name, value] of own.pairs) {
    if (!name.startsWith('xmlns:')) continue
    const prefix = name.slice('xmlns:'.length)
    prefixes = (prefixes ?? new Map(outer)).set(prefix, bind(prefix, value))
  }
  return prefixes ?? outer
}

function bind(prefix: string, value: string): string {
  try {
    return boundNamespace(prefix, value)
  } catch (cause) {
    throw new FederationError('S2S_ADDRESS', { detail: 'an element cannot be written: a namespace declaration is malformed', cause })
  }
}

interface QualifiedName {
  readonly prefix: string
  readonly local: string
}

const KNOWN_MOST = 4096
const known = new Map<string, QualifiedName>()

/** Takes a name apart. The same few are written again and again. */
function qualifiedName(name: string): QualifiedName {
  const seen = known.get(name)
  if (seen !== undefined) return seen
  const colon = name.indexOf(':')
  const prefix = colon < 0 ? '' : name.slice(0, colon)
  const local = name.slice(colon + 1)
  if (!isNcName(local) || (colon >= 0 && !isNcName(prefix))) throw unserializable('a name is none in XML')
  if (known.size >= KNOWN_MOST) known.clear()
  known.set(name, { prefix, local })
  return { prefix, local }
}

/** What the parents of an element bind a prefix to: the tree it was taken from. They may be a circle. */
function inherited(element: Element, prefix: string): string | undefined {
  let outer = element.parent
  for (let depth = 0; outer !== null && depth < DEEPEST; depth++) {
    const value: unknown = outer.attrs[prefix === '' ? 'xmlns' : `xmlns:${prefix}`]
    if (value !== null && value !== undefined) return bind(prefix, textOf(value))
    outer = outer.parent
  }
  return undefined
}

/** The XML declaration and the start tag of a stream (RFC 6120 §4.7, §4.8, §11.5; XEP-0220 §2.1 wants `db` declared here). */
export function headerXml(header: {
  readonly from?: string
  readonly to?: string
  readonly id?: string
  /** Whether to say `version='1.0'`. */
  readonly version: boolean
  readonly lang?: string
}): string {
  let xml = "<?xml version='1.0'?><stream:stream"
  for (const [name, value] of [
    ['from', header.from],
    ['to', header.to],
    ['id', header.id],
    ['version', header.version ? '1.0' : undefined],
    ['xml:lang', header.lang]
  ] as const) {
    if (value !== undefined) xml += ` ${name}='${escapeAttribute(value)}'`
  }
  return `${xml} xmlns='${NS_SERVER}' xmlns:db='${NS_DIALBACK}' xmlns:stream='${NS_STREAMS}'>`
}

/** A stream error with the closing tag after it (RFC 6120 §4.9): one condition, an optional sentence, an optional application condition. */
export function streamErrorXml(condition: string, text?: string, application?: ApplicationCondition): string {
  const own = (name: string, namespace: string, attributes: Readonly<Record<string, string>> = {}): string => {
    if (![name, ...Object.keys(attributes)].every(isNcName)) throw unserializable('a condition is no name in XML')
    const further = Object.entries(attributes).map(([key, value]) => ` ${key}='${escapeAttribute(value)}'`)
    return `<${name} xmlns='${escapeAttribute(namespace)}'${further.join('')}/>`
  }
  const sentence = text === undefined ? '' : `<text xmlns='${NS_STREAM_ERRORS}' xml:lang='en'>${escapeText(text)}</text>`
  const special = application === undefined ? '' : own(application.name, application.namespace, application.attributes)
  return `<stream:error>${own(condition, NS_STREAM_ERRORS)}${sentence}${special}</stream:error></stream:stream>`
}
