import assert from 'node:assert/strict'
import { byteByByte, CLOSE, HEADER, read } from './feeding.ts'

interface Refused {
  readonly what: string
  readonly input: string | Buffer
  readonly condition: string
}

const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part))))

const refused = (condition: string, rows: Readonly<Record<string, string | Buffer>>): readonly Refused[] =>
  Object.entries(rows).map(([what, input]) => ({ what, input, condition }))

const REFUSED: readonly Refused[] = [
  ...refused('restricted-xml', {
    '[RFC6120-11.1-a] a comment at the top level': '<!-- x -->',
    '[RFC6120-11.1-a] a comment inside a stanza': '<message><!-- x --></message>',
    'a comment with two hyphens inside': '<message><!-- a -- b --></message>',
    '[RFC6120-11.1-b] a processing instruction': '<?php echo 1 ?>',
    'a processing instruction inside a stanza': '<message><?php echo 1 ?></message>',
    '[RFC6120-11.1-b] an XML declaration in the middle of the stream': "<?xml version='1.0'?>",
    '[RFC6120-11.1-c] a document type in the middle of the stream': '<!DOCTYPE message>',
    'a document type inside a stanza': '<message><!DOCTYPE message></message>',
    'a document type with an entity': "<!DOCTYPE message [<!ENTITY a 'b'>]>",
    '[RFC6120-11.1-d] a reference to an entity that is not predefined': '<message><body>&nbsp;</body></message>',
    'a reference to an undefined entity in an attribute': "<message id='&foo;'/>",
    'a reference to an entity whose name begins as a predefined one': '<message><body>&ampere;</body></message>',
    'a reference to an entity with a name beyond ASCII': '<message><body>&é;</body></message>',
    'a CDATA section at the top level': '<![CDATA[x]]>'
  }),
  ...refused('not-well-formed', {
    'an ampersand that begins nothing': '<message><body>a & b</body></message>',
    'an ampersand and a semicolon': '<message><body>&;</body></message>',
    'a predefined entity without its semicolon': '<message><body>&lt b</body></message>',
    'a reference that a tag breaks off': '<message><body>&amp</body></message>',
    ']]> in text': '<message><body>a]]>b</body></message>',
    ']]]> in text': '<message><body>a]]]>b</body></message>',
    'an attribute twice': "<message id='1' id='2'/>",
    '[RFC6120-11.3-b] an attribute twice by two prefixes of one namespace': "<message xmlns:a='urn:x' xmlns:b='urn:x' a:id='1' b:id='2'/>",
    'an attribute twice by prefixes bound further out': "<message xmlns:a='urn:x'><b xmlns:b='urn:x' a:id='1' b:id='2'/></message>",
    'an attribute twice by namespaces written differently': "<message xmlns:a='urn:x' xmlns:b='urn:&#120;' a:id='1' b:id='2'/>",
    'a namespace declared twice': "<message xmlns='urn:a' xmlns='urn:b'/>",
    'a prefix declared twice': "<message xmlns:a='urn:a' xmlns:a='urn:b'/>",
    'an end tag of another name': '<message><body>x</subject></message>',
    'an end tag of a shorter name': '<message><body>x</bod></message>',
    'an end tag of a longer name': '<message><body>x</bodyy></message>',
    'an end tag with another prefix': "<a:message xmlns:a='urn:a' xmlns:b='urn:a'></b:message>",
    'crossed tags': '<message><a><b></a></b></message>',
    'an end tag that nothing began': '</body>',
    'an end tag of an element that is closed': '<message/></message>',
    'an attribute value without quotes': '<message id=1/>',
    'an attribute without a value': '<message id/>',
    'an attribute without a value before another': "<message id type='chat'/>",
    'no white space between attributes': "<message id='1'type='chat'/>",
    'something between a name and its equals sign': "<message id x='1'/>",
    '< in an attribute value': "<message id='a<b'/>",
    'a space after <': '< message/>',
    'a line feed after <': '<\nmessage/>',
    'attributes on an end tag': "<message></message id='1'>",
    'a space after </': '<message></ message>',
    'a slash inside a tag': "<message / id='1'/>",
    'a slash and a space at the end of a tag': '<message/ >',
    'U+FFFE': '<message><body>\ufffe</body></message>',
    'U+FFFF in an attribute': "<message id='\uffff'/>",
    'U+FFFE in a CDATA section': '<message><body><![CDATA[\ufffe]]></body></message>',
    'a control character': '<message><body>\u0001</body></message>',
    'a form feed in a namespace': "<message xmlns='urn:\u000cx'/>",
    'a control character in an attribute': "<message id='\u001f'/>",
    'a control character in a CDATA section': '<message><body><![CDATA[\u0008]]></body></message>',
    'a control character inside a tag': '<message\u0000/>',
    'a NUL byte': '<message><body>\u0000</body></message>',
    'a NUL byte between elements': '<message/>\u0000<message/>',
    'a reference to U+0000': '<message><body>&#0;</body></message>',
    'a reference to U+001F': '<message><body>&#x1F;</body></message>',
    'a reference to a surrogate': '<message><body>&#xD800;</body></message>',
    'references to two surrogates': '<message><body>&#xD83D;&#xDE00;</body></message>',
    'a reference to U+FFFE': "<message id='&#xFFFE;'/>",
    'a reference beyond U+10FFFF': '<message><body>&#x110000;</body></message>',
    'a reference to a number that overflows': '<message><body>&#99999999999999999999999999999;</body></message>',
    'letters in a decimal reference': '<message><body>&#65zz;</body></message>',
    'a hexadecimal reference with a capital X': '<message><body>&#X41;</body></message>',
    'a reference without digits': '<message><body>&#;</body></message>',
    'a hexadecimal reference without digits': '<message><body>&#x;</body></message>',
    'a sign in a reference': '<message><body>&#+65;</body></message>',
    '[RFC6120-11.3-a] an element with a prefix that is not declared': '<x:message/>',
    'an element inside with a prefix that is not declared': '<message><x:y/></message>',
    'an attribute with a prefix that is not declared': "<message x:y='1'/>",
    'a prefix that went out of scope': "<message><a xmlns:x='urn:x'/><x:b/></message>",
    'a prefix that went out of scope with the element before': "<message xmlns:x='urn:x'/><x:message/>",
    'the prefix xml bound to something else': "<message xmlns:xml='urn:x'/>",
    'the prefix xmlns declared': "<message xmlns:xmlns='urn:x'/>",
    'the prefix xmlns declared as what it is': "<message xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>",
    'a prefix undeclared': "<message xmlns:a=''/>",
    'another prefix bound to the namespace of xml': "<message xmlns:a='http://www.w3.org/XML/1998/namespace'/>",
    'the namespace of xml by default': "<message xmlns='http://www.w3.org/XML/1998/namespace'/>",
    'the namespace of xml by default, written with a reference': "<message xmlns='http://www.w3.org/XML/1998/namespac&#x65;'/>",
    'a prefix bound to the namespace of xmlns': "<message xmlns:a='http://www.w3.org/2000/xmlns/'/>",
    'the namespace of xmlns by default': "<message xmlns='http://www.w3.org/2000/xmlns/'/>",
    'an element with the prefix xmlns': '<xmlns:message/>',
    'an element inside with the prefix xmlns': '<message><xmlns:a/></message>',
    'white space in a namespace': "<message xmlns='urn: x'/>",
    'white space by reference in a namespace': "<message xmlns:a='urn:&#x9;x'/>",
    'a name with two colons': "<message xmlns:a='urn:a'><a:b:c/></message>",
    'an attribute name with two colons': "<message xmlns:a='urn:a' a:b:c='1'/>",
    'a name that begins with a colon': '<:message/>',
    'a name that ends with a colon': "<message:  xmlns:message='urn:a'/>",
    'an attribute name that begins with a colon': "<message :a='1'/>",
    'a local name that begins with a digit': "<a:1 xmlns:a='urn:a'/>",
    'a name that begins with a digit': '<1message/>',
    'a name that begins with a hyphen': '<-message/>',
    'a name that begins with a combining character': '<\u0300message/>',
    'an attribute name that begins with a digit': "<message 1='1'/>",
    'a name with a character that names have not': '<mess!age/>',
    'a name with U+00D7': '<mess\u00d7age/>',
    'a name with U+037E': '<mess\u037eage/>',
    'a name with U+2028': '<mess\u2028age/>',
    'an attribute name with a character that names have not': "<message i\u00f7d='1'/>",
    'an empty tag': '<>',
    'an empty end tag': '<message></>',
    'a CDATA section misspelt': '<message><![CDAT[x]]></message>',
    'a conditional section': '<message><![INCLUDE[x]]></message>'
  }),
  ...refused('unsupported-encoding', {
    'a byte that is in no UTF-8': bytes('<message><body>', [0xff], '</body></message>'),
    '[RFC6120-11.6-a] an overlong <': bytes('<message><body>', [0xc0, 0xbc], '</body></message>'),
    '[RFC6120-11.6-a] an overlong NUL': bytes('<message><body>', [0xc0, 0x80], '</body></message>'),
    'an overlong form of three bytes': bytes('<message><body>', [0xe0, 0x80, 0xbc], '</body></message>'),
    'an overlong form of four bytes': bytes('<message><body>', [0xf0, 0x80, 0x80, 0xbc], '</body></message>'),
    '[RFC6120-11.6-a] a surrogate': bytes('<message><body>', [0xed, 0xa0, 0x80], '</body></message>'),
    'a pair of surrogates': bytes('<message><body>', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80], '</body></message>'),
    '[RFC6120-11.6-a] a character beyond U+10FFFF': bytes('<message><body>', [0xf4, 0x90, 0x80, 0x80], '</body></message>'),
    'a lead byte of five': bytes('<message><body>', [0xf8, 0x88, 0x80, 0x80, 0x80], '</body></message>'),
    '[RFC6120-11.6-a] a lead byte that swallows a tag': bytes('<message><body>', [0xeb], '<></body></message>'),
    'a lead byte that swallows a quote': bytes("<message id='a", [0xe1], "' type='chat'/>"),
    'a continuation byte alone': bytes('<message><body>', [0x80], '</body></message>'),
    'a character broken off by another': bytes('<message><body>', [0xe2, 0x82, 0xc3, 0xa9], '</body></message>'),
    'a bad byte in a name': bytes('<mess', [0xc3], 'age/>'),
    'a bad byte between elements': bytes('<message/>', [0xfe], '<message/>')
  }),
  ...refused('bad-format', {
    'text between elements': '<message/>x<message/>',
    'a reference between elements': '&#32;<message/>',
    'a byte order mark between elements': '\ufeff<message/>'
  })
]

const ACCEPTED: Readonly<Record<string, { readonly input: string; readonly tree: string }>> = {
  'a plain stanza': {
    input: "<message id='1'><body>x</body></message>",
    tree: '<message xmlns="jabber:server" id="1"><body>x</body></message>'
  },
  'the predefined entities': { input: '<a>&lt;&gt;&amp;&apos;&quot;</a>', tree: '<a xmlns="jabber:server">&lt;&gt;&amp;\'"</a>' },
  '[RFC6120-11.1-d] an escaped reference': { input: '<a>&amp;amp;</a>', tree: '<a xmlns="jabber:server">&amp;amp;</a>' },
  'a CDATA section': { input: '<a>1<![CDATA[<b>&amp;]]]]>2</a>', tree: '<a xmlns="jabber:server">1&lt;b&gt;&amp;amp;]]2</a>' },
  'an empty CDATA section': { input: '<a><![CDATA[]]></a>', tree: '<a xmlns="jabber:server"/>' },
  '> in an attribute value': { input: "<a b='1>2'/>", tree: '<a xmlns="jabber:server" b="1&gt;2"/>' },
  '> and ]] in text': { input: '<a>]] > ]&gt;</a>', tree: '<a xmlns="jabber:server">]] &gt; ]&gt;</a>' },
  ']]> in an attribute value': { input: "<a b=']]>'/>", tree: '<a xmlns="jabber:server" b="]]&gt;"/>' },
  'brackets before a tag': { input: '<a>]]<b/>></a>', tree: '<a xmlns="jabber:server">]]<b/>&gt;</a>' },
  'a character of four bytes': { input: '<a>\u{1f600}</a>', tree: '<a xmlns="jabber:server">\u{1f600}</a>' },
  'a character of three bytes in an attribute': { input: "<a b='月'/>", tree: '<a xmlns="jabber:server" b="月"/>' },
  'a reference to a character beyond the first plane': {
    input: '<a>&#x1F600;&#128512;</a>',
    tree: '<a xmlns="jabber:server">\u{1f600}\u{1f600}</a>'
  },
  'a reference with leading zeros': { input: '<a>&#x00000000000000000000041;</a>', tree: '<a xmlns="jabber:server">A</a>' },
  'no default namespace': { input: "<a><b xmlns=''><c/></b></a>", tree: '<a xmlns="jabber:server"><b xmlns=""><c/></b></a>' },
  'another default namespace': { input: "<a xmlns='urn:a'><b xmlns='urn:b'/></a>", tree: '<a xmlns="urn:a"><b xmlns="urn:b"/></a>' },
  'the prefix xml declared as what it is': {
    input: "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
    tree: '<a xmlns="jabber:server" xmlns:xml="http://www.w3.org/XML/1998/namespace"/>'
  },
  'one local name in two namespaces': {
    input: "<a xmlns:x='urn:x' xmlns:y='urn:y' b='1' x:b='2' y:b='3'/>",
    tree: '<a xmlns="jabber:server" xmlns:x="urn:x" xmlns:y="urn:y" b="1" x:b="2" y:b="3"/>'
  },
  'a prefix declared after its use in the tag': {
    input: "<x:a x:b='1' xmlns:x='urn:x'/>",
    tree: '<x:a xmlns="jabber:server" x:b="1" xmlns:x="urn:x"/>'
  },
  'a prefix bound anew inside': {
    input: "<a xmlns:x='urn:1'><x:b xmlns:x='urn:2'/><x:c/></a>",
    tree: '<a xmlns="jabber:server" xmlns:x="urn:1"><x:b xmlns:x="urn:2"/><x:c/></a>'
  },
  'white space in attributes, normalised': { input: "<a b='1\n2\t3\r\n4\r5'/>", tree: '<a xmlns="jabber:server" b="1 2 3 4 5"/>' },
  'white space in attributes by reference, kept': {
    input: "<a b='1&#10;2&#9;3&#13;4'/>",
    tree: '<a xmlns="jabber:server" b="1\n2\t3\r4"/>'
  },
  'line ends in text, normalised': { input: '<a>1\r\n2\r3\n4</a>', tree: '<a xmlns="jabber:server">1\n2\n3\n4</a>' },
  'line ends in a CDATA section, normalised': { input: '<a><![CDATA[1\r\n2\r3]]></a>', tree: '<a xmlns="jabber:server">1\n2\n3</a>' },
  'an attribute named __proto__': { input: "<a __proto__='1' b='2'/>", tree: '<a xmlns="jabber:server" __proto__="1" b="2"/>' },
  'an element and an attribute named constructor': {
    input: "<constructor constructor='1'/>",
    tree: '<constructor xmlns="jabber:server" constructor="1"/>'
  },
  'either quote inside the other': { input: `<a b='"' c="'"/>`, tree: '<a xmlns="jabber:server" b="&quot;" c="&apos;"/>' },
  'white space around an equals sign': { input: "<a b = '1' c\n=\t'2'\r/>", tree: '<a xmlns="jabber:server" b="1" c="2"/>' },
  'white space at the end of tags': { input: '<a ><b\n/></a\t>', tree: '<a xmlns="jabber:server"><b/></a>' },
  'names beyond ASCII': {
    input: "<é·ё 月='1' xmlns:𐀀='urn:x' 𐀀:\u{effff}='2'/>",
    tree: '<é·ё xmlns="jabber:server" 月="1" xmlns:𐀀="urn:x" 𐀀:\u{effff}="2"/>'
  },
  'names with what other readers call white space': {
    input: "<\u1680a x\ufeff='1'><\u1680\u1680/></\u1680a>",
    tree: '<\u1680a xmlns="jabber:server" x\ufeff="1"><\u1680\u1680/></\u1680a>'
  },
  'a stream header as an element, for the layer above to refuse': {
    input: '<stream:stream/>',
    tree: '<stream:stream xmlns="jabber:server" xmlns:stream="http://etherx.jabber.org/streams"/>'
  },
  'U+FFFD, U+0085 and U+007F': { input: '<a>\ufffd\u0085\u007f</a>', tree: '<a xmlns="jabber:server">\ufffd\u0085\u007f</a>' }
}

const FOLLOW = '<message id="FOLLOW"/>'

/** One split after another takes the square of the length: only for what is of interest. */
function assertSameAtEverySplit(input: Buffer): ReturnType<typeof read> {
  const whole = read(input)
  assert.deepEqual(read(input, byteByByte(input)), whole, 'byte by byte')
  for (let cut = Buffer.byteLength(HEADER); cut < input.length; cut++) assert.deepEqual(read(input, [cut]), whole, `split at ${cut}`)
  return whole
}

describe('The framer refuses', () => {
  for (const { what, input, condition } of REFUSED) {
    it(what, () => {
      const {
        frames,
        refused: found,
        code
      } = assertSameAtEverySplit(Buffer.concat([Buffer.from(HEADER), Buffer.from(input), Buffer.from(FOLLOW)]))
      assert.equal(found, condition)
      assert.equal(code, 'S2S_NOT_WELL_FORMED')
      assert.ok(!JSON.stringify(frames).includes('FOLLOW'))
    })
  }

  it('anything but white space after the end of the stream', () => {
    for (const rest of ['<message/>', 'x', CLOSE, '<?php ?>', '\u0000']) {
      const { frames, refused: found } = assertSameAtEverySplit(Buffer.from(`${HEADER}${CLOSE} \n${rest}`))
      assert.equal(frames.length, 2)
      assert.equal(found, 'not-well-formed')
    }
  })

  it('a bad byte where it stands, and nothing before it', () => {
    const stanza = '<message id="before"/>'
    const { frames, refused: found } = assertSameAtEverySplit(
      Buffer.concat([Buffer.from(`${HEADER}${stanza}`), Buffer.from([0xff]), Buffer.from(FOLLOW)])
    )
    assert.equal(frames.length, 2)
    assert.equal(found, 'unsupported-encoding')
  })
})

describe('The framer refuses at the first byte that cannot be right', () => {
  for (const start of [
    '<message><body>&#x110000',
    '<message><body>&#1114112',
    '<message><body>& ',
    '<message><body>&quote',
    '<message><body>]]>',
    '<message><!',
    '<message><![CDATAx',
    '<message><?',
    '<message a a',
    "<message a='<",
    '<message></n',
    '<message/x',
    '<message\u0000',
    '<mess\u00d7'
  ]) {
    it(JSON.stringify(start), () => {
      const all = Buffer.from(HEADER + start)
      // `<!` may still begin CDATA.
      if (!start.endsWith('<!')) assert.notEqual(assertSameAtEverySplit(all).refused, undefined)
      const last = Buffer.byteLength(start.slice(-1))
      assert.equal(read(all.subarray(0, all.length - last)).refused, undefined)
    })
  }
})

describe('The framer accepts', () => {
  for (const [what, { input, tree }] of Object.entries(ACCEPTED)) {
    it(what, () => {
      const { frames, refused: found } = assertSameAtEverySplit(Buffer.from(HEADER + input + FOLLOW))
      assert.equal(found, undefined)
      assert.equal(frames.length, 3)
      assert.equal((frames[1] as { tree: string }).tree, tree)
    })
  }

  it('[RFC6120-8-a] no element whose end has not arrived', () => {
    const stanza = "<message id='1'><body a='b'>x &amp; y<![CDATA[z]]></body></message>"
    for (let length = 1; length < stanza.length; length++) {
      const { frames, refused: found, midElement } = read(HEADER + stanza.slice(0, length))
      assert.equal(frames.length, 1)
      assert.equal(found, undefined)
      assert.ok(midElement)
    }
  })

  it('[RFC6120-11.7-a] white space between elements, which gives no frame', () => {
    const { frames, midElement } = assertSameAtEverySplit(Buffer.from(`${HEADER} \n\t\r<message/> <message/>\n${CLOSE} \n`))
    assert.equal(frames.length, 4)
    assert.ok(!midElement)
  })
})
