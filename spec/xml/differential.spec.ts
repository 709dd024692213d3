import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Framer } from '../../lib/xml/framer.ts'
import { contents, cuts, places } from './documents.ts'
import { byteByByte, LIMITS, read } from './feeding.ts'
import { readWithSaxes, treeOfElement } from './trees.ts'
import type { Tree } from './trees.ts'

const OPEN = "<stream:stream xmlns:stream='urn:stream' xmlns='urn:default' xmlns:y='urn:x'>"
const CLOSE = '</stream:stream>'
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 1000)

/** The trees of a whole stream, by the framer; undefined: refused, or it has no end. */
function readWithFramer(stream: Buffer, at: readonly number[]): readonly Tree[] | undefined {
  const framer = new Framer(LIMITS)
  const trees: Tree[] = []
  let closed = false
  try {
    for (const [index, from] of [0, ...at].entries()) {
      framer.feed(Buffer.from(stream.subarray(from, at[index] ?? stream.length)))
      for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
        if (frame.kind === 'element') trees.push(treeOfElement(frame.element()))
        closed = frame.kind === 'close'
      }
    }
  } catch {
    return undefined
  }
  return closed ? trees : undefined
}

describe('Whatever a peer sends', () => {
  it('is read as saxes reads it, or refused by both', () => {
    let accepted = 0
    fc.assert(
      fc.property(contents, cuts, (content, shares) => {
        const stream = Buffer.concat([Buffer.from(OPEN), content, Buffer.from(CLOSE)])
        const ours = readWithFramer(stream, places(shares, stream.length))
        if (ours !== undefined) accepted++
        assert.deepEqual(ours, readWithSaxes(stream))
      }),
      { numRuns: RUNS * 3 }
    )
    // Neither all nor nothing: the property would say nothing.
    assert.ok(accepted > RUNS / 10 && accepted < RUNS * 2.5, `${accepted} accepted`)
  })

  it('is read the same however it is cut, and refused for the same reason', () => {
    fc.assert(
      fc.property(contents, cuts, (content, shares) => {
        const stream = Buffer.concat([Buffer.from(OPEN), content, Buffer.from(CLOSE)])
        const whole = read(stream)
        assert.deepEqual(read(stream, places(shares, stream.length)), whole)
        assert.deepEqual(read(stream, byteByByte(stream)), whole)
      }),
      { numRuns: RUNS }
    )
  })

  it('is passed on so that it reads the same', () => {
    fc.assert(
      fc.property(contents, content => {
        const framer = new Framer(LIMITS)
        framer.feed(Buffer.concat([Buffer.from(OPEN), content]))
        try {
          for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
            if (frame.kind !== 'element') continue
            const [again] =
              readWithFramer(Buffer.concat([Buffer.from("<other xmlns='urn:other'>"), frame.bytes(), Buffer.from('</other>')]), []) ?? []
            assert.deepEqual(again, treeOfElement(frame.element()))
          }
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error
        }
      }),
      { numRuns: RUNS }
    )
  })

  it('is read to its end or refused before, in bytes of any kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        const { refused, code } = read(Buffer.concat([Buffer.from(OPEN), bytes]))
        assert.ok(refused === undefined || code === 'S2S_NOT_WELL_FORMED')
      }),
      { numRuns: RUNS }
    )
  })
})
