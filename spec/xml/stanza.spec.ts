import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Address } from '../../lib/model/address.ts'
import { parseAddress } from '../../lib/model/address.ts'
import type { Stanza } from '../../lib/model/stanza.ts'
import { createStanza, isStanzaName } from '../../lib/xml/stanza.ts'
import { contents } from './documents.ts'
import { elementOf, elementsOf, HEADER } from './feeding.ts'
import { treeOfElement } from './trees.ts'

function address(text: string | undefined): Address {
  const parsed = parseAddress(text ?? '')
  assert.ok(parsed !== undefined)
  return parsed
}

function stanzaOf(content: string, header = HEADER): Stanza {
  const frame = elementOf(content, header)
  return createStanza(frame, address(frame.from), address(frame.to))
}

const ADDRESSES = "from='juliet@a.example/balcony' to='romeo@b.example'"

describe('A stanza', () => {
  it('is one of three', () => {
    assert.deepEqual(['message', 'presence', 'iq', 'Message', 'features', 'toString', ''].filter(isStanzaName), [
      'message',
      'presence',
      'iq'
    ])
    const frame = elementOf(`<features ${ADDRESSES}/>`)
    assert.throws(() => createStanza(frame, address(frame.from), address(frame.to)), { code: 'S2S_INTERNAL' })
  })

  it('has the addresses that were authorised, its id and its type', () => {
    const stanza = stanzaOf(`<iq ${ADDRESSES} id='1&lt;' type='get'/>`)
    assert.deepEqual(
      [stanza.name, stanza.from.text, stanza.from.domain, stanza.to.local, stanza.id, stanza.type],
      ['iq', 'juliet@a.example/balcony', 'a.example', 'romeo', '1<', 'get']
    )
    assert.equal(stanzaOf(`<message ${ADDRESSES}/>`).id, undefined)
  })

  it('has bytes of which everybody gets a copy, and one tree, made when asked for', () => {
    const stanza = stanzaOf(`<message ${ADDRESSES}><body>x</body></message>`)
    const written = `<message xmlns="jabber:server" ${ADDRESSES}><body>x</body></message>`
    stanza.bytes.fill(0)
    assert.equal(stanza.bytes.toString(), written)
    assert.equal(stanza.element, stanza.element)
    assert.deepEqual(stanza.element.attrs['to'], 'romeo@b.example')
  })

  it('is what its tree has been made into, wherever it goes; its checked addresses stay as they are', () => {
    const stanza = stanzaOf(`<message ${ADDRESSES}><body>x</body><secret>1234</secret></message>`)
    stanza.element.remove('secret')
    stanza.element.attrs['to'] = 'other@b.example'
    assert.doesNotMatch(stanza.bytes.toString(), /1234/)
    assert.match(stanza.bytes.toString(), /to="other@b\.example"/)
    assert.deepEqual([stanza.to.text, stanza.id], ['romeo@b.example', undefined])
    const passedOn = stanza.readdressed({ from: 'nurse@a.example', id: '2' })
    assert.doesNotMatch(passedOn.bytes.toString(), /1234/)
    assert.deepEqual(
      [passedOn.element.attrs['from'], passedOn.element.attrs['id'], passedOn.from.text],
      ['nurse@a.example', '2', 'nurse@a.example']
    )
    passedOn.element.remove('body')
    assert.match(stanza.bytes.toString(), /<body>x<\/body>/)
    assert.deepEqual([...stanza.readdressed({ id: '3' }).element.children].length, 1)
  })

  it('[ENG-NAME-b] is passed on under the one spelling of its domains', () => {
    const stanza = stanzaOf(`<message ${ADDRESSES}/>`).readdressed({ from: 'Nurse@A.Example./Home', to: 'romeo@xn--mnchen-3ya.example' })
    assert.deepEqual([stanza.element.attrs['from'], stanza.element.attrs['to']], ['Nurse@a.example/Home', 'romeo@münchen.example'])
  })

  it('[RFC6120-8.1.5-a] keeps a language that comes from the header when it is passed on, and otherwise its own or none', () => {
    const italian = HEADER.replace('version', "xml:lang='it' version")
    for (const [header, own, lang] of [
      [italian, '', 'it'],
      [italian, " xml:lang='ru'", 'ru'],
      [HEADER, " xml:lang='ru'", 'ru'],
      [HEADER, '', undefined]
    ] as const) {
      const stanza = stanzaOf(`<message ${ADDRESSES}${own}/>`, header)
      assert.equal(stanza.element.attrs['xml:lang'], lang)
      assert.deepEqual(
        [...stanza.bytes.toString().matchAll(/xml:lang=["'](.*?)["']/gu)].map(([, said]) => said),
        lang === undefined ? [] : [lang]
      )
      assert.equal(stanza.readdressed({ to: 'x@c.example' }).element.attrs['xml:lang'], lang)
    }
  })

  it('[ENG-NAME-b] has for its addresses the objects that were authorised, whatever its own attributes say', () => {
    const authorised = address('juliet@a.example')
    const wanted = address('romeo@b.example')
    const stanza = createStanza(elementOf("<message from='mallory@a.example' to='somebody@else.example'/>"), authorised, wanted)
    assert.equal(stanza.from, authorised)
    assert.equal(stanza.to, wanted)
  })
})

describe('A stanza that is readdressed', () => {
  const payload = "<body>x &lt; é</body><db:y/><z xmlns='urn:z' a='&quot;'/>"
  const original = (): Stanza =>
    stanzaOf(`<message  ${ADDRESSES} id='1' type='chat' xml:lang='en' x:y='z' xmlns:x='urn:x'>${payload}</message >`)

  it('has a header written anew, and the certified payload as it was', () => {
    const stanza = original().readdressed({ from: 'nurse@a.example', to: 'romeo@b.example/home', id: '2"' })
    assert.deepEqual(
      [stanza.name, stanza.from.local, stanza.to.resource, stanza.id, stanza.type],
      ['message', 'nurse', 'home', '2"', 'chat']
    )
    assert.equal(
      stanza.bytes.toString(),
      '<message xmlns="jabber:server" xmlns:db="jabber:server:dialback" from="nurse@a.example" to="romeo@b.example/home" id="2&quot;" type="chat" ' +
        `xml:lang="en" x:y="z" xmlns:x="urn:x">${payload}</message >`
    )
  })

  it('keeps what is not said, and leaves the original alone', () => {
    const before = original()
    const stanza = before.readdressed({ to: 'benvolio@b.example' })
    assert.deepEqual([stanza.from.text, stanza.to.text, stanza.id], ['juliet@a.example/balcony', 'benvolio@b.example', '1'])
    assert.equal(before.to.text, 'romeo@b.example')
    assert.ok(before.bytes.toString().includes("to='romeo@b.example'"))
    assert.equal(
      stanzaOf(`<iq ${ADDRESSES}/>`).readdressed({ id: 'new' }).bytes.toString(),
      '<iq xmlns="jabber:server" from="juliet@a.example/balcony" to="romeo@b.example" id="new"/>'
    )
  })

  it('may be readdressed again', () => {
    const stanza = original().readdressed({ from: 'nurse@a.example' }).readdressed({ to: 'tybalt@b.example' })
    const again = elementOf(stanza.bytes, '<other>')
    assert.deepEqual([again.from, again.to, again.id], ['nurse@a.example', 'tybalt@b.example', '1'])
    assert.equal(again.element().toString(), stanza.element.toString())
  })

  it('has a payload written anew where readers might differ over it', () => {
    const stanza = stanzaOf(`<message ${ADDRESSES}><body><![CDATA[</message>]]>&#x41;</body></message>`).readdressed({ to: 'b.example' })
    assert.equal(
      stanza.bytes.toString(),
      '<message xmlns="jabber:server" from="juliet@a.example/balcony" to="b.example"><body>&lt;/message&gt;A</body></message>'
    )
    assert.equal(stanza.readdressed({ id: '1' }).element.getChildText('body'), '</message>A')
  })

  it('refuses what is no address, and what XML cannot hold', () => {
    for (const header of [{ from: '@' }, { to: '' }, { to: 'a b' }, { from: 'a@b@c/\u0001' }, { id: '\u0000' }, { id: '\ud800' }]) {
      assert.throws(() => original().readdressed(header), { code: 'S2S_ADDRESS' })
    }
  })

  it('reads, but for its addresses, as the original did, whatever it holds', () => {
    fc.assert(
      fc.property(contents, fc.constantFrom(' ', " db:a='1' ", " xmlns:q='urn:q' q:id='7' id='8' "), (content, more) => {
        const whole = Buffer.concat([Buffer.from(`<message${more}${ADDRESSES}>`), content, Buffer.from('</message>')])
        let frames
        try {
          frames = elementsOf(whole)
        } catch {
          return
        }
        const [frame] = frames
        if (frame === undefined) return
        const changed = frame.readdressed({ from: 'a.example', to: 'b.example', id: '9' })
        const tree = frame.element()
        Object.assign(tree.attrs, { from: 'a.example', to: 'b.example', id: '9' })
        assert.deepEqual(treeOfElement(changed.element()), treeOfElement(tree))
        assert.deepEqual(treeOfElement(elementOf(changed.bytes(), "<other xmlns='urn:other'>").element()), treeOfElement(tree))
        assert.equal(changed.size, changed.bytes().length)
      }),
      { numRuns: 1000 }
    )
  })
})
