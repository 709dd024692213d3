import { FederationError } from '../errors.ts'
import { AttributeList, DECLARATION, equalBytes, INDIRECT, WIDE } from './attributes.ts'
import {
  BYTES,
  characterLength,
  codePointAt,
  findByte,
  isNameCharacter,
  NAME_END,
  NAME_STOP,
  NAME_START_BYTE,
  NAMESPACE_STOP,
  SPACE_BYTE,
  TEXT_STOP,
  utf8Prefix,
  VALUE_STOP
} from './characters.ts'
import { checkDeclaration, LONGEST_DECLARATION } from './declaration.ts'
import { ReceivedElement } from './frame.ts'
import type { Frame, HeaderFrame, StartTag } from './frame.ts'
import { isNameByte, ReferenceCheck } from './references.ts'
import { excess, illFormed, oversized, restricted, unsupportedEncoding } from './refusals.ts'
import { Scope } from './scope.ts'
import type { Inherited } from './scope.ts'
import { Supply } from './supply.ts'

export type { CloseFrame, ElementFrame, Frame, HeaderFrame } from './frame.ts'

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

// What the next byte belongs to. Plain numbers: a switch over them costs a jump.
const PROLOG = 0
const XML_DECLARATION = 1
const ANGLE = 2
const NAME = 3
const TAG = 4
const SPACE = 5
const EMPTY = 6
const ATTRIBUTE = 7
const EQUALS = 8
const QUOTE = 9
const VALUE = 10
const VALUE_REFERENCE = 11
const CONTENT = 12
const CONTENT_REFERENCE = 13
const BANG = 14
const CDATA = 15
const END_NAME = 16
const END_SPACE = 17
const BETWEEN = 18
const CLOSING = 19
const CLOSED = 20

const LT = 0x3c
const GT = 0x3e
const AMPERSAND = 0x26
const SLASH = 0x2f
const COLON = 0x3a
const EQUAL_SIGN = 0x3d
const QUESTION = 0x3f
const EXCLAMATION = 0x21
const BRACKET = 0x5d
const XML_OPEN = Buffer.from('<?xml')
const XMLNS = Buffer.from('xmlns')
const CDATA_OPEN = Buffer.from('[CDATA[')

// What is kept of each open element: where its name stands, and how many prefixes were in scope around it.
const OPEN_NAME = 0
const OPEN_LENGTH = 1
const OPEN_PREFIXES = 2
const OPEN_STRIDE = 3

/**
 * The one reader of streams: walks the bytes once and gives frames that are checked UTF-8, XML 1.0, namespaces, and free of
 * what RFC 6120 §11.1 forbids. It goes on inside any token where the last chunk ended, and enforces every limit while reading.
 * One framer reads one stream: after a restart there is a new one (RFC 6120 §4.3.3).
 */
export class Framer {
  readonly #limits: FramerLimits
  readonly #attributes: AttributeList
  readonly #open: Int32Array
  readonly #reference = new ReferenceCheck()
  #scope = new Scope()
  #inherited: Inherited = { defaultNamespace: '', prefixes: new Map(), lang: undefined }
  /** The name of the root, as written; undefined until the header is complete. */
  #root: Buffer | undefined
  #failure: FederationError | undefined

  // The bytes in hand: read up to #at, complete and valid characters up to #end; what stands there may be #broken.
  readonly #supply = new Supply()
  #block: Buffer = this.#supply.block
  #at = 0
  #end = 0
  #broken = false

  // The header, element or run of white space in hand begins at #start and may be read up to #stop. All further offsets count
  // from #start, so that they outlive the block.
  #state = PROLOG
  #start = 0
  #stop = 0
  #depth = 0
  #nameAt = 0
  #nameTo = 0
  #colon = 0
  #nameBegins = false
  #elementAt = 0
  #elementTo = 0
  #elementColon = 0
  #valueAt = 0
  #flags = 0
  #quote = 0
  #matched = 0
  #certified = true
  #tag: StartTag | undefined
  #frame: Frame | undefined

  constructor(limits: FramerLimits) {
    this.#limits = { ...limits }
    this.#attributes = new AttributeList(limits.attributes)
    this.#open = new Int32Array(limits.depth * OPEN_STRIDE)
  }

  /** Bytes fed and not yet part of a returned frame, white space included. */
  get pending(): number {
    return this.#supply.filled - this.#start + this.#supply.waiting
  }

  /** As {@link pending}, without white space that was read: nothing more comes of that. */
  get unread(): number {
    return this.#supply.filled - (this.#isOpen() ? this.#start : this.#at) + this.#supply.waiting
  }

  /** Whether something other than white space follows the last frame: a part of a header or element, read or not yet read. */
  get midElement(): boolean {
    return (this.#isOpen() && this.#state !== PROLOG) || this.#supply.filled - this.#at + this.#supply.waiting > 0
  }

  /** Raises (or lowers) the bound on elements: who has been authenticated may send more. */
  setElementBytes(bytes: number): void {
    this.#limits.elementBytes = bytes
    this.#bound()
  }

  /** Takes a chunk over; it must not be written to any more. */
  feed(chunk: Buffer): void {
    if (chunk.length > 0) this.#supply.push(chunk)
  }

  /**
   * The next complete frame; undefined: more bytes are needed.
   *
   * @throws FederationError `S2S_NOT_WELL_FORMED` with the stream error to send, or `S2S_LIMIT` (with the `condition`
   * `stanza-too-big` for an element); from then on the same again
   */
  next(): Frame | undefined {
    if (this.#failure !== undefined) throw this.#failure
    try {
      do {
        while (this.#read()) {
          const frame = this.#frame
          if (frame === undefined) continue
          this.#frame = undefined
          this.#start = this.#at
          if (this.#supply.release(this.#at)) this.#move()
          else this.#bound()
          return frame
        }
      } while (this.#refill())
      return undefined
    } catch (error) {
      this.#failure = FederationError.from(error)
      throw this.#failure
    }
  }

  /** Whether anything but white space has been read since the last frame. */
  #isOpen(): boolean {
    return this.#state < BETWEEN
  }

  /** Everything has been read. Gets more, unless no more is allowed; false: unless there is none. */
  #refill(): boolean {
    if (this.#stop < this.#end) {
      if (this.#root === undefined) throw excess(`a stream header of more than ${this.#limits.headerBytes} bytes`)
      throw oversized(this.#limits.elementBytes)
    }
    if (this.#broken) throw unsupportedEncoding('it is not UTF-8')
    if (!this.#supply.more(this.#isOpen() ? this.#start : this.#at)) return false
    this.#move()
    return true
  }

  /** The bytes in hand have changed, or moved. */
  #move(): void {
    const { block, moved, filled } = this.#supply
    this.#block = block
    this.#start -= moved
    this.#at -= moved
    const { end, broken } = utf8Prefix(block, this.#end - moved, filled)
    this.#end = end
    this.#broken = broken
    this.#bound()
  }

  /** How far what is in hand may be read. */
  #bound(): void {
    // White space is counted where it is skipped: the byte after it is no part of it.
    const most = this.#root === undefined ? this.#limits.headerBytes : this.#limits.elementBytes + (this.#isOpen() ? 0 : 1)
    this.#stop = Math.min(this.#end, this.#start + most)
  }

  /** Reads on to the end of a tag, of an element, of something else; false: to the end of what is there. */
  #read(): boolean {
    switch (this.#state) {
      case CONTENT:
        return this.#readContent()
      case BETWEEN:
      case CLOSING:
      case CLOSED:
        return this.#readBetween()
      case ANGLE:
        return this.#readAngle()
      case END_NAME:
      case END_SPACE:
        return this.#readEndTag()
      case CONTENT_REFERENCE:
        return this.#readReference(CONTENT)
      case BANG:
        return this.#readBang()
      case CDATA:
        return this.#readCdata()
      case PROLOG:
        return this.#readProlog()
      case XML_DECLARATION:
        return this.#readXmlDeclaration()
      default:
        return this.#readStartTag()
    }
  }

  #readProlog(): boolean {
    if (!this.#skipSpace()) return false
    if (this.#block[this.#at] !== LT) throw illFormed('something else than a stream header')
    this.#at++
    this.#state = ANGLE
    return true
  }

  #readBetween(): boolean {
    if (this.#state === CLOSING) return this.#close()
    const more = this.#skipSpace()
    if (this.#at - this.#start > this.#limits.elementBytes)
      throw excess(`more than ${this.#limits.elementBytes} bytes of white space between elements`)
    if (!more) return false
    if (this.#state === CLOSED) throw illFormed('something follows the end of the stream')
    if (this.#block[this.#at] !== LT) throw this.#strayText()
    this.#start = this.#at++
    this.#certified = true
    this.#state = ANGLE
    this.#bound()
    return this.#readAngle()
  }

  #strayText(): FederationError {
    if ((this.#block[this.#at] ?? 0) < 0x20) return illFormed('a control character')
    // Well-formed, but not what a stream is made of (RFC 6120 §4.9.3.1).
    return new FederationError('S2S_NOT_WELL_FORMED', { stream: 'bad-format', detail: 'text stands between elements' })
  }

  #skipSpace(): boolean {
    while (this.#at < this.#stop && ((BYTES[this.#block[this.#at] ?? 0] ?? 0) & SPACE_BYTE) !== 0) this.#at++
    return this.#at < this.#stop
  }

  /** After `<`. */
  #readAngle(): boolean {
    if (this.#at === this.#stop) return false
    const byte = this.#block[this.#at]
    if (byte === SLASH) {
      if (this.#root === undefined) throw illFormed('an end tag before any start tag')
      this.#at++
      this.#matched = 0
      this.#state = END_NAME
      return this.#readEndTag()
    }
    if (byte === EXCLAMATION) {
      if (this.#depth === 0) throw restricted('a comment or a document type')
      this.#at++
      this.#matched = 0
      this.#state = BANG
      return true
    }
    if (byte === QUESTION) {
      if (this.#root !== undefined || this.#at !== 1) throw restricted('a processing instruction')
      this.#state = XML_DECLARATION
      return true
    }
    if (this.#depth === this.#limits.depth) throw excess(`more than ${this.#limits.depth} elements inside each other`)
    this.#attributes.clear()
    this.#flags = 0
    this.#state = NAME
    this.#readPlainTag()
    if (this.#state === NAME) this.#beginName()
    return this.#readStartTag()
  }

  #readXmlDeclaration(): boolean {
    while (this.#at < this.#stop) {
      const index = this.#at - this.#start
      const byte = this.#block[this.#at++] ?? 0
      const other = index < XML_OPEN.length ? byte !== XML_OPEN[index] : index === XML_OPEN.length && isNameByte(byte)
      if (other) throw restricted('a processing instruction')
      if (index === LONGEST_DECLARATION) throw excess(`an XML declaration of more than ${LONGEST_DECLARATION} bytes`)
      if (byte !== GT) continue
      checkDeclaration(this.#block.toString('latin1', this.#start, this.#at))
      this.#state = PROLOG
      return true
    }
    return false
  }

  #readStartTag(): boolean {
    if (this.#state === NAME) {
      if (!this.#readName()) return false
      this.#elementAt = this.#nameAt
      this.#elementTo = this.#nameTo
      this.#elementColon = this.#colon
      this.#state = TAG
    }
    for (;;) {
      if (this.#state < ATTRIBUTE) {
        if (!this.#readBetweenAttributes()) return false
        if (this.#state !== ATTRIBUTE) return true
      }
      if (this.#state === ATTRIBUTE && !this.#readName()) return false
      if (this.#state < VALUE && !this.#readEquals()) return false
      if (this.#state === VALUE_REFERENCE && !this.#readReference(VALUE)) return false
      if (!this.#readValue()) return false
    }
  }

  /** Reads as much of a start tag as is plain and wholly here, which nearly all are. What is left is read with more care. */
  #readPlainTag(): void {
    const block = this.#block
    const stop = this.#stop
    const start = this.#start
    let at = this.#at
    if (at < stop && ((BYTES[block[at] ?? 0] ?? 0) & NAME_START_BYTE) === 0) return
    at = findByte(block, at, stop, NAME_STOP)
    if (at === stop || ((BYTES[block[at] ?? 0] ?? 0) & NAME_END) === 0 || at - this.#at > LONGEST_NAME) return
    this.#elementAt = this.#at - start
    this.#elementTo = at - start
    this.#elementColon = 0
    this.#state = TAG
    while (at < stop && block[at] === 0x20 && !this.#attributes.isFull) {
      const name = at + 1
      if (name === stop || ((BYTES[block[name] ?? 0] ?? 0) & NAME_START_BYTE) === 0) break
      const to = findByte(block, name + 1, stop, NAME_STOP)
      const value = to + 2
      if (value > stop || block[to] !== EQUAL_SIGN || to - name > LONGEST_NAME) break
      const quote = block[to + 1]
      if (quote !== 0x22 && quote !== 0x27) break
      const flags = to - name === XMLNS.length && equalBytes(block, name, XMLNS) ? DECLARATION : 0
      const mask = flags === 0 ? VALUE_STOP : NAMESPACE_STOP
      const end = findByte(block, value, stop, mask)
      if (end === stop || block[end] !== quote) break
      this.#attributes.add(name - start, to - start, 0, value - start, end - start, flags)
      at = end + 1
    }
    this.#at = at
  }

  /** Up to the first byte of an attribute, or past the end of the tag. */
  #readBetweenAttributes(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    for (; at < stop; at++) {
      const byte = block[at] ?? 0
      if (this.#state === EMPTY && byte !== GT) throw illFormed('a slash inside a tag')
      if (byte === GT) {
        this.#at = at + 1
        this.#finishTag(this.#state === EMPTY)
        return true
      }
      if (byte === SLASH) this.#state = EMPTY
      else if (((BYTES[byte] ?? 0) & SPACE_BYTE) !== 0) this.#state = SPACE
      else {
        if (this.#state !== SPACE) throw illFormed('no white space before an attribute')
        if (this.#attributes.isFull) throw excess(`more than ${this.#limits.attributes} attributes in one tag`)
        this.#at = at
        this.#flags = 0
        this.#beginName()
        this.#state = ATTRIBUTE
        return true
      }
    }
    this.#at = at
    return false
  }

  #beginName(): void {
    this.#nameAt = this.#at - this.#start
    this.#nameBegins = true
    this.#colon = 0
  }

  /** Up to the byte after a name. */
  #readName(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    for (;;) {
      if (!this.#nameBegins) at = findByte(block, at, stop, NAME_STOP)
      this.#at = at
      const length = at - this.#start - this.#nameAt
      if (length > LONGEST_NAME) throw excess(`a name of more than ${LONGEST_NAME} bytes`)
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (this.#nameBegins && ((BYTES[byte] ?? 0) & NAME_START_BYTE) !== 0) at++
      else if (byte >= 0x80) {
        const size = characterLength(byte)
        if (at + size > stop) return false
        if (!isNameCharacter(codePointAt(block, at), this.#nameBegins)) throw illFormed('a name holds a character that names have not')
        this.#flags |= WIDE
        at += size
      } else if (this.#nameBegins) throw illFormed('a name begins with a character that begins none')
      else if (byte === COLON) {
        if (this.#colon !== 0) throw illFormed('a name with two colons')
        this.#colon = at++ - this.#start
        this.#nameBegins = true
        continue
      } else {
        this.#nameTo = at - this.#start
        if (this.#state === ATTRIBUTE) this.#state = EQUALS
        return true
      }
      this.#nameBegins = false
    }
  }

  /** From the end of an attribute's name to the first byte of its value. */
  #readEquals(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    while (at < stop) {
      const byte = block[at++] ?? 0
      if (((BYTES[byte] ?? 0) & SPACE_BYTE) !== 0) continue
      if (this.#state === EQUALS) {
        if (byte !== EQUAL_SIGN) throw illFormed('an attribute without a value')
        this.#state = QUOTE
      } else {
        if (byte !== 0x22 && byte !== 0x27) throw illFormed('an attribute value without quotes')
        this.#quote = byte
        this.#valueAt = at - this.#start
        if (block[this.#start + this.#nameAt] === 0x78 && this.#isDeclaration()) this.#flags |= DECLARATION
        this.#state = VALUE
        this.#at = at
        return true
      }
    }
    this.#at = at
    return false
  }

  #isDeclaration(): boolean {
    if ((this.#colon === 0 ? this.#nameTo : this.#colon) - this.#nameAt !== XMLNS.length) return false
    return equalBytes(this.#block, this.#start + this.#nameAt, XMLNS)
  }

  #readValue(): boolean {
    const block = this.#block
    const stop = this.#stop
    const mask = (this.#flags & DECLARATION) === 0 ? VALUE_STOP : NAMESPACE_STOP
    let at = this.#at
    for (;;) {
      at = findByte(block, at, stop, mask)
      this.#at = at
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (byte === this.#quote) {
        this.#attributes.add(this.#nameAt, this.#nameTo, this.#colon, this.#valueAt, at - this.#start, this.#flags)
        this.#at = at + 1
        this.#state = TAG
        return true
      }
      if (byte === AMPERSAND) {
        this.#flags |= INDIRECT
        this.#beginReference(VALUE_REFERENCE)
        if (!this.#readReference(VALUE)) return false
        at = this.#at
        continue
      }
      const size = this.#checkValueByte(byte)
      if (size === 0) return false
      at += size
    }
  }

  /** A byte that values seldom hold. Gives how many bytes to go on; 0: more are needed. */
  #checkValueByte(byte: number): number {
    if (byte === LT) throw illFormed('< stands in an attribute value')
    if (byte === GT || byte < 0x20) this.#certified = false
    if (byte <= 0x20) this.#flags |= INDIRECT
    if (byte >= 0x80) this.#flags |= WIDE
    return ((BYTES[byte] ?? 0) & TEXT_STOP) === 0 || byte === GT ? 1 : this.#checkCharacter(byte)
  }

  /** A byte that may begin what is no character. Gives how many bytes to go on; 0: more are needed. */
  #checkCharacter(byte: number): number {
    if (byte === 0xef) {
      if (this.#at + 2 >= this.#stop) return 0
      if (this.#block[this.#at + 1] === 0xbf && (this.#block[this.#at + 2] ?? 0) >= 0xbe)
        throw illFormed('U+FFFE and U+FFFF are no characters')
      return 3
    }
    if (byte !== 0xd) throw illFormed('a control character')
    // Readers differ over it: what is passed on is written anew.
    this.#certified = false
    return 1
  }

  #readContent(): boolean {
    const block = this.#block
    const stop = this.#stop
    let at = this.#at
    for (;;) {
      at = findByte(block, at, stop, TEXT_STOP)
      this.#at = at
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (byte === LT) {
        this.#at = at + 1
        this.#state = ANGLE
        if (!this.#readPlainEnd() && !this.#readAngle()) return false
        // Every tag ends here: the loop saves the way around.
        if (this.#state !== CONTENT) return true
        at = this.#at
        continue
      }
      if (byte === AMPERSAND) {
        this.#beginReference(CONTENT_REFERENCE)
        return true
      }
      // Both brackets stand in this text: tags, sections and references end otherwise.
      if (byte === GT && block[at - 1] === BRACKET && block[at - 2] === BRACKET) throw illFormed(']]> stands in text')
      const size = byte === GT ? 1 : this.#checkCharacter(byte)
      if (size === 0) return false
      at += size
    }
  }

  #beginReference(state: number): void {
    this.#at++
    this.#reference.begin()
    this.#state = state
  }

  #readReference(after: number): boolean {
    while (this.#at < this.#stop) {
      if (!this.#reference.add(this.#block[this.#at++] ?? 0)) continue
      if (this.#reference.isNumeric) this.#certified = false
      this.#state = after
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
    for (;;) {
      at = findByte(block, at, stop, TEXT_STOP)
      this.#at = at
      if (at === stop) return false
      const byte = block[at] ?? 0
      if (byte === GT && block[at - 1] === BRACKET && block[at - 2] === BRACKET) {
        this.#at = at + 1
        this.#state = CONTENT
        return true
      }
      const size = byte === GT || byte === LT || byte === AMPERSAND ? 1 : this.#checkCharacter(byte)
      if (size === 0) return false
      at += size
    }
  }

  /** Reads an end tag that is wholly here and nothing but the name again. */
  #readPlainEnd(): boolean {
    const block = this.#block
    const top = (this.#depth - 1) * OPEN_STRIDE
    const name = this.#start + (this.#open[top + OPEN_NAME] ?? 0)
    const length = this.#open[top + OPEN_LENGTH] ?? 0
    const at = this.#at + 1
    if (at + length >= this.#stop || block[at - 1] !== SLASH || block[at + length] !== GT) return false
    for (let index = 0; index < length; index++) if (block[at + index] !== block[name + index]) return false
    this.#at = at + length + 1
    this.#finishElement(top)
    return true
  }

  #readEndTag(): boolean {
    const block = this.#block
    const stop = this.#stop
    const top = (this.#depth - 1) * OPEN_STRIDE
    const root = this.#depth === 0 ? this.#root : undefined
    const name = root ?? block
    const nameAt = root === undefined ? this.#start + (this.#open[top + OPEN_NAME] ?? 0) : 0
    const length = root?.length ?? this.#open[top + OPEN_LENGTH] ?? 0
    let at = this.#at
    let matched = this.#matched
    while (at < stop && matched < length && block[at] === name[nameAt + matched]) {
      at++
      matched++
    }
    while (at < stop && matched === length && ((BYTES[block[at] ?? 0] ?? 0) & SPACE_BYTE) !== 0) at++
    this.#at = at
    this.#matched = matched
    if (at === stop) return false
    if (matched < length || block[at] !== GT) throw illFormed('an end tag does not match its start tag')
    this.#at = at + 1
    this.#finishElement(top)
    return true
  }

  #finishElement(top: number): void {
    if (this.#depth === 0) {
      this.#close()
      return
    }
    this.#scope.leave(this.#open[top + OPEN_PREFIXES] ?? 0)
    if (--this.#depth === 0) this.#finishTopLevel()
    else this.#state = CONTENT
  }

  #close(): boolean {
    this.#state = CLOSED
    this.#frame = { kind: 'close' }
    return true
  }

  #finishTag(empty: boolean): void {
    const scope = this.#scope
    const around = scope.size
    this.#attributes.settle(scope, this.#block, this.#start)
    if (this.#root === undefined) {
      this.#finishHeader(empty)
      return
    }
    if (this.#depth === 0) this.#tag = this.#startTag()
    else if (this.#elementColon !== 0) this.#elementNamespace()
    if (empty) {
      scope.leave(around)
      if (this.#depth === 0) this.#finishTopLevel()
      else this.#state = CONTENT
      return
    }
    const row = this.#depth++ * OPEN_STRIDE
    this.#open[row + OPEN_NAME] = this.#elementAt
    this.#open[row + OPEN_LENGTH] = this.#elementTo - this.#elementAt
    this.#open[row + OPEN_PREFIXES] = around
    this.#state = CONTENT
  }

  /** Namespaces in XML 1.0 §5: the namespace that the element's name is in. */
  #elementNamespace(): string {
    if (this.#elementColon !== 0) return this.#scope.resolve(this.#block, this.#start + this.#elementAt, this.#start + this.#elementColon)
    return this.#attributes.defaultNamespace(this.#block, this.#start) ?? this.#inherited.defaultNamespace
  }

  #word(from: number, to: number): string {
    return this.#block.toString('utf8', this.#start + from, this.#start + to)
  }

  #startTag(): StartTag {
    const colon = this.#elementColon
    const spans = this.#attributes.spans(this.#block, this.#start)
    return {
      nameAt: colon === 0 ? this.#elementAt : colon + 1,
      nameTo: this.#elementTo,
      prefix: colon === 0 ? '' : this.#word(this.#elementAt, colon),
      namespace: this.#elementNamespace(),
      declaresDefault: this.#attributes.declaresDefault,
      end: this.#at - this.#start,
      spans,
      simple: ((this.#flags | spans.flags) & (WIDE | INDIRECT)) === 0,
      inherited: this.#inherited,
      certified: true,
      used: undefined
    }
  }

  #finishTopLevel(): void {
    if (this.#tag === undefined) return
    this.#tag.certified = this.#certified
    this.#tag.used = this.#scope.takeUsed()
    this.#frame = new ReceivedElement(this.#tag, this.#block, this.#start, this.#at - this.#start)
    this.#state = BETWEEN
  }

  #finishHeader(empty: boolean): void {
    const known: { -readonly [key in 'from' | 'to' | 'id' | 'version' | 'lang']?: string } = {}
    const prefixes = new Map<string, string>()
    for (const [name, value] of this.#attributes.decoded(this.#block, this.#start)) {
      if (name === 'from' || name === 'to' || name === 'id' || name === 'version') known[name] = value
      else if (name === 'xml:lang') known.lang = value
      else if (name.startsWith('xmlns:') && name !== 'xmlns:xml') prefixes.set(name.slice('xmlns:'.length), value)
    }
    const name = this.#word(this.#elementColon === 0 ? this.#elementAt : this.#elementColon + 1, this.#elementTo)
    const contentNamespace = this.#attributes.defaultNamespace(this.#block, this.#start) ?? ''
    const header: HeaderFrame = { kind: 'header', name, namespace: this.#elementNamespace(), contentNamespace, prefixes, ...known }
    this.#root = Buffer.from(this.#block.subarray(this.#start + this.#elementAt, this.#start + this.#elementTo))
    this.#inherited = { defaultNamespace: contentNamespace, prefixes, lang: known.lang }
    this.#scope = new Scope(prefixes)
    this.#frame = header
    this.#state = empty ? CLOSING : BETWEEN
  }
}
