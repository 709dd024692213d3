import type { Element } from 'ltx'
import { SaxesParser } from 'saxes'
import { NOT_IN_NAMESPACE } from '../../lib/xml/scope.ts'

/** An element as any namespace-aware reader sees it: prefixes and declarations resolved, neighbouring text joined. */
export interface Tree {
  readonly namespace: string
  readonly name: string
  /** In the order of their expanded names. */
  readonly attributes: readonly (readonly [namespace: string, name: string, value: string])[]
  readonly children: readonly (Tree | string)[]
}

const XML = 'http://www.w3.org/XML/1998/namespace'

/** What an ltx tree says. */
export function treeOfElement(element: Element, around: ReadonlyMap<string, string> = new Map([['xml', XML]])): Tree {
  const own = Object.entries<string>(element.attrs)
  const scope = new Map(around)
  for (const [name, value] of own) {
    if (name === 'xmlns') scope.set('', value)
    else if (name.startsWith('xmlns:')) scope.set(name.slice(6), value)
  }
  const expand = (name: string, byDefault: string): readonly [string, string] => {
    const colon = name.indexOf(':')
    return colon < 0 ? [byDefault, name] : [scope.get(name.slice(0, colon)) ?? '?', name.slice(colon + 1)]
  }
  const [namespace, name] = expand(element.name, scope.get('') ?? '')
  return {
    namespace,
    name,
    attributes: sorted(
      own.filter(([key]) => key !== 'xmlns' && !key.startsWith('xmlns:')).map(([key, value]) => [...expand(key, ''), value] as const)
    ),
    children: joined(element.children.map(child => (typeof child === 'string' ? child : treeOfElement(child, scope))))
  }
}

function sorted(attributes: Tree['attributes'][number][]): Tree['attributes'] {
  const key = ([namespace, name]: Tree['attributes'][number]): string => `${namespace} ${name}`
  return attributes.sort((one, other) => (key(one) < key(other) ? -1 : 1))
}

function joined(children: readonly (Tree | string)[]): Tree['children'] {
  const result: (Tree | string)[] = []
  for (const child of children) {
    const last = result.at(-1)
    if (typeof child === 'string' && typeof last === 'string') result[result.length - 1] = last + child
    else if (child !== '') result.push(child)
  }
  return result
}

interface Open extends Tree {
  readonly children: (Tree | string)[]
}

/**
 * The elements under the root of a whole document, by saxes with namespaces, behind a fatal UTF-8 decoder. Undefined: refused,
 * by saxes or by one of the rules in which a stream is stricter than a document.
 */
export function readWithSaxes(input: Buffer): readonly Tree[] | undefined {
  const parser = new SaxesParser({ xmlns: true })
  const refusals = new Set<string>()
  const refuse = (what: unknown): void => {
    refusals.add(String(what))
  }
  const open: Open[] = []
  let elements: readonly (Tree | string)[] = []
  let text = ''
  let tagEnd = 0
  parser.on('error', refuse)
  // RFC 6120 §11.1: none of these in a stream.
  parser.on('comment', refuse)
  parser.on('processinginstruction', refuse)
  parser.on('doctype', refuse)
  parser.on('opentag', tag => {
    tagEnd = parser.position
    const attributes = Object.values(tag.attributes)
    for (const { prefix, name, value } of attributes) {
      // `protocol.md` calls such a namespace name a separator in other parsers; saxes lets all but control characters pass.
      if ((prefix === 'xmlns' || name === 'xmlns') && NOT_IN_NAMESPACE.test(value)) refuse(name)
    }
    const own = attributes.filter(({ prefix, name }) => prefix !== 'xmlns' && name !== 'xmlns')
    open.push({
      namespace: tag.uri,
      name: tag.local,
      attributes: sorted(own.map(({ uri, local, value }) => [uri, local, value] as const)),
      children: []
    })
  })
  const addText = (part: string): void => {
    open.at(-1)?.children.push(part)
  }
  parser.on('text', part => {
    // Between the elements of a stream there is white space, and none by reference.
    if (open.length === 1 && text.slice(tagEnd, parser.position).includes('&')) refuse(part)
    addText(part)
  })
  parser.on('cdata', part => {
    if (open.length < 2) refuse(part)
    addText(part)
  })
  parser.on('closetag', () => {
    tagEnd = parser.position
    const done = open.pop()
    if (done === undefined) return
    const tree = { ...done, children: joined(done.children) }
    const parent = open.at(-1)
    if (parent === undefined) elements = tree.children
    else parent.children.push(tree)
  })
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input)
    parser.write(text).close()
  } catch {
    return undefined
  }
  // Text between the elements of a stream is no part of any.
  if (elements.some(child => typeof child === 'string' && /[^ \t\r\n]/.test(child))) return undefined
  return refusals.size > 0 ? undefined : elements.filter(child => typeof child !== 'string')
}
