import assert from 'node:assert/strict'
import type { Element } from 'ltx'
import type { Stanza } from '../../lib/index.ts'
import { NS_SERVER } from '../../lib/xml/namespaces.ts'
import { readWithSaxes, type Tree } from '../xml/trees.ts'
import { ENGINE, suiteEjabberdLab, suiteLab, type Engine, type Lab } from './lab.ts'
import { openOrigin, ORIGIN, ORIGIN_HEADER } from './origin.ts'
import { DOMAIN, type ServerKind } from './server.ts'

/** A server that sends back what it is sent, with other children beside the payload or none. */
interface EchoingPeer {
  readonly kind: ServerKind
  readonly echo: string
  /** The kinds of stanza that it sends back. */
  readonly kinds: readonly Stanza['name'][]
  /** What does not come back as it went, for the server writes it anew in its own way. */
  readonly rewritten?: RegExp
}

/**
 * ejabberd 23.01 drops the prefixes that a stanza declares on itself and leaves them in use within it; of <body/> it keeps the text
 * and the language, and moves it.
 */
const REWRITTEN = /prefixes of the stream header|prefixes of the stanza|one namespace under two|a language of its own|references|scripts/

const PEERS: readonly EchoingPeer[] = [
  { kind: 'prosody', echo: `echo@${DOMAIN.prosody}`, kinds: ['message', 'presence', 'iq'] },
  // It has no echo, but returns what is for a user whom it does not have, with an error behind it.
  { kind: 'ejabberd', echo: `nobody@${DOMAIN.ejabberd}`, kinds: ['message', 'iq'], rewritten: REWRITTEN }
]

/** What a stanza of the origin holds, and the attributes of its own besides the addresses. The header of its stream is {@link ORIGIN_HEADER}. */
type PayloadText = readonly [payload: string, attributes?: string]
const PAYLOADS: Readonly<Record<string, PayloadText>> = {
  'CDATA, with what looks like markup in it': ['<body>a<![CDATA[</message> & <b>]]]]><![CDATA[>]]> z</body>'],
  'prefixes of the stream header, on names of elements and of attributes': [
    "<p:note q:kind='1' kind='2' p:kind='3'><p:line/><line q:at='4'/><q:line/></p:note>"
  ],
  'prefixes of the stanza, which hide those of the header': [
    "<p:note><r:line p:at='1' r:at='2'/></p:note><x xmlns='urn:x' r:y='3'/>",
    "xmlns:p='urn:other' xmlns:r='urn:r'"
  ],
  'prefixes of an ancestor within the payload, declared again further down': [
    "<x xmlns='urn:x' xmlns:p='urn:1'><p:y><p:z xmlns:p='urn:2' p:a='1'><p:w p:b='2'/></p:z><p:w p:b='3'/></p:y></x>"
  ],
  'one namespace under two prefixes, and by default': [
    "<x xmlns='urn:p' p:a='1'><p:y xmlns:s='urn:p' s:b='2'/><s:z xmlns:s='urn:p'/><z/></x>"
  ],
  'elements of the stream within those of another namespace': ["<x xmlns='urn:x'><body xmlns='jabber:server'>in it</body></x>"],
  'the language of the stream': ['<body>ciao</body>'],
  'a language of its own, and others within': [
    "<body>hello</body><body xml:lang='de'>hallo</body><x xmlns='urn:x' xml:lang=''><y/><z xml:lang='pt-BR'/></x>",
    "xml:lang='en'"
  ],
  'character references': [
    "<body a='&#60;&#x26;&quot;&apos;&gt;'>&#x3c;tag&#62; &amp;amp; &lt;&#38;&gt;&#39;&quot; &#x1F600;&#233;</body>"
  ],
  'letters of many scripts': ["<body title='Ä☃𝄞'>é — 日本語 العربية 𝄞😀\u00a0\u200d</body>"],
  'mixed content, white space included': ["<x xmlns='urn:x'>\n  one <y/> two<z>three</z>\t<z/>four <y>\n</y>\n</x>"],
  'elements without content, and nothing': ["<x xmlns='urn:x'/><y xmlns='urn:x'></y>"]
}

/** What Prosody reads as it was meant, but does not write so that it could be read again. */
const WHITE_SPACE = "<x xmlns='urn:x' a='1&#9;2&#10;3&#13;4' b='&#xD;&#xA;'>one&#13;&#10;two&#xD;<![CDATA[\n]]></x>"

/** Some 200 KB of it: few elements with much text, and many with little. */
const LARGE = `<x xmlns='urn:x' xmlns:p='urn:p' xmlns:q='urn:q'><much>${'abc &amp; é\n'.repeat(12_000)}</much>${"<p:item q:n='1'>one</p:item>".repeat(2_000)}</x>`

const PATIENCE = 20_000
const XML = 'http://www.w3.org/XML/1998/namespace'
const ORIGIN_LANG = 'it'

for (const peer of PEERS)
  describe(`what ${peer.kind} is sent, and what it sends back`, () => {
    let relay: Relay
    suiteLab(peer.kind, { variant: 'default' }, async lab => {
      relay = await openRelay(lab)
    })

    for (const kind of peer.kinds)
      for (const [what, [payload, attributes = '']] of payloadsFor(peer))
        it(`${what}, in <${kind}/> that is readdressed: reads the same there and back`, async () => {
          const sent = await relay.say(kind, payload, attributes)
          assert.deepEqual(
            readingsOf(await relay.send(sent.readdressed({ from: ENGINE, to: peer.echo }))),
            same(meant(kind, payload, attributes))
          )
        })

    for (const [what, [payload, attributes = '']] of payloadsFor(peer))
      it(`${what}, in a tree of the embedder's: reads the same there and back`, async () => {
        const { element } = await relay.say('message', payload, attributes)
        Object.assign(element.attrs, { from: ENGINE, to: peer.echo })
        assert.deepEqual(readingsOf(await relay.send(element)), same(meant('message', payload, attributes)))
      })

    for (const how of ['readdressed', 'as a tree'] as const)
      it(`200 KB in one iq, ${how}: read the same there and back`, async () => {
        const sent = await relay.say('iq', LARGE)
        assert.ok(sent.bytes.length > 200_000)
        const { element } = sent
        Object.assign(element.attrs, { from: ENGINE, to: peer.echo })
        const arrived = await relay.send(how === 'as a tree' ? element : sent.readdressed({ from: ENGINE, to: peer.echo }))
        assert.ok(arrived.bytes.length > 200_000)
        assert.deepEqual(readingsOf(arrived), same(meant('iq', LARGE)))
      })

    it('pings cross', async () => {
      assert.equal(await relay.engine.ping(), 'result')
      assert.ok((await relay.engine.federation.ping(relay.engine.pair)) >= 0)
      assert.equal(await relay.engine.pinged(), true)
    })
  })

describe('what Prosody reads of what it is sent', () => {
  let relay: Relay
  suiteLab('prosody', { variant: 'default' }, async lab => {
    relay = await openRelay(lab)
  })

  for (const [what, [payload, attributes = '']] of [...Object.entries(PAYLOADS), ['white space by reference', [WHITE_SPACE]] as const])
    it(`${what}: the same, by its own parser`, async () => {
      const sent = await relay.say('message', payload, attributes)
      const { element } = await relay.send(sent.readdressed({ from: ENGINE, to: `witness@${DOMAIN.prosody}` }))
      const read = JSON.parse(Buffer.from(element.getChildText('seen') ?? '', 'base64').toString()) as Tree
      assert.deepEqual(payloadOf(normal(read)), meant('message', payload, attributes))
    })
})

function payloadsFor({ rewritten }: EchoingPeer): readonly (readonly [what: string, PayloadText])[] {
  return Object.entries(PAYLOADS).filter(([what]) => rewritten?.test(what) !== true)
}

describe('what ejabberd says of its own', () => {
  const heard = new Map<string, (stanza: Stanza) => void>()
  let engine: Engine
  const lab = suiteEjabberdLab({ variant: 'default' }, async opened => {
    engine = await opened.engine({ hear: stanza => heard.get(stanza.id ?? '')?.(stanza) })
  })

  // What it knows it moves behind what it does not.
  const STANZAS: Readonly<Record<Stanza['name'], string>> = {
    message: "type='chat' xml:lang='fr'><body>salut</body><x xmlns='urn:x'><![CDATA[<&>]]></x>",
    presence: "xml:lang='fr'><show>away</show><priority>-1</priority><x xmlns='urn:x' a='1'/>",
    iq: "type='set' xml:lang='fr'><x xmlns='urn:x' xmlns:p='urn:p' p:a='1'><p:y/></x>"
  }
  for (const [kind, rest] of Object.entries(STANZAS))
    it(`a ${kind} comes as it was said`, async () => {
      const came = new Promise<Stanza>(resolve => heard.set(`their-${kind}`, resolve))
      await lab().server.sendStanza(lab().theirs, ENGINE, `<${kind} id='their-${kind}' ${rest}</${kind}>`)
      const { bytes, name } = await came
      const read = (xml: string): Tree | undefined => readWithSaxes(Buffer.from(`<alone xmlns='jabber:server'>${xml}</alone>`))?.[0]
      const [said, arrived] = [read(`<${kind} ${rest}</${kind}>`), read(bytes.toString())]
      assert.ok(said && arrived)
      assert.equal(name, kind)
      assert.deepEqual(inAnyOrder(arrived), inAnyOrder(said))
      assert.equal(engine.federation.links()[0]?.direction, 'incoming')
    })
})

function inAnyOrder(tree: Tree): Payload {
  const { lang, children } = payloadOf(tree)
  return {
    lang,
    children: children
      .map(child => [JSON.stringify(child), child] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, child]) => child)
  }
}

interface Relay {
  readonly lab: Lab
  readonly engine: Engine
  /** Has the origin say a stanza with this payload; gives it as the engine has received it. */
  say(kind: Stanza['name'], payload: string, attributes?: string): Promise<Stanza>
  /** Sends a stanza from the engine; gives what comes back with its id. */
  send(stanza: Stanza | Element): Promise<Stanza>
}

/** An engine between an origin that writes as it likes and the server of a lab. */
async function openRelay(lab: Lab): Promise<Relay> {
  const heard = new Map<string, (stanza: Stanza) => void>()
  const hear = (stanza: Stanza): void => heard.get(`${stanza.from.domain} ${stanza.id ?? ''}`)?.(stanza)
  const coming = (domain: string, id: string): Promise<Stanza> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${id} has not come from ${domain} in ${PATIENCE} ms`))
      }, PATIENCE)
      heard.set(`${domain} ${id}`, stanza => {
        clearTimeout(timer)
        resolve(stanza)
      })
    })
  const engine = await lab.engine({ hear })
  const origin = await openOrigin(lab.authority, engine.at)
  let said = 0
  return {
    lab,
    engine,
    say: (kind, payload, attributes = '') => {
      said += 1
      const stanza = coming(ORIGIN, `s${said}`)
      origin.send(stanzaOf(kind, payload, `id='s${said}' ${attributes}`))
      return stanza
    },
    send: async stanza => {
      const answer = coming(engine.pair.target, idOf(stanza))
      const [, arrived] = await Promise.all([engine.federation.send(stanza), answer])
      return arrived
    }
  }
}

function stanzaOf(kind: Stanza['name'], payload: string, attributes: string): string {
  const type = kind === 'iq' ? "type='set' " : ''
  return `<${kind} from='${ORIGIN}' to='${ENGINE}' ${type}${attributes}>${payload}</${kind}>`
}

const idOf = (stanza: Stanza | Element): string => ('attrs' in stanza ? String(stanza.attrs['id']) : (stanza.id ?? ''))

/** The language that a stanza is in, and what it holds. */
interface Payload {
  readonly lang: string | undefined
  readonly children: Tree['children']
}

/** What the origin meant: its stream as a document, read by another parser than ours. */
function meant(kind: Stanza['name'], payload: string, attributes = ''): Payload {
  const [tree] = readWithSaxes(Buffer.from(`${ORIGIN_HEADER}${stanzaOf(kind, payload, attributes)}</stream:stream>`)) ?? []
  assert.ok(tree !== undefined)
  const { lang = ORIGIN_LANG, children } = payloadOf(tree)
  return { lang, children }
}

/** What has come, in each of its forms, read by another parser than ours. */
function readingsOf(stanza: Stanza): Readonly<Record<string, Payload | undefined>> {
  const read = (xml: string): Payload | undefined => {
    const [tree] = readWithSaxes(Buffer.from(`<alone>${xml}</alone>`)) ?? []
    return tree && payloadOf(tree)
  }
  return {
    bytes: read(stanza.bytes.toString()),
    element: read(stanza.element.toString()),
    readdressed: read(stanza.readdressed({ from: ENGINE, to: ORIGIN }).bytes.toString())
  }
}

const same = (payload: Payload): Readonly<Record<string, Payload>> => ({ bytes: payload, element: payload, readdressed: payload })

/** Without the error that a server puts behind what it returns. */
function payloadOf({ attributes, children }: Tree): Payload {
  return {
    lang: attributes.find(([namespace, name]) => namespace === XML && name === 'lang')?.[2],
    children: children.filter(child => typeof child === 'string' || child.name !== 'error' || child.namespace !== NS_SERVER)
  }
}

/** Prosody's reading in our words: it writes `xml:lang` as one name, and has its attributes in any order. */
function normal(tree: Tree): Tree {
  const attributes = tree.attributes.map(([namespace, name, value]) =>
    name === 'xml:lang' ? ([XML, 'lang', value] as const) : ([namespace, name, value] as const)
  )
  const key = ([namespace, name]: (typeof attributes)[number]): string => `${namespace} ${name}`
  return {
    ...tree,
    attributes: attributes.sort((one, other) => (key(one) < key(other) ? -1 : 1)),
    children: tree.children.map(child => (typeof child === 'string' ? child : normal(child)))
  }
}
