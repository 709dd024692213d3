import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { LONGEST_LANG } from '../../lib/xml/attributes.ts'
import { Framer, LONGEST_NAME } from '../../lib/xml/framer.ts'
import type { FramerLimits } from '../../lib/xml/framer.ts'
import { LONGEST_NAMESPACE, MOST_PREFIXES } from '../../lib/xml/scope.ts'
import { byteByByte, HEADER, LIMITS, read } from './feeding.ts'

/** The same however cut, and a limit says which it was. */
function assertLimit(input: string, limits: FramerLimits, which: RegExp): void {
  for (const cuts of [[], byteByByte(input)]) {
    const { refused, code } = read(input, cuts, limits)
    assert.deepEqual([code, refused], ['S2S_LIMIT', 'policy-violation'])
  }
  const framer = new Framer(limits)
  framer.feed(Buffer.from(input))
  assert.throws(() => {
    while (framer.next() !== undefined);
  }, which)
}

function assertPasses(input: string, limits: FramerLimits, frames: number): void {
  for (const cuts of [[], byteByByte(input)]) {
    const { refused, frames: found } = read(input, cuts, limits)
    assert.equal(refused, undefined)
    assert.equal(found.length, frames)
  }
}

describe('The limit on', () => {
  it('[ENG-XML-d] an element lets exactly its bytes pass, and one more is too big', () => {
    const stanza = '<message><body>héllo</body></message>'
    const limits = { ...LIMITS, elementBytes: Buffer.byteLength(stanza) }
    assertPasses(`${HEADER}${stanza} ${stanza}`, limits, 3)
    assertLimit(`${HEADER}${stanza.replace('l', 'll')}`, limits, /an element of more than 38 bytes/)
    assertLimit(`${HEADER}${stanza}${stanza.replace('</message>', '</message >')}`, limits, /an element of more than 38 bytes/)
    const framer = new Framer(limits)
    framer.feed(Buffer.from(HEADER + stanza.replace('l', 'll')))
    framer.next()
    assert.throws(() => framer.next(), { code: 'S2S_LIMIT', streamCondition: 'policy-violation', condition: 'stanza-too-big' })
  })

  it('[ENG-XML-d] an element is enforced before its end is seen, inside every token', () => {
    const limits = { ...LIMITS, elementBytes: 100 }
    const long = 'x'.repeat(101)
    for (const start of [
      `<m>${long}`,
      `<m a='${long}`,
      `<m>${'&amp;'.repeat(21)}`,
      `<m><![CDATA[${long}`,
      `<m a='1'${' '.repeat(101)}`,
      `<m></m${' '.repeat(101)}`,
      `<m>&#${'0'.repeat(101)}`,
      `<m>${'<a/>'.repeat(26)}`,
      `<m>${'é'.repeat(51)}`,
      `<m>${'\uff00'.repeat(34)}`
    ]) {
      assertLimit(HEADER + start, limits, /an element of more than 100 bytes/)
    }
  })

  it('an element comes before what follows it', () => {
    const limits = { ...LIMITS, elementBytes: 20 }
    assertLimit(`${HEADER}<message>${'x'.repeat(20)}<!-- `, limits, /an element of more/)
    for (const cuts of [[], byteByByte(`${HEADER}<message>xxxxxxxxxx<!-- `)])
      assert.equal(read(`${HEADER}<message>xxxxxxxxxx<!-- `, cuts, limits).refused, 'policy-violation')
    assert.equal(read(`${HEADER}<message>xxxxxxxx<!-- `, [], limits).refused, 'restricted-xml')
  })

  it('an element may be raised when the peer has been authenticated', () => {
    const framer = new Framer({ ...LIMITS, elementBytes: 30 })
    framer.feed(Buffer.from(`${HEADER}<message>${'x'.repeat(10)}`))
    framer.next()
    assert.equal(framer.next(), undefined)
    framer.setElementBytes(60)
    framer.feed(Buffer.from(`${'x'.repeat(20)}</message>`))
    assert.equal(framer.next()?.kind, 'element')
    framer.feed(Buffer.from(`<message>${'x'.repeat(60)}`))
    assert.throws(() => framer.next(), /more than 60 bytes/)
  })

  it('an element does not change the limits that were given', () => {
    const limits = { ...LIMITS }
    new Framer(limits).setElementBytes(1)
    assert.deepEqual(limits, LIMITS)
  })

  it('the stream header counts everything before its end', () => {
    const limits = { ...LIMITS, headerBytes: Buffer.byteLength(HEADER) }
    assertPasses(`${HEADER}<message>${'x'.repeat(1000)}</message>`, limits, 2)
    for (const start of [` ${HEADER}`, HEADER.replace('>', ' >'), ' '.repeat(1000), `<stream:stream ${'a'.repeat(200)}`])
      assertLimit(start, limits, /a stream header of more than/)
  })

  it('white space between elements', () => {
    const limits = { ...LIMITS, elementBytes: 100 }
    assertPasses(`${HEADER}${' '.repeat(100)}<a/>${'\n'.repeat(100)}<a/>`, limits, 3)
    assertLimit(`${HEADER}${' '.repeat(101)}`, limits, /more than 100 bytes of white space between elements/)
    assertLimit(`${HEADER}<a/>${' '.repeat(101)}<a/>`, limits, /white space between elements/)
    assertLimit(`${HEADER}</stream:stream>${' '.repeat(101)}`, limits, /white space/)
  })

  it('depth', () => {
    const limits = { ...LIMITS, depth: 5 }
    const nested = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth)
    assertPasses(HEADER + nested(5).repeat(2), limits, 3)
    assertPasses(`${HEADER}<a><a><a><a><b/><b/></a></a></a></a>`, limits, 2)
    assertLimit(HEADER + nested(6), limits, /more than 5 elements inside each other/)
    assertLimit(`${HEADER}<a><a><a><a><a><b/>`, limits, /more than 5 elements/)
  })

  it('[ENG-XML-c] depth ends a million nested elements without overflowing the stack', () => {
    const framer = new Framer({ ...LIMITS, elementBytes: 16_000_000 })
    framer.feed(Buffer.from(HEADER + '<a>'.repeat(1_000_000)))
    framer.next()
    assert.throws(() => framer.next(), /more than 64 elements inside each other/)
  })

  it('[ENG-XML-c] depth may be high: the tree is built and written in loops', () => {
    const depth = 900
    const framer = new Framer({ ...LIMITS, depth })
    framer.feed(Buffer.from(`${HEADER}${'<a>'.repeat(depth)}<![CDATA[x]]>${'</a>'.repeat(depth)}`))
    framer.next()
    const frame = framer.next()
    assert.ok(frame?.kind === 'element')
    assert.equal(frame.bytes().length, depth * 7 + ' xmlns="jabber:server"'.length + 1)
  })

  it('the attributes of one tag', () => {
    const limits = { ...LIMITS, attributes: 6 }
    const attributes = (count: number): string => Array.from({ length: count }, (_, index) => ` a${index}='1'`).join('')
    assertPasses(`${HEADER}<a${attributes(6)}><b${attributes(6)}/></a>`, limits, 2)
    assertLimit(`${HEADER}<a${attributes(7)}/>`, limits, /more than 6 attributes in one tag/)
    assertLimit(`${HEADER}<a xmlns='urn:x'${attributes(6)}/>`, limits, /more than 6 attributes in one tag/)
  })

  it('attributes ends a tag of a hundred thousand at once', () => {
    const framer = new Framer({ ...LIMITS, elementBytes: 16_000_000 })
    framer.feed(Buffer.from(`${HEADER}<a${Array.from({ length: 100_000 }, (_, index) => ` a${index}=''`).join('')}/>`))
    framer.next()
    assert.throws(() => framer.next(), /more than 64 attributes/)
  })

  it('the length of names', () => {
    const name = 'n'.repeat(LONGEST_NAME)
    assertPasses(`${HEADER}<${name} ${name}='1'/>`, LIMITS, 2)
    assertLimit(`${HEADER}<${name}n/>`, LIMITS, /a name of more than 256 bytes/)
    assertLimit(`${HEADER}<a ${name}n='1'/>`, LIMITS, /a name of more than 256 bytes/)
    assertLimit(`${HEADER}<a xmlns:${name}='1'/>`, LIMITS, /a name of more than 256 bytes/)
    assertLimit(`${HEADER}<${'é'.repeat(129)}/>`, LIMITS, /a name of more than 256 bytes/)
    assertLimit(`${HEADER}<a ${'n'.repeat(1000)}`, LIMITS, /a name of more than 256 bytes/)
  })

  it('the length of namespace names', () => {
    const uri = 'u'.repeat(LONGEST_NAMESPACE)
    assertPasses(`${HEADER}<a xmlns='${uri}' xmlns:b='${uri}'><c xmlns='${uri}'/></a>`, LIMITS, 2)
    for (const tag of [`<a xmlns='${uri}u'/>`, `<a xmlns:b='${uri}u'/>`, `<a><b xmlns='${uri}u'/></a>`])
      assertLimit(HEADER + tag, LIMITS, /a namespace name of more than 1024 bytes/)
  })

  it('the length of a language', () => {
    const lang = 'x'.repeat(LONGEST_LANG)
    assertPasses(`${HEADER}<a xml:lang='${lang}'><b xml:lang='${lang}'/></a>`, LIMITS, 2)
    assertLimit(`${HEADER}<a xml:lang='${lang}x'/>`, LIMITS, /an xml:lang of more than 128 bytes/)
    assertLimit(`${HEADER}<a><b xml:lang='${lang}x'/></a>`, LIMITS, /an xml:lang of more than 128 bytes/)
    assertLimit(HEADER.replace('>', ` xml:lang='${lang}x'>`), LIMITS, /an xml:lang of more than 128 bytes/)
  })

  it('prefixes in scope counts those of the header and of what is around', () => {
    const own = MOST_PREFIXES - 2
    const declarations = (from: number, to: number): string =>
      Array.from({ length: to - from }, (_, index) => ` xmlns:p${from + index}='urn:p'`).join('')
    const limits = { ...LIMITS, attributes: 200 }
    assertPasses(
      `${HEADER}${`<a${declarations(0, own)}/>`.repeat(2)}<a${declarations(0, own - 1)}>${`<b${declarations(own, own + 1)}/>`.repeat(2)}</a>`,
      limits,
      4
    )
    assertLimit(`${HEADER}<a${declarations(0, own + 1)}/>`, limits, /more than 128 namespace prefixes in scope/)
    assertLimit(`${HEADER}<a${declarations(0, own)}><b xmlns:q='urn:q'/></a>`, limits, /more than 128 namespace prefixes in scope/)
  })

  it('an XML declaration', () => {
    assertLimit(`<?xml version='1.0'${' '.repeat(300)}?>${HEADER}`, LIMITS, /an XML declaration of more than 256 bytes/)
  })
})

describe('What a framer holds', () => {
  const collect = (): void => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    gc()
    gc()
  }

  it('[ENG-XML-b] is copied a bounded number of times, in chunks of any size', () => {
    // Its type says nothing of what it holds.
    const prototype = Buffer.prototype as Buffer
    const { copy } = prototype as { copy: (this: Buffer, ...parameters: Parameters<Buffer['copy']>) => number }
    for (const chunk of [1, 7, 1000, 16_384]) {
      const text = Buffer.from(
        `${HEADER}<message><body>${'x'.repeat(1_000_000)}</body></message>${"<iq from='a' to='b' id='1'/>".repeat(10_000)}`
      )
      const framer = new Framer({ ...LIMITS, elementBytes: 2_000_000 })
      let copied = 0
      let frames = 0
      prototype.copy = function (this: Buffer, ...parameters: Parameters<Buffer['copy']>) {
        const bytes = copy.apply(this, parameters)
        copied += bytes
        return bytes
      }
      try {
        for (let at = 0; at < text.length; at += chunk) {
          framer.feed(text.subarray(at, at + chunk))
          while (framer.next() !== undefined) frames++
        }
      } finally {
        prototype.copy = copy
      }
      assert.equal(frames, 10_002)
      assert.ok(copied < 3 * text.length, `${copied} bytes copied of ${text.length} in chunks of ${chunk}`)
    }
  })

  it('is no chunk, once its strings are all that is kept', () => {
    const kept: unknown[] = []
    collect()
    const before = process.memoryUsage()
    for (let round = 0; round < 100; round++) {
      const framer = new Framer({ ...LIMITS, elementBytes: 2_000_000 })
      framer.feed(
        Buffer.from(
          `${HEADER}<message from='someone-${round}@a.example/resource' id='identifier-${round}-of-some-length'/><message>${'é'.repeat(250_000)}</message>`
        )
      )
      const header = framer.next()
      const frame = framer.next()
      assert.ok(header?.kind === 'header' && frame?.kind === 'element')
      framer.next()
      framer.next()
      kept.push([header, framer, frame.from, frame.id, frame.element(), frame.bytes()])
    }
    collect()
    const after = process.memoryUsage()
    const grown = after.heapUsed + after.external - before.heapUsed - before.external
    assert.ok(grown < 10_000_000, `${grown} bytes for ${kept.length} of what is small`)
  })
})
