import type { Element } from 'ltx'
import type { Spans } from './attributes.ts'
import { expandValue } from './references.ts'
import type { Inherited } from './scope.ts'
import { buildTree, readTag } from './tree.ts'
import { escapeAttribute, serializeAlone } from './writer.ts'

/** What the framer gives: a checked part of a stream. */
export type Frame = HeaderFrame | ElementFrame | CloseFrame

/** The start tag of the root (RFC 6120 §4.7). The stream layer judges its namespaces and addresses. */
export interface HeaderFrame {
  readonly kind: 'header'
  /** Without its prefix. */
  readonly name: string
  readonly namespace: string
  /** The default namespace declared on the root; '' if none. */
  readonly contentNamespace: string
  readonly prefixes: ReadonlyMap<string, string>
  readonly from?: string
  readonly to?: string
  readonly id?: string
  readonly version?: string
  readonly lang?: string
}

/**
 * One complete top-level element. The header fields are attributes without a prefix, as written, decoded when asked for;
 * they keep no more of the stream alive than the start tag they stand in.
 */
export interface ElementFrame {
  readonly kind: 'element'
  /** Without its prefix. */
  readonly name: string
  /** '' if none. Content with a prefix is for the layer above to refuse (RFC 6120 §4.8.5). */
  readonly prefix: string
  readonly namespace: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly id: string | undefined
  readonly type: string | undefined
  /** The element's own `xml:lang`. */
  readonly lang: string | undefined
  /** Bytes from `<` to the final `>`. */
  readonly size: number
  /** A tree of its own, which declares what the element inherited from the stream header. */
  element(): Element
  /** The same as UTF-8: the received bytes where they are certified, written anew from the tree where not. */
  bytes(): Buffer
  /** The same payload under a start tag written anew, with these addresses. What is undefined stays as it is. */
  readdressed(header: Readdressing): ElementFrame
  /** For who keeps it: holds on to its own bytes, and no more to a much larger chunk that they came in. */
  detach(): void
}

/** The end tag of the root. */
export interface CloseFrame {
  readonly kind: 'close'
}

/** What a copy of a stanza has instead of what the stanza has; the rest stays. */
export interface Readdressing {
  readonly from?: string
  readonly to?: string
  readonly id?: string
}

/** What the framer knows of an element when its start tag has ended. Offsets count from the first byte of the element. */
export interface StartTag {
  /** Without the prefix. */
  readonly nameAt: number
  readonly nameTo: number
  readonly prefix: string
  readonly namespace: string
  readonly declaresDefault: boolean
  readonly end: number
  readonly spans: Spans
  /** Neither the name nor a value holds other bytes than ASCII, or references, or white space that a reader resolves. */
  readonly simple: boolean
  readonly inherited: Inherited
  /** Whether no reader can take the bytes for anything else: known at the end of the element. */
  certified: boolean
  /** Prefixes that are bound by the stream header: known at the end of the element. */
  used: ReadonlyMap<string, string> | undefined
}

/** A top-level element as it stands in the received bytes. */
export class ReceivedElement implements ElementFrame {
  readonly kind = 'element'
  readonly size: number
  readonly #tag: Readonly<StartTag>
  #bytes: Buffer
  #at: number
  #head: string | undefined

  constructor(tag: Readonly<StartTag>, bytes: Buffer, at: number, size: number) {
    this.#tag = tag
    this.#bytes = bytes
    this.#at = at
    this.size = size
  }

  get name(): string {
    return this.#text(this.#tag.nameAt, this.#tag.nameTo)
  }

  get prefix(): string {
    return this.#tag.prefix
  }

  get namespace(): string {
    return this.#tag.namespace
  }

  get from(): string | undefined {
    const { fromAt, fromTo } = this.#tag.spans
    return fromTo === 0 ? undefined : this.#text(fromAt, fromTo)
  }

  get to(): string | undefined {
    const { toAt, toTo } = this.#tag.spans
    return toTo === 0 ? undefined : this.#text(toAt, toTo)
  }

  get id(): string | undefined {
    const { idAt, idTo } = this.#tag.spans
    return idTo === 0 ? undefined : this.#text(idAt, idTo)
  }

  get type(): string | undefined {
    const { typeAt, typeTo } = this.#tag.spans
    return typeTo === 0 ? undefined : this.#text(typeAt, typeTo)
  }

  get lang(): string | undefined {
    const { langAt, langTo } = this.#tag.spans
    return langTo === 0 ? undefined : this.#text(langAt, langTo)
  }

  element(): Element {
    return buildTree(this.#bytes.toString('utf8', this.#at, this.#at + this.size), this.#declarations())
  }

  bytes(): Buffer {
    if (!this.#tag.certified) return Buffer.from(serializeAlone(this.element()))
    const declared = writeAttributes(this.#declarations())
    const name = this.#at + this.#tag.nameTo
    const copy = Buffer.allocUnsafe(this.size + Buffer.byteLength(declared))
    this.#bytes.copy(copy, 0, this.#at, name)
    const written = this.#tag.nameTo + copy.write(declared, this.#tag.nameTo)
    this.#bytes.copy(copy, written, name, this.#at + this.size)
    return copy
  }

  readdressed(header: Readdressing): ElementFrame {
    const start = readTag(this.#bytes.toString('utf8', this.#at, this.#at + this.#tag.end), 0)
    const attributes = new Map(this.#declarations())
    for (let index = 0; index < start.attributes.length; index += 2)
      attributes.set(start.attributes[index] ?? '', start.attributes[index + 1] ?? '')
    for (const key of ['from', 'to', 'id'] as const) if (header[key] !== undefined) attributes.set(key, header[key])
    return new ReaddressedElement(this, { name: start.name, attributes, empty: start.empty }, () => this.#payload())
  }

  detach(): void {
    if (this.#bytes.buffer.byteLength <= 2 * this.size) return
    // Not of the pool, which would be held instead.
    const own = Buffer.allocUnsafeSlow(this.size)
    this.#bytes.copy(own, 0, this.#at, this.#at + this.size)
    this.#bytes = own
    this.#at = 0
  }

  /** The bytes after the start tag. */
  #payload(): Buffer {
    if (this.#tag.certified) return this.#bytes.subarray(this.#at + this.#tag.end, this.#at + this.size)
    const alone = serializeAlone(this.element())
    return Buffer.from(alone.slice(readTag(alone, 0).end))
  }

  #declarations(): ReadonlyMap<string, string> {
    const { defaultNamespace, lang } = this.#tag.inherited
    const declarations = new Map<string, string>()
    if (!this.#tag.declaresDefault) declarations.set('xmlns', defaultNamespace)
    for (const [prefix, namespace] of this.#tag.used ?? []) declarations.set(`xmlns:${prefix}`, namespace)
    if (lang !== undefined && this.#tag.spans.langTo === 0) declarations.set('xml:lang', lang)
    return declarations
  }

  // A string cut from the chunk's would keep the chunk alive; one cut from the start tag's keeps only that.
  #text(at: number, to: number): string {
    const tag = this.#tag
    if (!tag.simple) return expandValue(this.#bytes.toString('utf8', this.#at + at, this.#at + to))
    this.#head ??= this.#bytes.toString('latin1', this.#at, this.#at + tag.end)
    return this.#head.slice(at, to)
  }
}

/** A certified payload under a start tag of our own. */
class ReaddressedElement implements ElementFrame {
  readonly kind = 'element'
  readonly name: string
  readonly prefix: string
  readonly namespace: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly id: string | undefined
  readonly type: string | undefined
  readonly lang: string | undefined
  readonly size: number
  readonly #start: { readonly name: string; readonly attributes: ReadonlyMap<string, string>; readonly empty: boolean }
  readonly #bytes: Buffer
  readonly #payloadAt: number

  constructor(
    original: ElementFrame,
    start: { readonly name: string; readonly attributes: ReadonlyMap<string, string>; readonly empty: boolean },
    payload: () => Buffer
  ) {
    this.name = original.name
    this.prefix = original.prefix
    this.namespace = original.namespace
    this.from = start.attributes.get('from')
    this.to = start.attributes.get('to')
    this.id = start.attributes.get('id')
    this.type = start.attributes.get('type')
    this.lang = start.attributes.get('xml:lang')
    const head = Buffer.from(`<${start.name}${writeAttributes(start.attributes)}${start.empty ? '/>' : '>'}`)
    this.#start = start
    this.#bytes = start.empty ? head : Buffer.concat([head, payload()])
    this.#payloadAt = head.length
    this.size = this.#bytes.length
  }

  detach(): void {
    // It was written anew, and holds nothing else.
  }

  element(): Element {
    return buildTree(this.#bytes.toString(), new Map())
  }

  bytes(): Buffer {
    return Buffer.from(this.#bytes)
  }

  readdressed(header: Readdressing): ElementFrame {
    const attributes = new Map(this.#start.attributes)
    for (const key of ['from', 'to', 'id'] as const) if (header[key] !== undefined) attributes.set(key, header[key])
    return new ReaddressedElement(this, { ...this.#start, attributes }, () => this.#bytes.subarray(this.#payloadAt))
  }
}

function writeAttributes(attributes: ReadonlyMap<string, string>): string {
  let text = ''
  for (const [name, value] of attributes) text += ` ${name}="${escapeAttribute(value)}"`
  return text
}
