import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Element } from 'ltx'
import { Framer } from '../../lib/xml/framer.ts'
import { escapeAttribute, escapeText, headerXml, serialize, serializeAlone, streamErrorXml } from '../../lib/xml/writer.ts'
import { elementOf, elementsOf, HEADER, LIMITS, read } from './feeding.ts'
import { treeOfElement } from './trees.ts'

const element = (name: string, attrs: Record<string, string> = {}, ...children: readonly (Element | string)[]): Element => {
  const made = new Element(name, attrs)
  made.append(...children)
  return made
}

describe('Text and attribute values', () => {
  it('are escaped so that a reader gets them back unchanged', () => {
    assert.equal(escapeText('a & b < c > d "e" \'f\' ]]> \t\n\r'), 'a &amp; b &lt; c &gt; d "e" \'f\' ]]&gt; \t\n&#xD;')
    assert.equal(escapeAttribute('a & b < c > d "e" \'f\' \t\n\r'), 'a &amp; b &lt; c &gt; d &quot;e&quot; &apos;f&apos; &#x9;&#xA;&#xD;')
    assert.equal(escapeText(''), '')
    assert.equal(escapeText('caf\u00e9 \u{1f600} \ufffd\u0085\u007f'), 'caf\u00e9 \u{1f600} \ufffd\u0085\u007f')
  })

  it('are refused, not shortened, where XML has no such character', () => {
    for (const text of ['\u0000', 'a\u0001', '\u000b', '\u001f', '\ufffe', '\uffff', '\ud800', 'a\udc00b', '\ude00\ud83d']) {
      assert.throws(() => escapeText(text), { code: 'S2S_ADDRESS' })
      assert.throws(() => escapeAttribute(text), { code: 'S2S_ADDRESS' })
    }
  })
})

describe('A tree that leaves', () => {
  it('in jabber:client or in no namespace is in the content namespace of the stream', () => {
    for (const xmlns of ['jabber:client', 'jabber:server', '']) {
      const message = element('message', { xmlns, to: 'b' }, element('body', {}, 'x'), element('subject', { xmlns }))
      assert.equal(
        serialize(message),
        xmlns === '' ? '<message to="b"><body>x</body><subject xmlns=""/></message>' : '<message to="b"><body>x</body><subject/></message>'
      )
    }
    assert.equal(serialize(element('message', {}, element('body'))), '<message><body/></message>')
  })

  it('keeps what is in other namespaces, and what is under it', () => {
    const forwarded = element(
      'forwarded',
      { xmlns: 'urn:xmpp:forward:0' },
      element('message', { xmlns: 'jabber:client' }, element('body')),
      element('x')
    )
    assert.equal(
      serialize(element('message', { xmlns: 'jabber:client' }, forwarded, element('thread'))),
      '<message><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"><body/></message><x/></forwarded><thread/></message>'
    )
    assert.equal(
      serialize(element('message', { xmlns: 'jabber:client' }, element('a', { xmlns: '' }, element('b')))),
      '<message><a xmlns=""><b/></a></message>'
    )
    assert.equal(
      serialize(element('auth', { xmlns: 'urn:ietf:params:xml:ns:xmpp-sasl' }, 'a=')),
      '<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl">a=</auth>'
    )
  })

  it('[RFC6120-4.8.5-a] has no prefix on content', () => {
    const message = element('c:message', { 'xmlns:c': 'jabber:client', xmlns: 'urn:x' }, element('c:body', {}, 'x'), element('y'))
    assert.equal(serialize(message), '<message xmlns:c="jabber:client"><body>x</body><y xmlns="urn:x"/></message>')
    const under = element(
      'message',
      {},
      element('c:body', { 'xmlns:c': 'jabber:server' }),
      element('x:z', { 'xmlns:x': 'urn:x' }, element('w'))
    )
    assert.equal(serialize(under), '<message><body xmlns:c="jabber:server"/><x:z xmlns:x="urn:x"><w/></x:z></message>')
  })

  it('declares in it what its parents in the tree declare', () => {
    const child = element('x:a', {}, element('b', { 'y:c': '1' }), element('x:d'))
    element('outer', { 'xmlns:x': 'urn:x', 'xmlns:y': 'urn:y', xmlns: 'urn:default' }, child)
    assert.equal(serialize(child), '<x:a xmlns:x="urn:x"><b xmlns="urn:default" xmlns:y="urn:y" y:c="1"/><x:d/></x:a>')
    assert.equal(serializeAlone(child), '<x:a xmlns="urn:default" xmlns:x="urn:x"><b xmlns:y="urn:y" y:c="1"/><x:d/></x:a>')
    const far = element('x:far')
    element('outer', { 'xmlns:x': 'urn:x' }, element('middle', {}, element('inner', {}, far)))
    assert.equal(serialize(far), '<x:far xmlns:x="urn:x"/>')
    const stanza = element('message')
    element('stream', { xmlns: 'jabber:client' }, stanza)
    assert.equal(serialize(stanza), '<message/>')
  })

  it('may stand on the prefixes of our header where the top-level element has them', () => {
    assert.equal(serialize(element('db:result', { from: 'a', to: 'b' }, 'key')), '<db:result from="a" to="b">key</db:result>')
    assert.equal(serialize(element('db:verify', {}, element('error', { type: 'cancel' }))), '<db:verify><error type="cancel"/></db:verify>')
    assert.equal(serialize(element('stream:features')), '<stream:features/>')
    assert.throws(() => serialize(element('message', {}, element('db:result'))), { code: 'S2S_ADDRESS' })
    assert.throws(() => serializeAlone(element('db:result')), { code: 'S2S_ADDRESS' })
  })

  it('[SEC-PARSE-c] has text that stays text', () => {
    const attack = "</body></message><message from='admin@a.example'><body>"
    const sent = serialize(element('message', {}, element('body', {}, attack)))
    const [received, ...more] = elementsOf(sent)
    assert.equal(more.length, 0)
    assert.equal(received?.element().getChildText('body'), attack)
    // What ltx's own stringify does with it: two stanzas.
    const lone = serialize(element('message', {}, attack))
    assert.equal(elementsOf(lone).length, 1)
  })

  it('has no CDATA, comments or instructions', () => {
    const sent = serialize(elementOf('<a><![CDATA[<!-- ]]><![CDATA[<?x?>]]></a>').element())
    assert.equal(sent, '<a>&lt;!-- &lt;?x?&gt;</a>')
  })

  it('may hold numbers, and holes', () => {
    const made = element('a', { b: '1' }, element('c'))
    made.children.push(2 as unknown as string, null as unknown as string)
    made.attrs['d'] = 3
    made.attrs['e'] = undefined
    assert.equal(serialize(made), '<a b="1" d="3"><c/>2</a>')
  })

  it('is refused where XML has no such thing', () => {
    const cyclic = element('a')
    cyclic.append(cyclic)
    for (const tree of [
      element('b onx="1"><c'),
      element(''),
      element(':a'),
      element('a:'),
      element('1'),
      element('a b'),
      element('x:a'),
      element('a:b:c', { 'xmlns:a': 'urn:a' }),
      element('xmlns:a'),
      element('a', { 'b c': '1' }),
      element('a', { '': '1' }),
      element('a', { 'x:b': '1' }),
      element('a', { 'b="1" c': '1' }),
      element('a', { b: '\u0000' }),
      element('a', {}, 'x\u0001'),
      element('a', {}, '\ud800'),
      element('a', { 'xmlns:x': '' }),
      element('a', { 'xmlns:xml': 'urn:x' }),
      element('a', { 'xmlns:xmlns': 'urn:x' }),
      element('a', { 'xmlns:': 'urn:x' }),
      element('a', { xmlns: 'http://www.w3.org/XML/1998/namespace' }),
      element('a', { xmlns: 'urn: x' }),
      element('a', { 'xmlns:x': 'urn:z', 'xmlns:y': 'urn:z', 'x:b': '1', 'y:b': '2' }),
      element('a', {}, element('b', {}, element('c\u00d7'))),
      cyclic
    ]) {
      assert.throws(() => serialize(tree), { code: 'S2S_ADDRESS' })
    }
    for (const attrs of [
      { xmlns: 'http://www.w3.org/XML/1998/namespace' },
      { 'xmlns:x': 'http://www.w3.org/2000/xmlns/' },
      { 'xmlns:x': '' }
    ]) {
      const child = element('a', {}, element('x:b'))
      element('outer', { 'xmlns:x': 'urn:x', ...attrs }, child)
      assert.throws(() => serialize(child), { code: 'S2S_ADDRESS' })
    }
    const odd = element('a')
    odd.children.push({} as unknown as string)
    assert.throws(() => serialize(odd), { code: 'S2S_ADDRESS' })
  })

  it('is written in a loop, however deep', () => {
    let deep = element('a')
    for (let depth = 1; depth < 1000; depth++) deep = element('a', {}, deep)
    assert.equal(serialize(deep).length, 999 * 7 + 4)
    assert.throws(() => serialize(element('a', {}, deep)), /deeper than 1000/)
  })
})

const name = fc.constantFrom('a', 'b', 'body', 'é', 'x-y.z', '_1', '月', 'constructor', '__proto__')
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\t', '\n', '\r', '\r\n', '&', '<', '>', ']]>', '"', "'", ' ', '\u0085', '\u2028'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })
  ),
  maxLength: 8
})
const writable = text.filter(value => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/u.test(value))
const namespace = fc.constantFrom('', 'urn:a', 'urn:b', 'jabber:server', 'urn:é')
const attributes = fc.dictionary(
  fc.oneof(
    name,
    name.map(local => `p:${local}`),
    name.map(local => `q:${local}`)
  ),
  writable,
  { maxKeys: 3 }
)
const tree = fc.letrec<{ element: Element; child: Element | string }>(tie => ({
  child: fc.oneof({ depthSize: 'small' }, writable, tie('element')),
  element: fc
    .tuple(
      fc.constantFrom('', 'p:', 'q:'),
      name,
      fc.option(namespace, { nil: undefined }),
      attributes,
      fc.array(tie('child'), { maxLength: 4 })
    )
    .map(([prefix, local, xmlns, attrs, children]) => {
      const made = new Element(prefix + local)
      for (const [key, value] of Object.entries(attrs))
        Object.defineProperty(made.attrs, key, { value, enumerable: true, writable: true, configurable: true })
      made.attrs['xmlns:p'] = 'urn:p'
      made.attrs['xmlns:q'] = 'urn:q'
      if (xmlns !== undefined) made.attrs['xmlns'] = xmlns
      for (const child of children) made.cnode(child as Element)
      return made
    })
})).element

describe('Any tree', () => {
  it('[ENG-XML-a] reads back as it was written', () => {
    fc.assert(
      fc.property(tree, made => {
        const sent = serializeAlone(made)
        assert.deepEqual(treeOfElement(elementOf(sent, '<other>').element()), treeOfElement(made))
      }),
      { numRuns: 1000 }
    )
  })

  it('[ENG-XML-a] reads back on a stream in the namespace of its content', () => {
    fc.assert(
      fc.property(tree, made => {
        if (!made.attrs['xmlns']) made.attrs['xmlns'] = 'jabber:server'
        assert.deepEqual(treeOfElement(elementOf(serialize(made)).element()), treeOfElement(made))
      }),
      { numRuns: 1000 }
    )
  })
})

describe('Our stream header', () => {
  it('[RFC6120-11.5-a] [RFC6120-11.6-b] comes after a declaration without standalone, and without a byte order mark', () => {
    assert.equal(
      headerXml({ from: 'capulet.example', to: 'montague.example', version: true, lang: 'en' }),
      "<?xml version='1.0'?><stream:stream from='capulet.example' to='montague.example' version='1.0' xml:lang='en' " +
        "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
  })

  it('says what it is told, escaped, and is read back', () => {
    assert.deepEqual(read(headerXml({ from: '', id: `'"<&\n`, version: false })).frames, [
      {
        kind: 'header',
        name: 'stream',
        namespace: 'http://etherx.jabber.org/streams',
        contentNamespace: 'jabber:server',
        prefixes: new Map([
          ['db', 'jabber:server:dialback'],
          ['stream', 'http://etherx.jabber.org/streams']
        ]),
        from: '',
        id: `'"<&\n`
      }
    ])
  })
})

describe('A stream error of ours', () => {
  it('[RFC6120-4.9.2-a] has one condition, a sentence, an application condition, and the end of the stream', () => {
    assert.equal(
      streamErrorXml('reset'),
      "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
    assert.equal(
      streamErrorXml('policy-violation', 'too <big>', { name: 'stanza-too-big', namespace: 'urn:xmpp:errors' }),
      "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>too &lt;big&gt;</text>" +
        "<stanza-too-big xmlns='urn:xmpp:errors'/></stream:error></stream:stream>"
    )
    assert.throws(() => streamErrorXml('a><b'), { code: 'S2S_ADDRESS' })
    assert.throws(() => streamErrorXml('reset', undefined, { name: 'a b', namespace: 'urn:x' }), { code: 'S2S_ADDRESS' })
  })

  it('is read back by a framer', () => {
    const framer = new Framer(LIMITS)
    framer.feed(Buffer.from(HEADER + streamErrorXml('reset', 'x')))
    framer.next()
    const frame = framer.next()
    assert.ok(frame?.kind === 'element')
    assert.deepEqual([frame.name, frame.namespace], ['error', 'http://etherx.jabber.org/streams'])
    assert.equal(framer.next()?.kind, 'close')
  })
})
