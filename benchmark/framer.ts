import { StringDecoder } from 'node:string_decoder'
import { Element } from 'ltx'
import * as ltxParsers from 'ltx/src/parsers/ltx.js'
import { SaxesParser } from 'saxes'
import { Framer } from '../lib/xml/framer.ts'
import { createCorpus, cut, HEADER } from './corpus.ts'
import { measure } from './measure.ts'
import type { Contender, Result } from './measure.ts'

const CORPUS_BYTES = 8_000_000
const CHUNK_BYTES = 16_384
const ROUNDS = 9
/** What a change must not fall below. */
const LEAST = { ltx: 6, saxes: 15 }
const TOKEN_BYTES = [65_536, 262_144, 1_048_576, 4_194_304]
/** How much dearer a byte of the largest token may be than one of the smallest: linear, with room for caches and noise. */
const LINEAR = 2.5

const LIMITS = { headerBytes: 16_384, elementBytes: 8_388_608, depth: 64, attributes: 64 }

// @types/ltx takes the module for CommonJS, and its parser for another: this is what it exports.
const { default: SaxLtx } = ltxParsers as unknown as {
  readonly default: new () => {
    on(event: 'startElement', listener: (name: string, attrs: Record<string, string>) => void): void
    on(event: 'endElement' | 'text', listener: (text: string) => void): void
    write(data: string): void
  }
}

/** The framer, reading from every stanza what routing reads. */
function framer(chunks: readonly Buffer[], name = 'framer'): Contender {
  return {
    name,
    run: () => {
      const reader = new Framer(LIMITS)
      let stanzas = 0
      let length = 0
      for (const chunk of chunks) {
        reader.feed(chunk)
        for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
          if (frame.kind !== 'element') continue
          stanzas++
          length += (frame.from?.length ?? 0) + (frame.to?.length ?? 0) + (frame.id?.length ?? 0) + (frame.type?.length ?? 0)
        }
      }
      return length < 0 ? 0 : stanzas
    }
  }
}

/** ltx's own SAX parser, its events alone. */
function ltxEvents(chunks: readonly Buffer[]): Contender {
  return {
    name: 'ltx events',
    run: () => {
      const decoder = new StringDecoder('utf8')
      const parser = new SaxLtx()
      let depth = 0
      let stanzas = 0
      parser.on('startElement', () => depth++)
      parser.on('endElement', () => {
        if (--depth === 1) stanzas++
      })
      parser.on('text', () => undefined)
      for (const chunk of chunks) parser.write(decoder.write(chunk))
      return stanzas
    }
  }
}

/** The same with elements built, as people use it. */
function ltxElements(chunks: readonly Buffer[]): Contender {
  return {
    name: 'ltx elements',
    run: () => {
      const decoder = new StringDecoder('utf8')
      const parser = new SaxLtx()
      let depth = 0
      let stanzas = 0
      let open: Element | undefined
      parser.on('startElement', (name: string, attrs: Record<string, string>) => {
        if (depth++ === 0) return
        const element = new Element(name, attrs)
        open?.cnode(element)
        open = element
      })
      parser.on('endElement', () => {
        if (--depth === 1) stanzas++
        open = open?.parent ?? undefined
      })
      parser.on('text', (text: string) => open?.t(text))
      for (const chunk of chunks) parser.write(decoder.write(chunk))
      return stanzas
    }
  }
}

/** The strict one: namespaces resolved, UTF-8 checked in front of it. */
function saxes(chunks: readonly Buffer[]): Contender {
  return {
    name: 'saxes, xmlns',
    run: () => {
      const decoder = new TextDecoder('utf-8', { fatal: true })
      const parser = new SaxesParser({ xmlns: true })
      let depth = 0
      let stanzas = 0
      parser.on('error', error => {
        throw error
      })
      parser.on('opentag', () => depth++)
      parser.on('closetag', () => {
        if (--depth === 1) stanzas++
      })
      parser.on('text', () => undefined)
      for (const chunk of chunks) parser.write(decoder.decode(chunk, { stream: true }))
      return stanzas
    }
  }
}

function printRow(cells: readonly string[]): void {
  console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(14))).join(''))
}

function throughput(): boolean {
  const stanzas = createCorpus(CORPUS_BYTES)
  const text = HEADER + stanzas.join('')
  const bytes = Buffer.byteLength(text)
  const chunks = cut(text, CHUNK_BYTES)
  console.log(
    `${stanzas.length} stanzas, ${Math.round(bytes / stanzas.length)} bytes on average, chunks of ${CHUNK_BYTES} bytes, best of ${ROUNDS}\n`
  )
  const results = measure([framer(chunks), ltxEvents(chunks), ltxElements(chunks), saxes(chunks)], ROUNDS, stanzas.length)
  const own = secondsOf(results, 'framer')
  printRow(['', 'MB/s', 'stanzas/s', 'framer is'])
  for (const { name, seconds } of results) {
    printRow([name, (bytes / seconds / 1e6).toFixed(0), Math.round(stanzas.length / seconds).toString(), `${(seconds / own).toFixed(1)} x`])
  }
  const ltx = secondsOf(results, 'ltx events') / own
  const strict = secondsOf(results, 'saxes, xmlns') / own
  if (ltx < LEAST.ltx) console.error(`\nThe framer is ${ltx.toFixed(1)} times as fast as ltx; it must be ${LEAST.ltx}.`)
  if (strict < LEAST.saxes) console.error(`\nThe framer is ${strict.toFixed(1)} times as fast as saxes; it must be ${LEAST.saxes}.`)
  return ltx >= LEAST.ltx && strict >= LEAST.saxes
}

function secondsOf(results: readonly Result[], name: string): number {
  return results.find(result => result.name === name)?.seconds ?? Infinity
}

/** One token of growing size, in chunks of 1 KB: the cost of a byte must stay what it is. */
function linearity(): boolean {
  const tokens: Readonly<Record<string, (size: number) => string>> = {
    'one text': size => `<message><body>${'x'.repeat(size)}</body></message>`,
    'one attribute value': size => `<message subject='${'x'.repeat(size)}'/>`,
    'one CDATA section': size => `<message><body><![CDATA[${'x'.repeat(size)}]]></body></message>`,
    'one text of references': size => `<message><body>${'&#x41;'.repeat(size / 6)}</body></message>`,
    'many children': size => `<message>${'<a b="c"/>'.repeat(size / 10)}</message>`
  }
  console.log('\nnanoseconds for one byte, by size of the token, in chunks of 1 KB and of 1 byte\n')
  printRow(['', ...TOKEN_BYTES.map(size => `${size / 1024} KB`)])
  let straight = true
  for (const [name, make] of Object.entries(tokens)) {
    for (const chunk of [1024, 1]) {
      const costs = TOKEN_BYTES.map(size => {
        const text = HEADER + make(size)
        const [result] = measure([framer(cut(text, chunk), name)], chunk === 1 ? 2 : 5, 1)
        return ((result?.seconds ?? Infinity) * 1e9) / text.length
      })
      printRow([`${name}, ${chunk}`, ...costs.map(cost => cost.toFixed(2))])
      const [first = 0] = costs
      if ((costs.at(-1) ?? Infinity) > first * LINEAR) {
        straight = false
        console.error(`${name} in chunks of ${chunk} is not linear.`)
      }
    }
  }
  return straight
}

/** Ends with a failure where the framer is too slow beside its neighbours, or not linear. */
export function run(): boolean {
  const fast = throughput()
  return linearity() && fast
}
