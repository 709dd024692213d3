import fc from 'fast-check'

/** Bits of markup, right and wrong, from which readers are put together wrongly. */
const BITS = [
  '<',
  '>',
  '/',
  '</',
  '/>',
  '<a>',
  '</a>',
  '<a/>',
  '<b ',
  'a',
  'b',
  ':',
  'x:',
  'y:',
  'xml:',
  'xmlns',
  'xmlns:',
  "xmlns='",
  "xmlns:x='urn:x' ",
  ' ',
  '\n',
  '\r',
  '\r\n',
  '\t',
  '=',
  "'",
  '"',
  "='1'",
  '="2"',
  " c='3'",
  '&',
  ';',
  '&amp;',
  '&lt;',
  '&quot;',
  '&foo;',
  '&#',
  '&#x',
  '&#65;',
  '&#x41;',
  '&#0;',
  '&#xD800;',
  '&#x110000;',
  '#',
  'x',
  '0',
  '<![CDATA[',
  ']]>',
  ']]',
  ']',
  '<!',
  '<!--',
  '-->',
  '<?',
  '?>',
  '<?xml ',
  '<!DOCTYPE a>',
  '.',
  '-',
  '·',
  'é',
  '×',
  'ё',
  '\u0300',
  '月',
  '\u{1f600}',
  '\u{10000}',
  '\u{f0000}',
  '\u1680',
  '\u2028',
  '\u0085',
  '\ufeff',
  '\ufffd',
  '\ufffe',
  '\u0000',
  '\u0001',
  '\u001f',
  '\u007f',
  'urn:x',
  'http://www.w3.org/XML/1998/namespace',
  'http://www.w3.org/2000/xmlns/'
]

const soup = fc.array(fc.constantFrom(...BITS), { maxLength: 24 }).map(bits => bits.join(''))

const prefix = fc.constantFrom('', '', '', 'x:', 'y:', 'é:', 'xml:')
const local = fc.constantFrom('a', 'b', 'long-name', 'é', 'a.b', '_', '月月', '\u{10000}x', 'lang', 'constructor', '__proto__')
const space = fc.constantFrom(' ', ' ', ' ', '  ', '\n', '\t', '\r\n')
const perhapsSpace = fc.constantFrom('', '', '', ' ', '\n')
const quote = fc.constantFrom("'", '"')
const character = fc.constantFrom(
  'a',
  'b',
  ' ',
  '\n',
  '\r',
  '\t',
  '>',
  ']',
  'é',
  '月',
  '\u{1f600}',
  '\ufffd',
  '\u0085',
  '&amp;',
  '&lt;',
  '&gt;',
  '&quot;',
  '&apos;',
  '&#65;',
  '&#x1F600;',
  '&#13;',
  '&#x9;',
  '\r\n'
)
const content = fc.array(character, { maxLength: 6 }).map(characters => characters.join('').replaceAll(']]>', ']'))
const section = content.map(text => `<![CDATA[${text}]]>`)
const uri = fc.constantFrom('urn:x', 'urn:y', 'urn:x', 'urn:é', 'urn:&#120;', 'http://www.w3.org/XML/1998/namespace')
const declaration = fc.tuple(
  fc.constantFrom('xmlns', 'xmlns:x', 'xmlns:y', 'xmlns:é', 'xmlns:x', 'xmlns:xml'),
  fc.oneof(uri, uri, uri, fc.constant(''))
)
const attribute = fc.tuple(
  fc.tuple(prefix, local).map(parts => parts.join('')),
  content
)

const attributes = fc
  .array(fc.tuple(space, fc.oneof(declaration, attribute), perhapsSpace, perhapsSpace, quote), { maxLength: 4 })
  .map(all => all.map(([before, [name, value], left, right, mark]) => `${before}${name}${left}=${right}${mark}${value}${mark}`).join(''))

/** Elements that are well-formed but for names that occur twice and prefixes that nothing binds. */
const element = fc.letrec<{ element: string; child: string }>(tie => ({
  child: fc.oneof({ depthSize: 'small' }, content, section, tie('element')),
  element: fc
    .tuple(fc.tuple(prefix, local), attributes, perhapsSpace, fc.array(tie('child'), { maxLength: 4 }), perhapsSpace)
    .map(([name, tag, left, children, right]) => {
      const written = name.join('')
      return children.length === 0 ? `<${written}${tag}${left}/>` : `<${written}${tag}${left}>${children.join('')}</${written}${right}>`
    })
})).element

const elements = fc.array(fc.oneof(element, fc.constantFrom(' ', '\n')), { minLength: 1, maxLength: 3 }).map(all => all.join(''))

interface Change {
  readonly at: number
  readonly remove: number
  readonly insert: Buffer
}

const change = fc.record<Change>({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.integer({ min: 0, max: 2 }),
  insert: fc.oneof(
    fc.constantFrom('', ...BITS).map(bit => Buffer.from(bit)),
    fc.uint8Array({ maxLength: 2 }).map(bytes => Buffer.from(bytes))
  )
})

function applyChanges(text: string, changes: readonly Change[]): Buffer {
  let bytes = Buffer.from(text)
  for (const { at, remove, insert } of changes) {
    const from = Math.floor(at * bytes.length)
    bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)])
  }
  return bytes
}

/** What a peer may send inside a stream: well-formed, nearly so, and not at all. */
export const contents = fc.oneof(
  elements.map(text => Buffer.from(text)),
  fc.tuple(elements, fc.array(change, { minLength: 1, maxLength: 3 })).map(([text, changes]) => applyChanges(text, changes)),
  soup.map(text => Buffer.from(text)),
  soup.map(text => Buffer.from(`<a xmlns:x='urn:x'>${text}</a>`))
)

/** Where to cut: shares of the whole. */
export const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 })

/** Places in a number of bytes, in order. */
export function places(shares: readonly number[], length: number): readonly number[] {
  return shares.map(share => Math.floor(share * length)).sort((one, other) => one - other)
}
