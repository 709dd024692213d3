import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { Framer } from '../../lib/xml/framer.ts'
import type { FramerLimits } from '../../lib/xml/framer.ts'
import { byteByByte, CLOSE, elementOf, elementsOf, HEADER, LIMITS, read } from './feeding.ts'

const STREAMS = 'http://etherx.jabber.org/streams'

/** One answer, however the bytes are cut. */
function readAnyhow(input: string | Buffer, limits: FramerLimits = LIMITS): ReturnType<typeof read> {
  const whole = read(input, [], limits)
  assert.deepEqual(read(input, byteByByte(input), limits), whole, 'byte by byte')
  for (let cut = 1; cut < Buffer.byteLength(input); cut++) assert.deepEqual(read(input, [cut], limits), whole, `split at ${cut}`)
  return whole
}

describe('A stream header', () => {
  it('gives its names, namespaces, prefixes and addresses', () => {
    const { frames, refused } = readAnyhow(
      "<?xml version='1.0'?>\n<stream:stream from='a.example' to='b&amp;.example' id='1\n2' version='1.0' xml:lang='en' xmlns='jabber:server' " +
        `xmlns:db='jabber:server:dialback' xmlns:stream='${STREAMS}' other='x'>`
    )
    assert.equal(refused, undefined)
    assert.deepEqual(frames, [
      {
        kind: 'header',
        name: 'stream',
        namespace: STREAMS,
        contentNamespace: 'jabber:server',
        prefixes: new Map([
          ['db', 'jabber:server:dialback'],
          ['stream', STREAMS]
        ]),
        from: 'a.example',
        to: 'b&.example',
        id: '1 2',
        version: '1.0',
        lang: 'en'
      }
    ])
  })

  it('in another namespace is given to the layer above, which answers it', () => {
    const [header] = readAnyhow("<stream:stream xmlns:stream='urn:other' xmlns='jabber:server'>").frames
    assert.deepEqual(header, {
      kind: 'header',
      name: 'stream',
      namespace: 'urn:other',
      contentNamespace: 'jabber:server',
      prefixes: new Map([['stream', 'urn:other']])
    })
  })

  it('says which content namespace it declares', () => {
    for (const namespace of ['jabber:client', 'jabber:server', 'urn:x']) {
      const [header] = read(`<stream:stream xmlns:stream='${STREAMS}' xmlns='${namespace}'>`).frames
      assert.equal((header as { contentNamespace: string }).contentNamespace, namespace)
    }
    const [header] = read(`<stream:stream xmlns:stream='${STREAMS}'>`).frames
    assert.equal((header as { contentNamespace: string }).contentNamespace, '')
  })

  it('[RFC6120-4.8.2-a] may have no prefix, and then content declares its namespace itself', () => {
    const { frames, refused } = readAnyhow(
      `<stream xmlns='${STREAMS}' to='b.example'><features/><message xmlns='jabber:server' from='a'><body>x</body></message></stream>`
    )
    assert.equal(refused, undefined)
    assert.deepEqual(
      frames.map(frame => (frame as { namespace?: string }).namespace),
      [STREAMS, STREAMS, 'jabber:server', undefined]
    )
    const [features, message] = elementsOf("<features/><message xmlns='jabber:server'><body/></message>", `<stream xmlns='${STREAMS}'>`)
    assert.equal(features?.element().toString(), `<features xmlns="${STREAMS}"/>`)
    assert.equal(message?.element().toString(), '<message xmlns="jabber:server"><body/></message>')
  })

  it('may have any other prefix, which its end tag repeats', () => {
    assert.equal(readAnyhow(`<s:stream xmlns:s='${STREAMS}'></s:stream>`).frames.length, 2)
    assert.equal(readAnyhow(`<s:stream xmlns:s='${STREAMS}' xmlns:t='${STREAMS}'></t:stream>`).refused, 'not-well-formed')
  })

  it('that closes itself is the whole stream', () => {
    const { frames, refused } = readAnyhow(`<stream:stream xmlns:stream='${STREAMS}'/> `)
    assert.equal(refused, undefined)
    assert.deepEqual(
      frames.map(frame => (frame as { kind: string }).kind),
      ['header', 'close']
    )
    assert.equal(readAnyhow(`<stream:stream xmlns:stream='${STREAMS}'/><message/>`).refused, 'not-well-formed')
  })

  it('follows the rules of all tags', () => {
    for (const header of [
      "<stream:stream xmlns='jabber:server'>",
      "<stream to='a' to='b'>",
      '<a:b:c>',
      '</stream>',
      'x',
      '<>',
      "<a xmlns:b=''>"
    ]) {
      assert.equal(readAnyhow(header).refused, 'not-well-formed', header)
    }
  })
})

describe('Before the stream header', () => {
  it('an XML declaration of version 1.0 in UTF-8 may stand', () => {
    for (const declaration of [
      "<?xml version='1.0'?>",
      '<?xml version="1.0"?>',
      "<?xml version='1.0' encoding='UTF-8'?>",
      '<?xml\tversion = \'1.0\'\nencoding= "utf-8" ?>',
      "<?xml version='1.0' encoding='UTF-8' standalone='no'?>",
      "<?xml version='1.0' standalone='yes' ?>\r\n "
    ]) {
      const { frames, refused } = readAnyhow(declaration + HEADER)
      assert.equal(refused, undefined, declaration)
      assert.equal(frames.length, 1)
    }
  })

  it('[RFC6120-11.6-a] another encoding is refused', () => {
    for (const encoding of ['UTF-16', 'ISO-8859-1', 'US-ASCII', 'utf8']) {
      assert.equal(readAnyhow(`<?xml version='1.0' encoding='${encoding}'?>${HEADER}`).refused, 'unsupported-encoding', encoding)
    }
    assert.equal(
      readAnyhow(Buffer.from(`\ufeff<?xml version='1.0' encoding='UTF-16'?>${HEADER}`, 'utf16le')).refused,
      'unsupported-encoding'
    )
    assert.equal(readAnyhow(Buffer.from(HEADER, 'utf16le')).refused, 'not-well-formed')
  })

  it('another version is refused', () => {
    for (const version of ['1.1', '2.0', '1'])
      assert.equal(readAnyhow(`<?xml version='${version}'?>${HEADER}`).refused, 'restricted-xml', version)
  })

  it('a malformed declaration is refused', () => {
    for (const declaration of [
      '<?xml?>',
      '<?xml ?>',
      "<?xml encoding='UTF-8'?>",
      "<?xml version='1.0'>",
      '<?xml version=\'1.0"?>',
      '<?xml version=1.0?>',
      "<?xml version='1.0'encoding='UTF-8'?>",
      "<?xml encoding='UTF-8' version='1.0'?>",
      "<?xml version='1.0' standalone='maybe'?>",
      "<?xml version='1.0' standalone='no' encoding='UTF-8'?>",
      "<?xml version='1.0' encoding=''?>",
      "<?xml version='1.0' x='y'?>",
      "<?xml version='1.0' ? >"
    ]) {
      assert.equal(readAnyhow(declaration + HEADER).refused, 'not-well-formed', declaration)
    }
  })

  it('[RFC6120-11.1-b] any other processing instruction is refused, and so is a declaration that comes late', () => {
    for (const start of [
      "<?php version='1.0'?>",
      "<?xmlx version='1.0'?>",
      "<?XML version='1.0'?>",
      " <?xml version='1.0'?>",
      "<?xml version='1.0'?><?xml version='1.0'?>"
    ]) {
      assert.equal(readAnyhow(start + HEADER).refused, 'restricted-xml', start)
    }
  })

  it('[RFC6120-11.1-c] a document type is refused at its second byte, and no entity is expanded', () => {
    const laughs = `<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a0 'ha'>${Array.from({ length: 30 }, (_, index) => `<!ENTITY a${index + 1} '${`&a${index};`.repeat(10)}'>`).join('')}]>`
    assert.equal(readAnyhow(laughs.slice(0, 60)).refused, 'restricted-xml')
    const framer = new Framer(LIMITS)
    framer.feed(Buffer.from("<?xml version='1.0'?><!"))
    assert.throws(() => framer.next(), { streamCondition: 'restricted-xml' })
    assert.equal(read(laughs + HEADER).refused, 'restricted-xml')
  })

  it('[RFC6120-11.1-a] a comment is refused', () => {
    assert.equal(readAnyhow(`<!-- x -->${HEADER}`).refused, 'restricted-xml')
  })

  it('a byte order mark is text, and refused: RFC 6120 §11.6 gives it no meaning', () => {
    assert.equal(readAnyhow(`\ufeff${HEADER}`).refused, 'not-well-formed')
    assert.equal(readAnyhow(`\ufeff<?xml version='1.0'?>${HEADER}`).refused, 'not-well-formed')
  })

  it('white space may stand when no declaration follows', () => {
    assert.equal(readAnyhow(` \r\n\t${HEADER}`).frames.length, 1)
  })
})

describe('An element', () => {
  const stanza =
    "<message from='juliet@a.example/b' to=\"romeo@b.example\" id='1&amp;2' type='chat' xml:lang='it' x:from='no' xmlns:x='urn:x'>" +
    "<body>caf\u00e9 &lt;3 \u{1f600}</body><x:y z='&#x41;'/><db:q/><![CDATA[]]]]><e xmlns=''/>\r\n</message>"

  it('gives name, namespace, addresses, id, type and language', () => {
    const frame = elementOf(stanza)
    assert.deepEqual(
      [frame.name, frame.prefix, frame.namespace, frame.from, frame.to, frame.id, frame.type, frame.lang, frame.size],
      ['message', '', 'jabber:server', 'juliet@a.example/b', 'romeo@b.example', '1&2', 'chat', 'it', Buffer.byteLength(stanza)]
    )
  })

  it('[SEC-ID-a] gives attributes without a prefix only', () => {
    const frame = elementOf("<db:result xmlns:x='urn:x' x:from='evil' x:to='evil' x:id='evil' x:type='evil' xml:id='evil' to='b'/>")
    assert.deepEqual([frame.from, frame.to, frame.id, frame.type, frame.lang], [undefined, 'b', undefined, undefined, undefined])
  })

  it('has empty attributes where they are empty, and none where there are none', () => {
    const frame = elementOf('<iq from=\'\' id=""/>')
    assert.deepEqual([frame.from, frame.to, frame.id, frame.type], ['', undefined, '', undefined])
  })

  it('gives values with characters beyond ASCII and with references', () => {
    const frame = elementOf("<message from='ü@é.example' to='a&#x1F600;' id='\n&#10;' type='月'/>")
    assert.deepEqual([frame.from, frame.to, frame.id, frame.type], ['ü@é.example', 'a\u{1f600}', ' \n', '月'])
    const wide = elementOf("<message from='ü@é.example' to='月'/>")
    assert.deepEqual([wide.from, wide.to, wide.name], ['ü@é.example', '月', 'message'])
    assert.equal(elementOf("<ë:ö xmlns:ë='urn:x'/>").name, 'ö')
    assert.equal(elementOf("<ë:ö xmlns:ë='urn:x'/>").prefix, 'ë')
  })

  it('is the same, with all before and after it, at every split', () => {
    const { frames, refused } = readAnyhow(`<?xml version='1.0'?>${HEADER}<presence/> ${stanza}<iq></iq>${CLOSE}`)
    assert.equal(refused, undefined)
    assert.equal(frames.length, 5)
  })

  it('is the same at every pair of splits', () => {
    const input = `${HEADER}<a b='&amp;é' x:c = "1" xmlns:x='u'>&lt;<![CDATA[]]]]>]<b/></a >`
    const whole = read(input)
    assert.equal(whole.frames.length, 2)
    const from = Buffer.byteLength(HEADER)
    const to = Buffer.byteLength(input)
    for (let one = from; one < to; one++) for (let other = one + 1; other < to; other++) assert.deepEqual(read(input, [one, other]), whole)
  })

  it('in another namespace says so', () => {
    const frame = elementOf("<ns2:message xmlns:ns2='http://example.org/ns2'/>")
    assert.deepEqual([frame.name, frame.prefix, frame.namespace], ['message', 'ns2', 'http://example.org/ns2'])
  })

  it('of the content namespace with a prefix says so', () => {
    const frame = elementOf("<x:message xmlns:x='jabber:server'/>")
    assert.deepEqual([frame.name, frame.prefix, frame.namespace], ['message', 'x', 'jabber:server'])
  })

  it('with a prefix of the header has the namespace of the header', () => {
    const frame = elementOf("<db:result from='a' to='b'>key</db:result>")
    assert.deepEqual([frame.name, frame.prefix, frame.namespace], ['result', 'db', 'jabber:server:dialback'])
  })
})

describe('The tree of an element', () => {
  const header = HEADER.replace('version=', "xml:lang='en' version=")

  it('declares what it inherits from the header, and only what it uses', () => {
    assert.equal(
      elementOf('<message><db:a/></message>', header).element().toString(),
      '<message xmlns="jabber:server" xmlns:db="jabber:server:dialback" xml:lang="en"><db:a/></message>'
    )
    assert.equal(
      elementOf("<message db:a='1'/>", header).element().toString(),
      '<message xmlns="jabber:server" xmlns:db="jabber:server:dialback" xml:lang="en" db:a="1"/>'
    )
    assert.equal(elementOf('<message/>', header).element().toString(), '<message xmlns="jabber:server" xml:lang="en"/>')
  })

  it('keeps what it declares itself', () => {
    const own = "<message xmlns='urn:a' xmlns:db='urn:b' xml:lang='fr'><db:c/></message>"
    assert.equal(elementOf(own, header).element().toString(), own.replaceAll("'", '"'))
    assert.equal(elementOf("<message xml:lang=''/>", header).element().toString(), '<message xmlns="jabber:server" xml:lang=""/>')
  })

  it('is asked for again, and is another copy', () => {
    const frame = elementOf('<message><body>x</body></message>')
    const one = frame.element()
    one.attrs['from'] = 'changed'
    assert.notEqual(frame.element(), one)
    assert.equal(frame.element().attrs['from'], undefined)
    assert.equal(one.parent, null)
  })

  it('has one text child for text that is written in parts', () => {
    assert.deepEqual(
      elementOf('<a>1&amp;<![CDATA[2]]>3<b/>4</a>')
        .element()
        .children.map(child => (typeof child === 'string' ? child : child.name)),
      ['1&23', 'b', '4']
    )
  })

  it('does not outlive the chunk it came in, nor change with it', () => {
    const chunk = Buffer.from(`${HEADER}<message id='1'><body>x</body></message>`)
    const framer = new Framer(LIMITS)
    framer.feed(chunk)
    framer.next()
    const frame = framer.next()
    assert.ok(frame?.kind === 'element')
    const tree = frame.element()
    const bytes = frame.bytes()
    chunk.fill(0)
    assert.equal(tree.toString(), '<message xmlns="jabber:server" id="1"><body>x</body></message>')
    assert.equal(bytes.toString(), '<message xmlns="jabber:server" id=\'1\'><body>x</body></message>')
  })
})

describe('The bytes of an element', () => {
  const bytesOf = (content: string, header = HEADER): string => elementOf(content, header).bytes().toString()

  it('are those received, with what they inherit declared in them', () => {
    assert.equal(
      bytesOf('<message id=\'1\'  a="2"><body>x &lt; &amp; é</body></message >'),
      '<message xmlns="jabber:server" id=\'1\'  a="2"><body>x &lt; &amp; é</body></message >'
    )
    assert.equal(bytesOf('<db:result>k</db:result>'), '<db:result xmlns="jabber:server" xmlns:db="jabber:server:dialback">k</db:result>')
    assert.equal(bytesOf("<a xmlns='urn:a'/>"), "<a xmlns='urn:a'/>")
    assert.equal(bytesOf('<é/>'), '<é xmlns="jabber:server"/>')
  })

  it('are written anew where readers might differ', () => {
    assert.equal(bytesOf('<a><![CDATA[<&]]></a>'), '<a xmlns="jabber:server">&lt;&amp;</a>')
    assert.equal(bytesOf('<a>&#x3C;&#65;</a>'), '<a xmlns="jabber:server">&lt;A</a>')
    assert.equal(bytesOf("<a b='1>2'/>"), '<a xmlns="jabber:server" b="1&gt;2"/>')
    assert.equal(bytesOf("<a b='1\n2\t&#10;'/>"), '<a xmlns="jabber:server" b="1 2 &#xA;"/>')
    assert.equal(bytesOf('<a>1\r\n2\r&#13;</a>'), '<a xmlns="jabber:server">1\n2\n&#xD;</a>')
  })

  it('are certified one by one', () => {
    const [odd, plain] = elementsOf("<a><![CDATA[x]]></a><b c='1'></b>")
    assert.equal(odd?.bytes().toString(), '<a xmlns="jabber:server">x</a>')
    assert.equal(plain?.bytes().toString(), `<b xmlns="jabber:server" c='1'></b>`)
  })

  it('say that there is no namespace where the header has no default', () => {
    const header = `<stream:stream xmlns:stream='${STREAMS}'>`
    assert.equal(bytesOf('<a/>', header), '<a xmlns=""/>')
    assert.equal(bytesOf('<a><![CDATA[]]></a>', header), '<a xmlns=""/>')
  })

  it('read the same on a stream of their own', () => {
    for (const content of [
      "<message from='a' db:x='1'><b xmlns=''>&lt;<db:c/></b></message>",
      "<a><![CDATA[é]]><db:b c='&#9;'/></a>",
      "<db:result xmlns:x='urn:x' x:y='1'/>"
    ]) {
      const once = elementOf(content)
      const again = elementOf(once.bytes(), `<other xmlns='urn:other'>`)
      assert.equal(again.element().toString(), once.element().toString())
      assert.deepEqual([again.name, again.namespace, again.from], [once.name, once.namespace, once.from])
    }
  })
})

describe('An element that is kept', () => {
  it('[XEP0205-c] holds on to nothing of a much larger chunk that it came in, and is the same', () => {
    const content = "<message from='a' id='1'><body>hi &amp; bye</body></message>"
    const chunk = Buffer.from(HEADER + content + ' '.repeat(20_000))
    const framer = new Framer(LIMITS)
    framer.feed(chunk)
    framer.next()
    const frame = framer.next()
    assert.ok(frame?.kind === 'element')
    const before = frame.bytes().toString()
    frame.detach()
    chunk.fill(0)
    assert.equal(frame.bytes().toString(), before)
    assert.deepEqual([frame.name, frame.from, frame.id, frame.element().getChildText('body')], ['message', 'a', '1', 'hi & bye'])
  })
})

describe('What is pending', () => {
  it('is every byte after the last frame, white space included', () => {
    const framer = new Framer(LIMITS)
    assert.equal(framer.pending, 0)
    framer.feed(Buffer.from(`${HEADER}<proceed/> `))
    assert.equal(framer.pending, Buffer.byteLength(HEADER) + 11)
    framer.next()
    assert.equal(framer.pending, 11)
    framer.next()
    assert.equal(framer.pending, 1)
    assert.equal(framer.next(), undefined)
    assert.equal(framer.pending, 1)
    framer.feed(Buffer.from(' '))
    framer.feed(Buffer.from('\n'))
    assert.equal(framer.next(), undefined)
    assert.equal(framer.pending, 3)
    assert.ok(!framer.midElement)
    framer.feed(Buffer.from('<'))
    assert.ok(framer.midElement)
    assert.equal(framer.next(), undefined)
    assert.ok(framer.midElement)
    framer.feed(Buffer.from('a/>'))
    assert.equal(framer.next()?.kind, 'element')
    assert.equal(framer.pending, 0)
    assert.ok(!framer.midElement)
  })

  it('is unread as far as something may still come of it: white space is not, once it was seen', () => {
    const framer = new Framer(LIMITS)
    framer.feed(Buffer.from(`${HEADER}<a/> \n `))
    framer.next()
    framer.next()
    assert.equal(framer.unread, 3)
    assert.equal(framer.next(), undefined)
    assert.equal(framer.unread, 0)
    framer.feed(Buffer.from(' <b'))
    assert.equal(framer.unread, 3)
    assert.equal(framer.next(), undefined)
    assert.equal(framer.unread, 2)
    framer.feed(Buffer.from('/>'))
    framer.next()
    assert.equal(framer.unread, 0)
    framer.feed(Buffer.from(CLOSE + ' '))
    framer.next()
    assert.equal(framer.next(), undefined)
    assert.equal(framer.unread, 0)
  })

  it('is nothing between frames that were fed in one piece', () => {
    const framer = new Framer(LIMITS)
    framer.feed(Buffer.from(`${HEADER}<a/><b/>`))
    framer.next()
    framer.next()
    assert.equal(framer.pending, 4)
    framer.next()
    assert.equal(framer.pending, 0)
  })
})

describe('A framer that has refused', () => {
  it('refuses from then on', () => {
    const framer = new Framer(LIMITS)
    framer.feed(Buffer.from(`${HEADER}<a/><!--`))
    assert.equal(framer.next()?.kind, 'header')
    assert.equal(framer.next()?.kind, 'element')
    assert.throws(() => framer.next(), FederationError)
    framer.feed(Buffer.from('<b/>'))
    assert.throws(() => framer.next(), { code: 'S2S_NOT_WELL_FORMED', streamCondition: 'restricted-xml' })
  })
})
