import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Element } from 'ltx'
import { domain } from '../../lib/model/domain.ts'
import { delayed } from '../../lib/xml/delay.ts'
import { serialize } from '../../lib/xml/writer.ts'
import { contents } from './documents.ts'
import { elementOf, elementsOf, HEADER, read } from './feeding.ts'
import { treeOfElement } from './trees.ts'

const SINCE = Date.UTC(2026, 10, 20, 22, 48, 5, 7)
const US = domain('capulet.example')
const DELAY = `<delay xmlns='urn:xmpp:delay' from='capulet.example' stamp='2026-11-20T22:48:05.007Z'/>`
const message = (...children: readonly Element[]): Element => {
  const element = new Element('message', { to: 'b@montague.example' })
  element.append(...children)
  return element
}
const delay = (from: string): Element => new Element('delay', { xmlns: 'urn:xmpp:delay', from, stamp: '2026-01-01T00:00:00Z' })

describe('A stanza that comes late', () => {
  it('[XEP0203-4-a] says last in its content when it was first sent, and in whose name', () => {
    assert.equal(delayed(serialize(message()), US, SINCE), `<message to="b@montague.example">${DELAY}</message>`)
    assert.equal(
      delayed(serialize(message(new Element('body').t('/></message>'))), US, SINCE),
      `<message to="b@montague.example"><body>/&gt;&lt;/message&gt;</body>${DELAY}</message>`
    )
    const bytes = Buffer.from('<presence xml:lang="en"><show>away</show></presence>')
    assert.deepEqual(delayed(bytes, US, SINCE), Buffer.from(`<presence xml:lang="en"><show>away</show>${DELAY}</presence>`))
  })

  it('[XEP0203-4-a] says so once: not again where our domain has, but where only others have', () => {
    const said = serialize(message(delay('capulet.example')))
    assert.equal(delayed(said, US, SINCE), said)
    const by = (text: string | Buffer): readonly unknown[] =>
      elementOf(text)
        .element()
        .getChildren('delay', 'urn:xmpp:delay')
        .map(({ attrs }) => attrs['from'] as unknown)
    assert.deepEqual(by(delayed(serialize(message(delay('room.montague.example'))), US, SINCE)), [
      'room.montague.example',
      'capulet.example'
    ])
    const forwarded = new Element('forwarded', { xmlns: 'urn:xmpp:forward:0' })
    forwarded.cnode(delay('capulet.example'))
    assert.deepEqual(by(delayed(serialize(message(forwarded)), US, SINCE)), ['capulet.example'])
  })

  it('says nothing if it is an iq', () => {
    for (const xml of ['<iq id="1"/>', '<iq id="1"><query xmlns="x"/></iq>', '<s:iq xmlns:s="jabber:server"/>'])
      assert.equal(delayed(xml, US, SINCE), xml)
  })

  it('is otherwise what it was, whatever its content', () => {
    fc.assert(
      fc.property(contents, content => {
        fc.pre(read(Buffer.concat([Buffer.from(HEADER), content])).refused === undefined)
        for (const frame of elementsOf(content)) {
          if (frame.name === 'iq' || frame.bytes().includes('urn:xmpp:delay')) continue
          const before = treeOfElement(frame.element())
          const after = treeOfElement(elementOf(delayed(frame.bytes(), US, SINCE)).element())
          const said = treeOfElement(elementOf(DELAY).element())
          assert.deepEqual(after, { ...before, children: [...before.children, said] })
        }
      }),
      { numRuns: 500 }
    )
  })
})
