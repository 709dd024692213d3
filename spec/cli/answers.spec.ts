import assert from 'node:assert/strict'
import { answerTo } from '../../lib/cli/answers.ts'
import { parseAddress } from '../../lib/model/address.ts'
import type { Stanza } from '../../lib/model/stanza.ts'
import { Framer } from '../../lib/xml/framer.ts'
import { createStanza } from '../../lib/xml/stanza.ts'

const HEADER = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"

function stanza(xml: string): Stanza {
  const framer = new Framer({ headerBytes: 1000, elementBytes: 10_000, depth: 20, attributes: 20 })
  framer.feed(Buffer.from(HEADER + xml))
  framer.next()
  const frame = framer.next()
  assert.ok(frame?.kind === 'element')
  const [from, to] = [parseAddress(frame.from ?? ''), parseAddress(frame.to ?? '')]
  assert.ok(from !== undefined && to !== undefined)
  return createStanza(frame, from, to)
}

const answer = (xml: string, echo = false): string | undefined => answerTo(stanza(xml), echo)?.toString()
const WAY = "from='romeo@a.example/x' to='b.example'"

describe('the answers of serve', () => {
  it('answers a ping with an empty result', () => {
    assert.equal(
      answer(`<iq type='get' id='1' ${WAY}><ping xmlns='urn:xmpp:ping'/></iq>`),
      '<iq type="result" id="1" from="b.example" to="romeo@a.example/x"/>'
    )
  })

  it('says what it is and what it can do', () => {
    const said = answer(`<iq type='get' id='1' ${WAY}><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`)
    assert.match(said ?? '', /<identity category="server" type="im"/)
    assert.match(said ?? '', /<feature var="urn:xmpp:ping"\/>/)
  })

  it('has no nodes to tell of', () => {
    const said = answer(`<iq type='get' id='1' ${WAY}><query xmlns='http://jabber.org/protocol/disco#info' node='x'/></iq>`)
    assert.match(said ?? '', /<error type="cancel"><item-not-found /)
  })

  it('answers every other request with service-unavailable', () => {
    for (const xml of [
      `<iq type='get' id='1' ${WAY}><query xmlns='jabber:iq:version'/></iq>`,
      `<iq type='set' id='1' ${WAY}><ping xmlns='urn:xmpp:ping'/></iq>`
    ])
      assert.match(
        answer(xml) ?? '',
        /^<iq type="error" id="1" from="b\.example" to="romeo@a\.example\/x"><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"\/><\/error><\/iq>$/
      )
  })

  it('never answers an answer, an error or presence', () => {
    for (const xml of [
      `<iq type='result' id='1' ${WAY}/>`,
      `<iq type='error' id='1' ${WAY}/>`,
      `<message type='error' ${WAY}/>`,
      `<presence ${WAY}/>`,
      `<message type='headline' ${WAY}/>`
    ])
      assert.equal(answer(xml), undefined, xml)
  })

  it('refuses messages unless told to echo them', () => {
    const message = `<message type='chat' id='1' ${WAY}><body>hi &amp; bye</body></message>`
    assert.match(answer(message) ?? '', /^<message type="error" id="1" .*<service-unavailable /)
    assert.match(
      answer(message, true) ?? '',
      /^<message .*from="b\.example".*<body>hi &amp; bye<\/body><echo xmlns="xmpp-federation:echo"\/><\/message>$/
    )
  })

  it('does not echo an echo', () => {
    assert.equal(answer(`<message ${WAY}><body>hi</body><echo xmlns='xmpp-federation:echo'/></message>`, true), undefined)
  })
})
