import assert from 'node:assert/strict'
import type { FederationEvents } from '../../lib/model/events.ts'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

const SM = "xmlns='urn:xmpp:sm:3'"
const ENABLE = `<enable ${SM}/>`
const ENABLED = `<enabled ${SM}/>`
const ASK = `<r ${SM}/>`
const FEATURE = `<sm ${SM}/>`
const CLOSE = '</stream:stream>'
const ack = (h: number | string): string => `<a ${SM} h='${h}'/>`
const failed = (condition: string): string => `<failed ${SM}><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`

afterEach(endScenes)

async function linked(options: SceneOptions = {}): Promise<{ scene: Scene; caller: Caller; features: string }> {
  const scene = await createScene(options)
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example'))
  await caller.say(header())
  await caller.say(auth('='))
  return { scene, caller, features: await caller.say(header()) }
}

describe('incoming/stream-management', () => {
  it('is offered where stanzas may come without another header: before dialback, and after SASL', async () => {
    const scene = await createScene()
    assert.match(await (await scene.call()).say(header()), new RegExp(FEATURE))
    assert.match((await linked()).features, new RegExp(FEATURE))
  })

  it('is not offered where nothing but SASL leads on', async () => {
    const caller = await (await createScene({ policy: policies.strict() })).call()
    await caller.startTls(certificate('capulet.example'))
    const heard = await caller.say(header())
    assert.match(heard, /EXTERNAL/)
    assert.doesNotMatch(heard, /urn:xmpp:sm/)
  })

  it('[XEP0198-3-a] refuses <enable/> before authentication, in clear and inside TLS, on a stream that goes on', async () => {
    const scene = await createScene({ authority: { answer: 'valid', verifiedOver: 'clear' } })
    const clear = await scene.call()
    await clear.say(header())
    assert.equal(await clear.say(ENABLE), failed('unexpected-request'))
    assert.match(await clear.say(key()), /type='valid'/)
    assert.equal(await clear.say(ENABLE), ENABLED)
    const inTls = await scene.call()
    await inTls.startTls(certificate('capulet.example'))
    await inTls.say(header())
    assert.equal(await inTls.say(ENABLE), failed('unexpected-request'))
    assert.match(await inTls.say(auth('=')), /<success/)
  })

  it('[XEP0198-3-b] refuses a second <enable/>, and goes on counting', async () => {
    const { caller } = await linked()
    assert.equal(await caller.say(ENABLE + message()), ENABLED)
    assert.equal(await caller.say(ENABLE + message() + ASK), failed('unexpected-request') + ack(2))
  })

  it('[XEP0198-4-a] counts messages, presences and iqs from <enable/> on, and nothing else', async () => {
    const { caller } = await linked()
    const before = message() + message()
    const address = "from='a@capulet.example' to='b@montague.example'"
    const counted = `${message()}<presence ${address}/><iq ${address} type='get' id='1'/><message ${address} type='error'/>`
    const others = `<db:verify from='capulet.example' to='montague.example' id='1'>KEY</db:verify> \n${ack(0)}`
    const heard = await caller.say(before + ENABLE + ASK + counted + others + ASK)
    assert.match(heard, new RegExp(`^${ENABLED}${ack(0)}<db:verify .*${ack(4)}$`))
  })

  it('gives what it handled as the last thing before the closing tag, whoever ends the stream and why', async () => {
    const byPeer = await linked()
    await byPeer.caller.say(ENABLE + message())
    assert.equal(await byPeer.caller.say(message() + CLOSE), ack(2) + CLOSE)
    const byUs = await linked()
    await byUs.caller.say(ENABLE + message())
    const closing = [...byUs.scene.links].map(link => link.close())
    assert.equal(await byUs.caller.hear(), ack(1) + CLOSE)
    await byUs.caller.say(CLOSE)
    await byUs.scene.clock.run(Promise.all(closing))
    const byError = await linked()
    await byError.caller.say(ENABLE)
    const heard = await byError.caller.say(message() + message('a@mercutio.example'))
    assert.ok(heard.startsWith(ack(1)), heard)
    assert.equal(errorIn(heard), 'invalid-from')
  })

  it('[XEP0198-4-c] answers a request within a second while a handler is slow, with what was handled so far', async () => {
    const gates: (() => void)[] = []
    const { caller, scene } = await linked({
      onStanza: stanza => (stanza.id === 'quick' ? undefined : new Promise<void>(resolve => gates.push(resolve)))
    })
    await caller.say(ENABLE)
    assert.equal(await caller.say(message(undefined, undefined, 'quick') + message() + ASK), '')
    await scene.clock.advance(1_000)
    const meanwhile = await caller.hear()
    assert.ok(meanwhile.startsWith(ack(1)), meanwhile)
    gates[0]?.()
    assert.equal(await caller.hear(), ack(2))
  })

  it('says nothing on its own while a handler is slow and nothing is asked', async () => {
    const { caller, scene } = await linked({ onStanza: () => new Promise<void>(() => undefined) })
    await caller.say(ENABLE + message())
    await scene.clock.advance(10_000)
    assert.equal(await caller.hear(), '')
  })

  it('counts a stanza whose handler failed: it was handed over', async () => {
    const { caller } = await linked({ onStanza: () => Promise.reject(new Error('it failed')) })
    assert.equal(await caller.say(ENABLE + message() + ASK), ENABLED + ack(1))
  })

  it('[XEP0198-6-a] ends the stream when stanzas are acknowledged that were never sent, with the numbers', async () => {
    const { caller } = await linked()
    const heard = await caller.say(ENABLE + ack(3))
    assert.equal(
      heard.slice(ENABLED.length),
      `${ack(0)}<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>` +
        `<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>3 stanzas were acknowledged, and 0 sent</text>` +
        `<handled-count-too-high ${SM} h='3' send-count='0'/></stream:error>${CLOSE}`
    )
  })

  for (const garbage of [`<a ${SM}/>`, ack(''), ack('-1'), ack('NaN'), ack('4294967296'), ack('1e3')])
    it(`[XEP0198-4-d] ends the stream with bad-format on ${garbage}`, async () => {
      const { caller, scene } = await linked()
      assert.equal(errorIn(await caller.say(ENABLE + garbage + message())), 'bad-format')
      assert.equal(scene.stanzas.length, 0)
    })

  for (const xml of [ASK, ack(0), ENABLED, failed('item-not-found'), `<resumed ${SM}/>`, `<x ${SM}/>`])
    it(`ends a stream on ${xml} where stream management is not under way`, async () => {
      const { caller } = await linked()
      assert.equal(errorIn(await caller.say(xml)), 'unsupported-stanza-type')
    })

  it('ends the stream of a peer that asks and takes none of the answers', async () => {
    const { scene, caller } = await linked({ timeouts: { write: 20_000 } })
    await caller.say(ENABLE)
    caller.deafen()
    await caller.push(ASK.repeat(40_000))
    assert.equal(scene.links.size, 1)
    await scene.clock.advance(19_000)
    assert.equal(scene.links.size, 1)
    await scene.clock.advance(1_000)
    assert.equal(scene.links.size, 0)
    const closed = scene.events.flatMap(([name, about]) => (name === 'link-closed' ? [about as FederationEvents['link-closed']] : []))
    assert.deepEqual(
      closed.map(({ error }) => [error?.code, /took nothing of what was written for 20000 ms/.test(error?.message ?? '')]),
      [['S2S_TIMEOUT', true]]
    )
  })
})
