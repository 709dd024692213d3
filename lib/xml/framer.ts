import { FederationError } from '../errors.ts'
import { AttributeList, DECLARATION, INDIRECT, WIDE } from './attributes.ts'
import * as bytes from './characters.ts'
import { BYTES } from './characters.ts'
import { ReceivedElement } from './frame.ts'
import type { Frame, StartTag } from './frame.ts'
import { boundNamespace, illFormed, LONGEST_NAMESPACE, readValue, Scope } from './scope.ts'
import type { Inherited } from './scope.ts'

export type { CloseFrame, ElementFrame, Frame, HeaderFrame, Readdressing } from './frame.ts'

/** What a peer may make the framer hold. Sizes are bytes. */
export interface FramerLimits {
  /** From the first byte of the stream to the `>` of its header. */
  readonly headerBytes: number
  /** One top-level element from `<` to its final `>`; also white space between two of them. */
  elementBytes: number
  /** Elements inside each other, the top-level one included. */
  readonly depth: number
  /** Attributes of one start tag, declarations included. */
  readonly attributes: number
}

/** Bytes of one name, prefix and colon included. */
export const LONGEST_NAME = 256
/** Bytes of one `xml:lang` (BCP 47 needs 35). */
export const LONGEST_LANG = 128
const LONGEST_DECLARATION = 256
const SMALLEST_BLOCK = 4096
const NOTHING = Buffer.alloc(0)

// Where the next byte stands. Plain numbers: a switch over them costs a jump.
const PROLOG = 0
const DECLARING = 1
const ANGLE = 2
const NAME = 3
const TAG = 4
const SPACE = 5
const ATTRIBUTE = 6
const EQUALS = 7
const QUOTE = 8
const VALUE = 9
const EMPTY = 10
const CONTENT = 11
const REFERENCE = 12
const BANG = 13
const CDATA = 14
const END_NAME = 15
const END_SPACE = 16
const BETWEEN = 17
const CLOSED = 18

const LT = 0x3c
const GT = 0x3e
const SLASH = 0x2f
const AMPERSAND = 0x26
const COLON = 0x3a
const EQUAL_SIGN = 0x3d
const CDATA_OPEN = Buffer.from('[CDATA[')
const REFERENCES: ReadonlySet<string> = new Set(['lt', 'gt', 'amp', 'apos', 'quot'])

/**
 * The one reader of streams: walks the bytes once and gives frames that are checked UTF-8, XML 1.0, namespaces, and free of
 * what RFC 6120 §11.1 forbids. It goes on inside any token where the last chunk ended, and enforces every limit while reading.
 * One framer reads one stream: after a restart there is a new one (RFC 6120 §4.3.3).
 */
export class Framer {
  readonly #limits: FramerLimits
  readonly #attributes: AttributeList
  readonly #stack: Int32Array
  #scope = new Scope()
  #inherited: Inherited = { defaultNamespace: '', prefixes: new Map(), lang: undefined }
  #root: Buffer | undefined
  #failure: FederationError | undefined

  // The block of bytes in hand: read up to #at, readable up to #end, filled up to #filled; ours to append to if #own.
  #block: Buffer = NOTHING
  #own = false
  #at = 0
  #end = 0
  #filled = 0
  #broken = false
  // Totals since the stream began.
  #fed = 0
  #framed = 0

  // The token in hand. Offsets but #start and #stop count from #start, so that they outlive the block.
  #state = PROLOG
  #start = 0
  #stop = 0
  #depth = 0
  #nameFrom = 0
  #nameTo = 0
  #colon = 0
  #elementColon = 0
  #elementFrom = 0
  #elementTo = 0
  #tokenFrom = 0
  #flags = 0
  #quote = 0
  #matched = 0
  #reference = ''
  #after = CONTENT
  #certified = true
  #tag: StartTag | undefined
  #frame: Frame | undefined

  constructor(limits: FramerLimits) {
    this.#limits = { ...limits }
    this.#attributes = new AttributeList(limits.attributes)
    this.#stack = new Int32Array((limits.depth + 1) * 3)
  }

  /** Bytes fed and not yet part of a returned frame, white space included. */
  get pending(): number {
    return this.#fed - this.#framed
  }

  /** Whether a header, an element or a part of one has been begun and not finished. */
  get midElement(): boolean {
    return (this.#state !== BETWEEN && this.#state !== CLOSED && this.#state !== PROLOG) || this.#at < this.#filled
  }

  /** Raises (or lowers) the bound on elements: what has been authenticated may send more. */
  setElementBytes(size: number): void {
    this.#limits.elementBytes = size
  }

  /** Takes a chunk over; it must not be written to any more. */
  feed(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#fed += chunk.length
    const keep = this.#isOpen() ? this.#start : this.#at
    if (keep === this.#filled) this.#replace(chunk, keep)
    else if (this.#own && this.#filled + chunk.length <= this.#block.length) {
      chunk.copy(this.#block, this.#filled)
      this.#filled += chunk.length
    } else this.#join(keep, chunk)
    if (this.#broken) return
    const valid = bytes.utf8Prefix(this.#block, this.#end, this.#filled)
    this.#end = valid.end
    this.#broken = valid.broken
  }

  /**
   * The next complete frame; undefined: more bytes are needed.
   *
   * @throws FederationError `S2S_NOT_WELL_FORMED` with the stream error to send, or `S2S_LIMIT` (`condition` is
   * `stanza-too-big` where the element is), and from then on the same again
   */
  next(): Frame | undefined {
    if (this.#failure !== undefined) throw this.#failure
    try {
      return this.#scan()
    } catch (error) {
      this.#failure = FederationError.from(error)
      throw this.#failure
    }
  }

  #isOpen(): boolean {
    return this.#state !== BETWEEN && this.#state !== CLOSED
  }

  #replace(chunk: Buffer, read: number): void {
    this.#block = chunk
    this.#own = false
    this.#start -= read
    this.#at -= read
    this.#end = 0
    this.#filled = chunk.length
  }

  #join(keep: number, chunk: Buffer): void {
    const kept = this.#filled - keep
    // Room to spare: a sender of single bytes must not make us copy what it sent over and over.
    const block = Buffer.allocUnsafeSlow(Math.max(SMALLEST_BLOCK, 4 * (kept + chunk.length)))
    this.#block.copy(block, 0, keep, this.#filled)
    chunk.copy(block, kept)
    this.#block = block
    this.#own = true
    this.#start -= keep
    this.#at -= keep
    this.#end -= keep
    this.#filled = kept + chunk.length
  }

  #scan(): Frame | undefined {
    for (;;) {
      this.#limit()
      if (!this.#read()) {
        this.#wait()
        return undefined
      }
      const frame = this.#frame
      if (frame === undefined) continue
      this.#frame = undefined
      this.#framed = this.#fed - (this.#filled - this.#at)
      this.#start = this.#at
      return frame
    }
  }

  /** How far the token in hand may be read. */
  #limit(): void {
    const most = this.#root === undefined ? this.#limits.headerBytes : this.#limits.elementBytes
    this.#stop = this.#state === CLOSED ? this.#end : Math.min(this.#end, this.#start + most)
  }

  /** Nothing more can be read: because nothing more is there, or because it may not be. */
  #wait(): void {
    if (this.#stop < this.#end) throw this.#tooBig()
    if (this.#broken) throw new FederationError('S2S_NOT_WELL_FORMED', { stream: 'unsupported-encoding', detail: 'it is not UTF-8' })
    if (this.#isOpen() || this.#at < this.#filled) return
    // An idle stream keeps no chunk.
    this.#replace(NOTHING, this.#at)
  }

  #tooBig(): FederationError {
    if (this.#root === undefined)
      return new FederationError('S2S_LIMIT', { detail: `a stream header of more than ${this.#limits.headerBytes} bytes` })
    const { elementBytes } = this.#limits
    if (!this.#isOpen())
      return new FederationError('S2S_LIMIT', { detail: `more than ${elementBytes} bytes of white space between elements` })
    return new FederationError('S2S_LIMIT', { detail: `an element of more than ${elementBytes} bytes`, condition: 'stanza-too-big' })
  }

  /** Reads on in the state of the moment. False: more bytes are needed. */
  #read(): boolean {
    switch (this.#state) {
      case CONTENT:
        return this.#readContent()
      case ANGLE:
        return this.#readAngle()
      case NAME:
        return this.#readElementName()
      case TAG:
      case SPACE:
      case EMPTY:
        return this.#readTag()
      case ATTRIBUTE:
        return this.#readAttributeName()
      case EQUALS:
      case QUOTE:
        return this.#readEquals()
      case VALUE:
        return this.#readAttributeValue()
      case END_NAME:
      case END_SPACE:
        return this.#readEndTag()
      case REFERENCE:
        return this.#readReference()
      case BANG:
        return this.#readBang()
      case CDATA:
        return this.#readCdata()
      case PROLOG:
        return this.#readProlog()
      case DECLARING:
        return this.#readDeclaration()
      default:
        return this.#readBetween()
    }
  }

  #readContent(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    for (;;) {
      while (at < stop && ((BYTES[block[at] ?? 0] ?? 0) & bytes.TEXT_STOP) === 0) at++
      this.#at = at
      if (at === stop) return false
      const byte = block[at]
      if (byte === LT) {
        this.#at = at + 1
        this.#state = ANGLE
        return true
      }
      if (byte === AMPERSAND) return this.#openReference(CONTENT)
      const length = this.#checkCharacter(at)
      if (length === 0) return false
      at += length
    }
  }

  /** A byte that plain running stops at. Gives how many bytes to go on; 0: more are needed. */
  #checkCharacter(at: number): number {
    const block = this.#block
    const byte = block[at] ?? 0
    if (byte === 0xef) {
      if (at + 2 >= this.#stop) return 0
      if (block[at + 1] === 0xbf && (block[at + 2] ?? 0) >= 0xbe) throw illFormed('U+FFFE and U+FFFF are no characters')
      return 3
    }
    if (byte === GT) {
      if (this.#state === CONTENT && at >= 2 && block[at - 1] === 0x5d && block[at - 2] === 0x5d) throw illFormed(']]> stands in text')
      return 1
    }
    if (byte === 0xd) {
      // Readers differ over it: what is passed on is written anew.
      this.#certified = false
      return 1
    }
    throw illFormed('a control character')
  }

  #readAngle(): boolean {
    if (this.#at === this.#stop) return false
    const byte = this.#block[this.#at]
    if (byte === SLASH) {
      if (this.#root === undefined) throw illFormed('an end tag before any start tag')
      this.#at++
      this.#matched = 0
      this.#state = END_NAME
      return true
    }
    if (byte === 0x3f) {
      if (this.#root !== undefined || this.#start !== 0 || this.#at !== 1) throw restricted('a processing instruction')
      this.#state = DECLARING
      this.#matched = 0
      return true
    }
    if (byte === 0x21) {
      if (this.#depth === 0) throw restricted('a comment or a document type')
      this.#at++
      this.#matched = 0
      this.#state = BANG
      return true
    }
    if (this.#root !== undefined && this.#depth === this.#limits.depth)
      throw new FederationError('S2S_LIMIT', { detail: `more than ${this.#limits.depth} elements inside each other` })
    this.#attributes.clear()
    this.#beginName()
    this.#state = NAME
    return true
  }

  #beginName(): void {
    this.#nameFrom = this.#at - this.#start
    this.#colon = 0
  }

  /** Reads a name up to the byte after it. False: more bytes are needed. */
  #readName(): boolean {
    const block = this.#block
    const stop = this.#stop
    const from = this.#start + this.#nameFrom
    let at = this.#at
    for (;;) {
      const first = at === from || at === this.#start + this.#colon + 1
      if (at < stop && first && ((BYTES[block[at] ?? 0] ?? 0) & bytes.NAME_START_BYTE) !== 0) at++
      else if (first && at < stop && (block[at] ?? 0) < 0x80) throw illFormed('a name begins with a character that begins none')
      if (!first || at > from) while (at < stop && ((BYTES[block[at] ?? 0] ?? 0) & bytes.NAME_BYTE) !== 0) at++
      this.#at = at
      if (at - from > LONGEST_NAME) throw new FederationError('S2S_LIMIT', { detail: `a name of more than ${LONGEST_NAME} bytes` })
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (byte === COLON) {
        if (this.#colon !== 0) throw illFormed('a name with two colons')
        this.#colon = at - this.#start
        at++
      } else if (byte >= 0x80) {
        const length = bytes.characterLength(byte)
        if (at + length > stop) return false
        const begins = at === from || at === this.#start + this.#colon + 1
        if (!bytes.isNameCharacter(bytes.codePointAt(block, at), begins)) throw illFormed('a name holds a character that names have not')
        this.#flags |= WIDE
        at += length
      } else {
        this.#nameTo = at - this.#start
        return true
      }
    }
  }

  #readElementName(): boolean {
    if (!this.#readName()) return false
    this.#elementFrom = this.#nameFrom
    this.#elementTo = this.#nameTo
    this.#elementColon = this.#colon
    this.#state = TAG
    return true
  }

  /** Between the parts of a start tag. */
  #readTag(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    while (at < stop) {
      const byte = block[at] ?? 0
      if (this.#state === EMPTY) {
        if (byte !== GT) throw illFormed('a slash inside a tag')
        this.#at = at + 1
        this.#finishTag(true)
        return true
      }
      if (((BYTES[byte] ?? 0) & bytes.SPACE_BYTE) !== 0) {
        at++
        this.#state = SPACE
      } else if (byte === GT) {
        this.#at = at + 1
        this.#finishTag(false)
        return true
      } else if (byte === SLASH) {
        at++
        this.#state = EMPTY
      } else {
        if (this.#state !== SPACE) throw illFormed('no white space before an attribute')
        if (this.#attributes.isFull)
          throw new FederationError('S2S_LIMIT', { detail: `more than ${this.#limits.attributes} attributes in one tag` })
        this.#at = at
        this.#beginName()
        this.#flags = 0
        this.#state = ATTRIBUTE
        return true
      }
    }
    this.#at = at
    return false
  }

  #readAttributeName(): boolean {
    if (!this.#readName()) return false
    this.#state = EQUALS
    return true
  }

  #readEquals(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    while (at < stop) {
      const byte = block[at++] ?? 0
      if (((BYTES[byte] ?? 0) & bytes.SPACE_BYTE) !== 0) continue
      if (this.#state === EQUALS) {
        if (byte !== EQUAL_SIGN) throw illFormed('an attribute without a value')
        this.#state = QUOTE
        continue
      }
      if (byte !== 0x22 && byte !== 0x27) throw illFormed('an attribute value without quotes')
      this.#quote = byte
      this.#tokenFrom = at - this.#start
      if (this.#isDeclaration()) this.#flags |= DECLARATION
      this.#state = VALUE
      this.#at = at
      return true
    }
    this.#at = at
    return false
  }

  #isDeclaration(): boolean {
    const from = this.#start + this.#nameFrom
    const length = (this.#colon === 0 ? this.#nameTo : this.#colon) - this.#nameFrom
    return length === 5 && this.#block[from] === 0x78 && this.#block.toString('latin1', from, from + 5) === 'xmlns'
  }

  #readAttributeValue(): boolean {
    const block = this.#block
    const stop = this.#stop
    const mask = (this.#flags & DECLARATION) === 0 ? bytes.VALUE_STOP : bytes.NAMESPACE_STOP
    let at = this.#at
    for (;;) {
      while (at < stop && ((BYTES[block[at] ?? 0] ?? 0) & mask) === 0) at++
      this.#at = at
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (byte === this.#quote) {
        this.#attributes.add(this.#nameFrom, this.#nameTo, this.#colon, this.#tokenFrom, at - this.#start, this.#flags)
        this.#at = at + 1
        this.#state = TAG
        return true
      }
      if (byte === AMPERSAND) {
        this.#flags |= INDIRECT
        return this.#openReference(VALUE)
      }
      if (byte === LT) throw illFormed('< stands in an attribute value')
      if (byte >= 0x80) this.#flags |= WIDE
      if (byte <= 0x20) {
        this.#flags |= INDIRECT
        if (byte !== 0x20) this.#certified = false
      }
      if (byte === GT) this.#certified = false
      const length = byte === 0xef || (byte < 0x20 && byte !== 0x9 && byte !== 0xa) ? this.#checkCharacter(at) : 1
      if (length === 0) return false
      at += length
    }
  }

  #openReference(after: number): boolean {
    this.#at++
    this.#reference = ''
    this.#after = after
    this.#state = REFERENCE
    return true
  }

  #readReference(): boolean {
    while (this.#at < this.#stop) {
      const character = String.fromCharCode(this.#block[this.#at] ?? 0)
      this.#at++
      if (character !== ';') {
        this.#reference = addToReference(this.#reference, character)
        continue
      }
      if (this.#reference.startsWith('#')) this.#certified = false
      closeReference(this.#reference)
      this.#state = this.#after
      return true
    }
    return false
  }

  /** After `<!` inside an element: only CDATA is let through. */
  #readBang(): boolean {
    while (this.#at < this.#stop) {
      if (this.#block[this.#at] !== CDATA_OPEN[this.#matched])
        throw this.#matched === 0 ? restricted('a comment or a document type') : illFormed('<![ begins only CDATA')
      this.#at++
      this.#matched++
      if (this.#matched < CDATA_OPEN.length) continue
      this.#certified = false
      this.#matched = 0
      this.#state = CDATA
      return true
    }
    return false
  }

  #readCdata(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    while (at < stop) {
      const byte = block[at] ?? 0
      if (byte === 0x5d) {
        this.#matched++
        at++
      } else if (byte === GT && this.#matched >= 2) {
        this.#at = at + 1
        this.#state = CONTENT
        return true
      } else {
        this.#matched = 0
        const plain = ((BYTES[byte] ?? 0) & bytes.TEXT_STOP) === 0 || byte === LT || byte === AMPERSAND || byte === GT
        const length = plain ? 1 : this.#checkCharacter(at)
        if (length === 0) break
        at += length
      }
    }
    this.#at = at
    return false
  }

  #readEndTag(): boolean {
    const block = this.#block
    const root = this.#depth === 0 ? this.#root : undefined
    const top = (this.#depth - 1) * 3
    const from = this.#start + (this.#stack[top] ?? 0)
    const length = root?.length ?? this.#stack[top + 1] ?? 0
    while (this.#at < this.#stop) {
      const byte = block[this.#at] ?? 0
      if (this.#state === END_NAME && this.#matched < length) {
        if (byte !== (root === undefined ? block[from + this.#matched] : root[this.#matched]))
          throw illFormed('an end tag does not match its start tag')
        this.#matched++
      } else if (byte === GT) {
        this.#at++
        this.#finishElement()
        return true
      } else if (((BYTES[byte] ?? 0) & bytes.SPACE_BYTE) === 0) throw illFormed('an end tag does not match its start tag')
      else this.#state = END_SPACE
      this.#at++
    }
    return false
  }

  #finishElement(): void {
    if (this.#depth === 0) {
      this.#state = CLOSED
      this.#frame = { kind: 'close' }
      return
    }
    this.#depth--
    this.#scope.leave(this.#stack[this.#depth * 3 + 2] ?? 0)
    if (this.#depth > 0) this.#state = CONTENT
    else this.#finishTopLevel()
  }

  #finishTopLevel(): void {
    const tag = this.#tag
    if (tag === undefined) return
    this.#frame = new ReceivedElement(
      tag,
      { bytes: this.#block, from: this.#start, to: this.#at },
      { certified: this.#certified, inherited: this.#inherited, used: this.#scope.takeUsed() }
    )
    this.#state = BETWEEN
  }

  #finishTag(empty: boolean): void {
    const attributes = this.#attributes
    const before = this.#scope.depth
    const own = attributes.has(DECLARATION) ? this.#declare() : undefined
    const colon = this.#elementColon
    const prefixed = colon === 0 ? undefined : this.#scope.resolve(this.#block, this.#start + this.#elementFrom, this.#start + colon)
    if (colon !== 0 && this.#word(this.#elementFrom, colon) === 'xmlns') throw illFormed('an element with the prefix xmlns')
    if (attributes.count > 1) attributes.refuseSameNames(this.#block, this.#start)
    if (attributes.hasPrefixes) this.#resolveAttributes()
    if (this.#root === undefined) {
      this.#finishHeader(prefixed, own, empty)
      return
    }
    if (this.#depth === 0) this.#tag = this.#startTag(prefixed ?? own ?? this.#inherited.defaultNamespace, own !== undefined)
    if (empty) {
      this.#scope.leave(before)
      if (this.#depth === 0) this.#finishTopLevel()
      else this.#state = CONTENT
      return
    }
    const row = this.#depth * 3
    this.#stack[row] = this.#elementFrom
    this.#stack[row + 1] = this.#elementTo - this.#elementFrom
    this.#stack[row + 2] = before
    this.#depth++
    this.#state = CONTENT
  }

  /** Takes the declarations of the tag in. Gives the default namespace that it declares, if it does. */
  #declare(): string | undefined {
    const attributes = this.#attributes
    let own: string | undefined
    for (let index = 0; index < attributes.count; index++) {
      if ((attributes.flags(index) & DECLARATION) === 0) continue
      const from = attributes.valueFrom(index)
      const to = attributes.valueTo(index)
      if (to - from > LONGEST_NAMESPACE)
        throw new FederationError('S2S_LIMIT', { detail: `a namespace name of more than ${LONGEST_NAMESPACE} bytes` })
      const colon = attributes.colon(index)
      const value = readValue(this.#block, this.#start + from, this.#start + to)
      if (colon === 0) own = boundNamespace('', value)
      else {
        const prefix = Buffer.from(this.#block.subarray(this.#start + colon + 1, this.#start + attributes.nameTo(index)))
        const namespace = boundNamespace(prefix.toString(), value)
        this.#scope.declare(prefix, namespace)
      }
    }
    return own
  }

  /** Namespaces in XML 1.0 §6.3: every prefix is bound, and no expanded name occurs twice. */
  #resolveAttributes(): void {
    const attributes = this.#attributes
    const seen = new Set<string>()
    for (let index = 0; index < attributes.count; index++) {
      const colon = attributes.colon(index)
      if (colon === 0 || (attributes.flags(index) & DECLARATION) !== 0) continue
      const namespace = this.#scope.resolve(this.#block, this.#start + attributes.nameFrom(index), this.#start + colon)
      const local = this.#word(colon + 1, attributes.nameTo(index))
      const expanded = `${local} ${namespace}`
      if (seen.has(expanded)) throw illFormed('a tag has an attribute twice')
      seen.add(expanded)
      if (
        this.#word(attributes.nameFrom(index), attributes.nameTo(index)) === 'xml:lang' &&
        attributes.valueTo(index) - attributes.valueFrom(index) > LONGEST_LANG
      )
        throw new FederationError('S2S_LIMIT', { detail: `an xml:lang of more than ${LONGEST_LANG} bytes` })
    }
  }

  #word(from: number, to: number): string {
    return this.#block.toString('utf8', this.#start + from, this.#start + to)
  }

  #startTag(namespace: string, ownDefault: boolean): StartTag {
    const attributes = this.#attributes
    const named = (name: string): StartTag['from'] => {
      for (let index = 0; index < attributes.count; index++)
        if (this.#word(attributes.nameFrom(index), attributes.nameTo(index)) === name) return attributes.span(index)
      return undefined
    }
    const colon = this.#elementColon
    return {
      nameFrom: colon === 0 ? this.#elementFrom : colon + 1,
      nameTo: this.#elementTo,
      prefix: colon === 0 ? '' : this.#word(this.#elementFrom, colon),
      namespace,
      ownDefault,
      end: this.#at - this.#start,
      wide: true,
      from: named('from'),
      to: named('to'),
      id: named('id'),
      type: named('type'),
      lang: named('xml:lang')
    }
  }

  #finishHeader(prefixed: string | undefined, own: string | undefined, empty: boolean): void {
    const attributes = this.#attributes
    const optional: { -readonly [key in 'from' | 'to' | 'id' | 'version' | 'lang']?: string } = {}
    const prefixes = new Map<string, string>()
    for (let index = 0; index < attributes.count; index++) {
      const name = this.#word(attributes.nameFrom(index), attributes.nameTo(index))
      const value = readValue(this.#block, this.#start + attributes.valueFrom(index), this.#start + attributes.valueTo(index))
      if (name === 'from' || name === 'to' || name === 'id' || name === 'version') optional[name] = value
      else if (name === 'xml:lang') optional.lang = value
      else if (name.startsWith('xmlns:') && name !== 'xmlns:xml') prefixes.set(name.slice('xmlns:'.length), value)
    }
    this.#root = Buffer.from(this.#block.subarray(this.#start + this.#elementFrom, this.#start + this.#elementTo))
    const contentNamespace = own ?? ''
    this.#inherited = { defaultNamespace: contentNamespace, prefixes, lang: optional.lang }
    this.#scope = new Scope(prefixes)
    const colon = this.#elementColon
    const name = this.#word(colon === 0 ? this.#elementFrom : colon + 1, this.#elementTo)
    this.#frame = { kind: 'header', name, namespace: prefixed ?? contentNamespace, contentNamespace, prefixes, ...optional }
    this.#state = BETWEEN
    if (empty) this.#state = CLOSED
  }

  #readBetween(): boolean {
    const block = this.#block
    let at = this.#at
    while (at < this.#stop && ((BYTES[block[at] ?? 0] ?? 0) & bytes.SPACE_BYTE) !== 0) at++
    this.#at = at
    if (at === this.#stop) return false
    if (this.#state === CLOSED) throw illFormed('something follows the end of the stream')
    if (block[at] !== LT) throw new FederationError('S2S_NOT_WELL_FORMED', { stream: 'bad-format', detail: 'text stands between elements' })
    this.#start = at
    this.#at = at + 1
    this.#certified = true
    this.#state = ANGLE
    return true
  }

  #readProlog(): boolean {
    const block = this.#block
    let at = this.#at
    while (at < this.#stop && ((BYTES[block[at] ?? 0] ?? 0) & bytes.SPACE_BYTE) !== 0) at++
    this.#at = at
    if (at === this.#stop) return false
    if (block[at] !== LT) throw illFormed('something else than a stream header')
    this.#at = at + 1
    this.#state = ANGLE
    return true
  }

  #readDeclaration(): boolean {
    while (this.#at < this.#stop) {
      if (this.#at >= LONGEST_DECLARATION) throw restricted('an XML declaration without end')
      const byte = this.#block[this.#at++] ?? 0
      if (this.#at === 6 && this.#block.toString('latin1', 0, 5) !== '<?xml') throw restricted('a processing instruction')
      if (byte !== GT) continue
      checkDeclaration(this.#block.toString('latin1', 0, this.#at))
      this.#state = PROLOG
      return true
    }
    return false
  }
}

/** RFC 6120 §11.1: well-formed or not, XMPP has none of these. */
function restricted(detail: string): FederationError {
  return new FederationError('S2S_NOT_WELL_FORMED', { stream: 'restricted-xml', detail })
}

const XML_DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*("[\w.:-]+"|'[\w.:-]+')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*("[A-Za-z][\w.-]*"|'[A-Za-z][\w.-]*'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>$/

/** XML 1.0 §2.8, and RFC 6120 §11.5, §11.6: version 1.0 in UTF-8. What is said about `standalone` means nothing without a DTD. */
function checkDeclaration(text: string): void {
  const parts = XML_DECLARATION.exec(text)
  if (parts === null) throw illFormed('a malformed XML declaration')
  const [, version = '', encoding] = parts
  if (version.slice(1, -1) !== '1.0') throw restricted('a version of XML other than 1.0')
  if (encoding !== undefined && encoding.slice(1, -1).toLowerCase() !== 'utf-8')
    throw new FederationError('S2S_NOT_WELL_FORMED', { stream: 'unsupported-encoding', detail: 'an encoding other than UTF-8 is declared' })
}

/** The next character of a reference. What is kept never grows beyond what tells references apart. */
function addToReference(reference: string, character: string): string {
  const longer = reference + character
  if (/^(?:#[0-9]*|#x[0-9a-fA-F]*)$/.test(longer)) {
    const digits = longer.replace(/^(#x?)0+(?=.)/, '$1')
    if (digits.length > 9) throw illFormed('a reference to no character')
    return digits
  }
  if (!/^[A-Za-z_]/.test(longer)) throw illFormed('& begins no reference')
  if (longer.length > 4 || character >= '\u0080') throw restricted('an entity reference')
  if (!/^[-.:\w]+$/.test(longer)) throw illFormed('& begins no reference')
  return longer
}

function closeReference(reference: string): void {
  if (reference.startsWith('#')) {
    const hex = reference.startsWith('#x')
    const digits = reference.slice(hex ? 2 : 1)
    if (digits === '' || !bytes.isCharacter(Number.parseInt(digits, hex ? 16 : 10))) throw illFormed('a reference to no character')
  } else if (!REFERENCES.has(reference)) throw reference === '' ? illFormed('& begins no reference') : restricted('an entity reference')
}
