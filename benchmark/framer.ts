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
const RULES = { warmUp: 800, rounds: 15 }
/** What a change must not fall below. */
const LEAST = { ltx: 6, saxes: 15 }
const TOKEN_BYTES = [65_536, 262_144, 1_048_576, 4_194_304]
const TOKEN_RULES = { warmUp: 100, rounds: 5, stanzas: 1 }
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
function framer(chunks: readonly Buffer[]): Contender {
  return {
    name: 'framer',
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

type SaxesEvent = 'opentag' | 'closetag' | 'text' | 'cdata' | 'comment' | 'attribute'

/** The strict one: UTF-8 checked in front of it, namespaces resolved unless told otherwise. */
function saxes(chunks: readonly Buffer[], xmlns = true, events: readonly SaxesEvent[] = ['text']): Contender {
  return {
    name: xmlns ? 'saxes, xmlns' : 'saxes, no xmlns',
    run: () => {
      const decoder = new TextDecoder('utf-8', { fatal: true })
      const parser = new SaxesParser({ xmlns })
      let depth = 0
      let stanzas = 0
      parser.on('error', error => {
        throw error
      })
      parser.on('opentag', () => depth++)
      parser.on('closetag', () => {
        if (--depth === 1) stanzas++
      })
      for (const event of events) parser.on(event, () => undefined)
      for (const chunk of chunks) parser.write(decoder.decode(chunk, { stream: true }))
      return stanzas
    }
  }
}

/**
 * What a process does that has more than one use for saxes: parsers with and without namespaces, each with handlers of its own.
 * From then on V8 takes every parser for any of them.
 */
function useSaxesInSeveralWays(chunks: readonly Buffer[]): void {
  for (const xmlns of [false, true]) {
    for (const events of [['text'], ['text', 'cdata'], ['text', 'comment'], ['text', 'attribute']] as const) {
      saxes(chunks.slice(0, 100), xmlns, events).run()
    }
  }
}

function printRow(cells: readonly string[]): void {
  console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(14))).join(''))
}

function printResults(results: readonly Result[], bytes: number, stanzas: number): void {
  const own = secondsOf(results, 'framer')
  printRow(['', 'MB/s', 'stanzas/s', 'framer is'])
  for (const { name, seconds } of results) {
    printRow([name, (bytes / seconds / 1e6).toFixed(0), Math.round(stanzas / seconds).toString(), `${(seconds / own).toFixed(1)} x`])
  }
}

function secondsOf(results: readonly Result[], name: string): number {
  return results.find(result => result.name === name)?.seconds ?? Infinity
}

function isFaster(results: readonly Result[], neighbour: string, least: number): boolean {
  const times = secondsOf(results, neighbour) / secondsOf(results, 'framer')
  if (times < least) console.error(`The framer is ${times.toFixed(1)} times as fast as ${neighbour}; it must be ${least}.`)
  return times >= least
}

function throughput(): boolean {
  const corpus = createCorpus(CORPUS_BYTES)
  const text = HEADER + corpus.join('')
  const bytes = Buffer.byteLength(text)
  const stanzas = corpus.length
  const chunks = cut(text, CHUNK_BYTES)
  console.log(
    `${stanzas} stanzas, ${Math.round(bytes / stanzas)} bytes on average, chunks of ${CHUNK_BYTES} bytes, best of ${RULES.rounds}\n`
  )
  const alone = measure([framer(chunks), ltxEvents(chunks), ltxElements(chunks), saxes(chunks)], { ...RULES, stanzas })
  printResults(alone, bytes, stanzas)
  console.log('\nin a process that uses saxes in several ways\n')
  useSaxesInSeveralWays(chunks)
  const together = measure([framer(chunks), saxes(chunks, false), saxes(chunks)], { ...RULES, stanzas })
  printResults(together, bytes, stanzas)
  const fasterThanLtx = isFaster(alone, 'ltx events', LEAST.ltx)
  return isFaster(together, 'saxes, xmlns', LEAST.saxes) && fasterThanLtx
}

const TOKENS: Readonly<Record<string, (size: number) => string>> = {
  'one text': size => `<message><body>${'x'.repeat(size)}</body></message>`,
  'one attribute value': size => `<message subject='${'x'.repeat(size)}'/>`,
  'one CDATA section': size => `<message><body><![CDATA[${'x'.repeat(size)}]]></body></message>`,
  'one text of references': size => `<message><body>${'&#x41;'.repeat(size / 6)}</body></message>`,
  'many children': size => `<message>${'<a b="c"/>'.repeat(size / 10)}</message>`
}

/** One token of growing size, in chunks of 1 KB and of 1 byte: the cost of a byte must stay what it is. */
function linearity(): boolean {
  console.log('\nnanoseconds for one byte, by size of the token and of the chunks\n')
  printRow(['', ...TOKEN_BYTES.map(size => `${size / 1024} KB`)])
  let straight = true
  for (const [name, make] of Object.entries(TOKENS)) {
    for (const chunk of [1024, 1]) {
      // A chunk of one byte costs a Buffer: a megabyte of them is enough.
      const sizes = chunk === 1 ? TOKEN_BYTES.slice(0, -1) : TOKEN_BYTES
      const costs = sizes.map(size => costOfByte(Buffer.from(HEADER + make(size)), chunk))
      printRow([`${name}, chunks of ${chunk}`, ...costs.map(cost => cost.toFixed(2))])
      const [first = 0] = costs
      if ((costs.at(-1) ?? Infinity) <= first * LINEAR) continue
      straight = false
      console.error(`${name} in chunks of ${chunk} is not linear.`)
    }
  }
  return straight
}

function costOfByte(bytes: Buffer, chunk: number): number {
  const run = (): number => {
    const reader = new Framer(LIMITS)
    let elements = 0
    for (let at = 0; at < bytes.length; at += chunk) {
      reader.feed(bytes.subarray(at, at + chunk))
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) if (frame.kind === 'element') elements++
    }
    return elements
  }
  const [result] = measure([{ name: 'framer', run }], TOKEN_RULES)
  return ((result?.seconds ?? Infinity) * 1e9) / bytes.length
}

/** Ends with a failure where the framer is too slow beside its neighbours, or not linear. */
export function run(): boolean {
  const fast = throughput()
  return linearity() && fast
}
