import { Element } from 'ltx'
import { expandText, expandValue } from './references.ts'

/**
 * Builds the tree of one element from text that the framer has checked: nothing is judged here again. Runs in a loop, so that
 * no depth overflows the stack.
 *
 * @param declarations attributes that the element inherits and the tree has to carry itself
 */
export function buildTree(text: string, declarations: ReadonlyMap<string, string>): Element {
  const holder = new Element('holder')
  let parent = holder
  let at = 0
  while (at < text.length) {
    const angle = text.indexOf('<', at)
    if (angle > at) appendText(parent, expandText(text.slice(at, angle)))
    if (text[angle + 1] === '/') {
      parent = parent.parent ?? holder
      at = text.indexOf('>', angle) + 1
    } else if (text[angle + 1] === '!') {
      const end = text.indexOf(']]>', angle)
      appendText(parent, text.slice(angle + '<![CDATA['.length, end).replace(/\r\n?/g, '\n'))
      at = end + ']]>'.length
    } else {
      const tag = readTag(text, angle)
      const child = new Element(tag.name)
      if (parent === holder) for (const [name, value] of declarations) setAttribute(child, name, value)
      const { attributes } = tag
      for (let index = 0; index < attributes.length; index += 2) setAttribute(child, attributes[index] ?? '', attributes[index + 1] ?? '')
      parent.cnode(child)
      if (!tag.empty) parent = child
      at = tag.end
    }
  }
  const [element] = holder.getChildElements()
  if (element === undefined) throw new TypeError('the text of an element holds one')
  element.parent = null
  return element
}

/** One start tag, taken apart. */
export interface Tag {
  readonly name: string
  /** Name and value in turn. */
  readonly attributes: readonly string[]
  readonly empty: boolean
  /** Where its `>` ends. */
  readonly end: number
}

/** Takes a checked start tag apart. */
export function readTag(text: string, at: number): Tag {
  let end = nameEnd(text, at + 1)
  const name = text.slice(at + 1, end)
  const attributes: string[] = []
  while (end < text.length) {
    end = skipSpace(text, end)
    if (text[end] === '>') return { name, attributes, empty: false, end: end + 1 }
    if (text[end] === '/') return { name, attributes, empty: true, end: end + 2 }
    const keyEnd = nameEnd(text, end)
    const quote = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const valueEnd = text.indexOf(text[quote] ?? '', quote + 1)
    attributes.push(text.slice(end, keyEnd), expandValue(text.slice(quote + 1, valueEnd)))
    end = valueEnd + 1
  }
  throw new TypeError('a checked start tag ends')
}

function nameEnd(text: string, at: number): number {
  let end = at
  while (end < text.length) {
    const unit = text.charCodeAt(end)
    if (unit === 0x20 || unit === 0x3e || unit === 0x3d || unit === 0x2f || unit === 0xa || unit === 0x9 || unit === 0xd) break
    end++
  }
  return end
}

// Not what a regular expression calls space: some of that may stand in names.
function skipSpace(text: string, at: number): number {
  let end = at
  while (end < text.length) {
    const unit = text.charCodeAt(end)
    if (unit !== 0x20 && unit !== 0xa && unit !== 0x9 && unit !== 0xd) break
    end++
  }
  return end
}

function appendText(parent: Element, text: string): void {
  const last = parent.children.length - 1
  const before = parent.children[last]
  if (typeof before === 'string') parent.children[last] = before + text
  else if (text !== '') parent.t(text)
}

function setAttribute(element: Element, name: string, value: string): void {
  // Assigning would set the prototype, and drop the attribute.
  if (name === '__proto__') Object.defineProperty(element.attrs, name, { value, enumerable: true, writable: true, configurable: true })
  else element.attrs[name] = value
}
