import { createHash } from 'node:crypto'
import { seeded } from './random.ts'

/**
 * A corpus of stanzas as a busy server sees them: chat with states and receipts, groupchat with delays, presence with
 * capabilities, service discovery, and one avatar of 20 KB in two hundred. The same on every run.
 */
export function createCorpus(bytes: number): readonly string[] {
  const random = seeded(20_06_20)
  const stanzas: string[] = []
  for (let size = 0; size < bytes;) {
    const stanza = createStanza(random)
    stanzas.push(stanza)
    size += Buffer.byteLength(stanza)
  }
  return stanzas
}

/** The start tag of the stream that the corpus belongs to. */
export const HEADER =
  "<?xml version='1.0'?><stream:stream from='capulet.example' to='montague.example' id='b1' version='1.0' xml:lang='en' xmlns='jabber:server' " +
  "xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"

/** Cut as sockets deliver: records of 16 KB, wherever a stanza ends. */
export function cut(text: string, size: number): readonly Buffer[] {
  const whole = Buffer.from(text)
  const chunks: Buffer[] = []
  // Each chunk has memory of its own, as a socket's has.
  for (let at = 0; at < whole.length; at += size) chunks.push(Buffer.from(whole.subarray(at, at + size)))
  return chunks
}

const WORDS =
  'what light through yonder window breaks it is the east and juliet sun arise fair kill envious moon who already sick pale with grief café naïve 月光'.split(
    ' '
  )

function createStanza(random: () => number): string {
  const below = (limit: number): number => Math.floor(random() * limit)
  const hex = (length: number): string => Array.from({ length }, () => below(16).toString(16)).join('')
  const text = (words: number): string => Array.from({ length: words }, () => WORDS[below(WORDS.length)]).join(' ')
  const from = `user${below(5000)}@capulet.example/Conversations.${hex(8)}`
  const to = `user${below(5000)}@montague.example`
  const id = `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`
  const kind = random()
  if (kind < 0.005) {
    const avatar = createHash('sha512').update(id).digest('base64').repeat(228)
    return `<iq from='${from}' to='${to}' id='${id}' type='result'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'><item id='${hex(40)}'><data xmlns='urn:xmpp:avatar:data'>${avatar}</data></item></items></pubsub></iq>`
  }
  if (kind < 0.35)
    return `<message from='${from}' to='${to}' id='${id}' type='chat'><body>${text(4 + below(20))}</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><origin-id xmlns='urn:xmpp:sid:0' id='${id}'/></message>`
  if (kind < 0.6)
    return `<message from='room${below(40)}@rooms.capulet.example/nick${below(300)}' to='${to}/${hex(8)}' id='${id}' type='groupchat'><body>${text(4 + below(22))} &lt;3 &amp; more</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='${hex(40)}='/><delay xmlns='urn:xmpp:delay' from='room${below(40)}@rooms.capulet.example' stamp='2026-02-10T23:08:${10 + below(50)}Z'/><stanza-id xmlns='urn:xmpp:sid:0' by='rooms.capulet.example' id='${hex(16)}'/></message>`
  if (kind < 0.85)
    return `<presence from='${from}' to='${to}'><show>away</show><status>${text(below(8))}</status><priority>${below(30)}</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://conversations.example' ver='${hex(27)}='/><x xmlns='vcard-temp:x:update'><photo>${hex(40)}</photo></x></presence>`
  if (kind < 0.95)
    return `<message from='${from}' to='${to}' id='${id}' type='chat'><received xmlns='urn:xmpp:receipts' id='${hex(32)}'/><store xmlns='urn:xmpp:hints'/></message>`
  const features = ['disco#info', 'disco#items', 'caps', 'chatstates', 'muc', 'pubsub', 'rosterx', 'si', 'bytestreams', 'ibb']
    .map(name => `<feature var='http://jabber.org/protocol/${name}'/>`)
    .join('')
  return `<iq from='${from}' to='${to}/${hex(8)}' id='${id}' type='result'><query xmlns='http://jabber.org/protocol/disco#info' node='https://conversations.example#${hex(27)}='><identity category='client' type='phone' name='Conversations'/>${features}</query></iq>`
}
