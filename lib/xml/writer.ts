import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import { isNcName } from './characters.ts'
import { boundNamespace, XML_NAMESPACE } from './scope.ts'

/** Namespaces that every stream of ours declares in its header. */
const STREAMS = 'http://etherx.jabber.org/streams'
const SERVER = 'jabber:server'
const CLIENT = 'jabber:client'
const DIALBACK = 'jabber:server:dialback'
const STREAM_ERRORS = 'urn:ietf:params:xml:ns:xmpp-streams'
const HEADER_PREFIXES: ReadonlyMap<string, string> = new Map([
  ['stream', STREAMS],
  ['db', DIALBACK]
])

const DEEPEST = 1000
const TEXT_SPECIAL = /[&<>\r]/g
const ATTRIBUTE_SPECIAL = /[&<>"'\t\n\r]/g
const NOT_A_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/u
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
  return characters(text).replace(TEXT_SPECIAL, escaped)
}

/** Writes an attribute value, for either quote (XML 1.0 §3.3.3: literal white space would be normalised). Throws as {@link escapeText}. */
export function escapeAttribute(value: string): string {
  return characters(value).replace(ATTRIBUTE_SPECIAL, escaped)
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
      } else if (isElement(child)) this.#start(child, open)
      else if (child !== null && child !== undefined) this.#xml += escapeText(textOf(child))
    }
    return this.#xml
  }

  #start(element: Element, parent: Open | undefined): void {
    if (this.#open.length >= DEEPEST) throw unserializable(`it is deeper than ${DEEPEST} elements`)
    const own = readAttributes(element)
    const scope = new WrittenScope(declaredPrefixes(own, parent?.prefixes), prefix => this.#outside(prefix))
    const declared = own.get('xmlns') ?? parent?.inTree ?? inherited(element, 'xmlns')
    const here = parent === undefined && this.#onStream && !declared ? SERVER : (declared ?? '')
    const [prefix, local] = splitName(element.name)
    const namespace = prefix === '' ? here : scope.resolve(prefix)
    const content = this.#onStream && (parent?.content ?? true) && (namespace === SERVER || namespace === CLIENT)
    const around = parent === undefined ? (this.#onStream ? SERVER : declared === undefined ? '' : undefined) : parent.written
    // A prefixed element leaves the default namespace to what is under it.
    const written = content ? SERVER : prefix === '' || own.has('xmlns') ? here : (around ?? here)
    const name = content ? local : element.name
    const attributes = writeAttributes(own, scope)
    this.#xml += `<${name}${written === around ? '' : ` xmlns="${escapeAttribute(written)}"`}${scope.declarations()}${attributes}`
    if (element.children.length === 0) this.#xml += '/>'
    else {
      this.#xml += '>'
      this.#open.push({ element, name, prefixes: scope.prefixes, inTree: here, written, content, child: 0 })
    }
  }

  /** What binds a prefix that the tree does not: the tree's own parents, or our stream header. */
  #outside(prefix: string): { readonly namespace: string; readonly declare: boolean } {
    if (prefix === 'xml') return { namespace: XML_NAMESPACE, declare: false }
    const namespace = inherited(this.#top, `xmlns:${prefix}`)
    if (namespace !== undefined) return { namespace, declare: true }
    // `db:result` and `stream:error` stand on the declarations of the header, as every peer sends them.
    const header = this.#onStream && this.#top.name.startsWith(`${prefix}:`) ? HEADER_PREFIXES.get(prefix) : undefined
    if (header === undefined) throw unserializable('a prefix is not declared')
    return { namespace: header, declare: false }
  }
}

/** The prefixes in scope at one start tag, and those that it has to declare beside its own. */
class WrittenScope {
  #prefixes: ReadonlyMap<string, string>
  readonly #missing = new Map<string, string>()
  readonly #outside: (prefix: string) => { readonly namespace: string; readonly declare: boolean }

  constructor(
    prefixes: ReadonlyMap<string, string>,
    outside: (prefix: string) => { readonly namespace: string; readonly declare: boolean }
  ) {
    this.#prefixes = prefixes
    this.#outside = outside
  }

  get prefixes(): ReadonlyMap<string, string> {
    return this.#prefixes
  }

  resolve(prefix: string): string {
    const bound = this.#prefixes.get(prefix)
    if (bound !== undefined) return bound
    const { namespace, declare } = this.#outside(prefix)
    if (declare) {
      this.#missing.set(prefix, namespace)
      this.#prefixes = new Map([...this.#prefixes, [prefix, namespace]])
    }
    return namespace
  }

  declarations(): string {
    let text = ''
    for (const [prefix, namespace] of this.#missing) text += ` xmlns:${prefix}="${escapeAttribute(namespace)}"`
    return text
  }
}

function writeAttributes(own: ReadonlyMap<string, string>, scope: WrittenScope): string {
  let text = ''
  const expanded = new Set<string>()
  for (const [name, value] of own) {
    if (name === 'xmlns') continue
    const [prefix, local] = splitName(name)
    if (prefix !== '' && prefix !== 'xmlns') {
      const key = `${local} ${scope.resolve(prefix)}`
      if (expanded.has(key)) throw unserializable('it has an attribute twice')
      expanded.add(key)
    }
    text += ` ${name}="${escapeAttribute(value)}"`
  }
  return text
}

function isElement(child: unknown): child is Element {
  return typeof child === 'object' && child !== null && 'children' in child && 'attrs' in child
}

function textOf(child: unknown): string {
  if (typeof child === 'string') return child
  if (typeof child === 'number' || typeof child === 'bigint' || typeof child === 'boolean') return String(child)
  throw unserializable('a child is neither an element nor text')
}

// ltx writes an attribute unless it is null or undefined, and numbers as they are.
function readAttributes(element: Element): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const [name, value] of Object.entries<unknown>(element.attrs)) {
    if (value !== null && value !== undefined) attributes.set(name, textOf(value))
  }
  return attributes
}

function splitName(name: string): [prefix: string, local: string] {
  const colon = name.indexOf(':')
  const prefix = colon < 0 ? '' : name.slice(0, colon)
  const local = name.slice(colon + 1)
  if (!isNcName(local) || (colon >= 0 && !isNcName(prefix))) throw unserializable('a name is none in XML')
  return [prefix, local]
}

function declaredPrefixes(own: ReadonlyMap<string, string>, outer: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> {
  let prefixes: Map<string, string> | undefined
  for (const [name, value] of own) {
    if (name !== 'xmlns' && !name.startsWith('xmlns:')) continue
    const prefix = name.slice('xmlns:'.length)
    try {
      boundNamespace(prefix, value)
    } catch (cause) {
      throw new FederationError('S2S_ADDRESS', { detail: 'an element cannot be written: a namespace declaration is malformed', cause })
    }
    if (prefix !== '') (prefixes ??= new Map(outer)).set(prefix, value)
  }
  return prefixes ?? outer ?? new Map()
}

/** What the parents of an element say: the tree it was taken from. They may be a circle. */
function inherited(element: Element, attribute: string): string | undefined {
  let outer = element.parent
  for (let depth = 0; outer !== null && depth < DEEPEST; depth++) {
    const value = readAttributes(outer).get(attribute)
    if (value !== undefined) return value
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
  return `${xml} xmlns='${SERVER}' xmlns:db='${DIALBACK}' xmlns:stream='${STREAMS}'>`
}

/** A stream error with the closing tag after it (RFC 6120 §4.9): one condition, an optional sentence, an optional application condition. */
export function streamErrorXml(
  condition: string,
  text?: string,
  application?: { readonly name: string; readonly namespace: string }
): string {
  const own = (name: string, namespace: string): string => {
    if (!isNcName(name)) throw unserializable('a condition is no name in XML')
    return `<${name} xmlns='${escapeAttribute(namespace)}'/>`
  }
  const sentence = text === undefined ? '' : `<text xmlns='${STREAM_ERRORS}' xml:lang='en'>${escapeText(text)}</text>`
  const special = application === undefined ? '' : own(application.name, application.namespace)
  return `<stream:error>${own(condition, STREAM_ERRORS)}${sentence}${special}</stream:error></stream:stream>`
}
