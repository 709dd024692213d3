import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { Framer } from '../../lib/xml/framer.ts'
import type { Frame } from '../../lib/xml/framer.ts'
import { HEADER, LIMITS } from './feeding.ts'

/** Latin-1: what precedes the byte that must be refused, that byte, and what a laxer reader would make a stanza of its own. */
const SMUGGLED: Readonly<Record<string, readonly [before: string, bad: number, hidden: string]>> = {
  'a lead byte that swallows the end of a tag': ['<message><body>\xeb', 0x3c, '/body></message><message from="admin@victim.example"/>'],
  'a lead byte that swallows a quote': ['<message id="\xe1', 0x22, '/><message from="admin@victim.example"/>'],
  'an overlong <': ['<message><body>', 0xc0, '\xbcmessage from="admin@victim.example"/>'],
  'a NUL, where another reader stops': ['<message><body>', 0x00, '</body></message><message from="admin@victim.example"/>'],
  'the form feed that separates names in another reader, in a namespace': ['<message><x xmlns="urn:a', 0x0c, 'message"/></message>'],
  'a line separator of old in a name': ['<message><bo', 0x0b, 'dy/></message>'],
  'a quote inside a start tag': ['<message to="romeo@montague.example"', 0x22, ' from="admin@victim.example"/>'],
  'a tag inside an attribute': ['<message id="', 0x3c, "message from='admin@victim.example'/>\"/>"]
}

describe('a byte that two readers could take apart differently', () => {
  for (const [name, [before, bad, hidden]] of Object.entries(SMUGGLED)) {
    it(`[SEC-PARSE-a] is refused as soon as it is there: ${name}`, () => {
      const framer = new Framer(LIMITS)
      const frames: Frame[] = []
      const feed = (bytes: Buffer): void => {
        framer.feed(bytes)
        for (let frame = framer.next(); frame !== undefined; frame = framer.next()) frames.push(frame)
      }
      feed(Buffer.from(HEADER))
      for (const byte of Buffer.from(before, 'latin1')) feed(Buffer.of(byte))
      assert.equal(frames.length, 1, 'the header, and nothing of what follows')
      assert.throws(
        () => feed(Buffer.of(bad)),
        (error: unknown) => FederationError.is(error) && error.code === 'S2S_NOT_WELL_FORMED'
      )
      assert.throws(() => feed(Buffer.from(hidden, 'latin1')), 'nor is anything read behind it')
      assert.equal(frames.length, 1)
    })
  }
})
