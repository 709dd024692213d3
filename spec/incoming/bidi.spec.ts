import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Fate } from '../../lib/streams/consignment.ts'
import type { Carrier } from '../../lib/streams/carrier.ts'
import { pairOf } from '../world.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, idIn, key, message, STARTTLS } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

const BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
const FEATURE = "<bidi xmlns='urn:xmpp:features:bidi'/>"
const SM = "xmlns='urn:xmpp:sm:3'"
const ENABLE = `<enable ${SM}/>`
const ENABLED = `<enabled ${SM}/>`
const ASK = `<r ${SM}/>`
const BACK = pairOf('montague.example', 'capulet.example')
const ack = (h: number): string => `<a ${SM} h='${h}'/>`
const back = (id: string): string => message('romeo@montague.example', 'juliet@capulet.example', id)
const limits = (bytes: number): string =>
  `<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>${bytes}</max-bytes></limits></bidi>`

afterEach(endScenes)

/** A stream on which EXTERNAL has proved capulet.example, after what was said before it. */
async function linked(before: string, options: SceneOptions = {}): Promise<{ scene: Scene; caller: Caller; features: string }> {
  const scene = await createScene(options)
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example'))
  await caller.say(header())
  await caller.say(before)
  await caller.say(auth('='))
  return { scene, caller, features: await caller.say(header()) }
}

function carrierOf(scene: Scene): Carrier {
  return scene.carriers.find(BACK) ?? assert.fail('nothing may be sent back')
}

/** Sends on a carrier, and tells what becomes of it. */
function send(scene: Scene, ...ids: readonly string[]): Map<string, Fate> {
  const fates = new Map<string, Fate>()
  const carrier = carrierOf(scene)
  for (const [number, id] of ids.entries()) {
    const xml = back(id)
    const consignment = {
      xml,
      size: xml.length,
      sender: domain('montague.example'),
      number,
      since: scene.clock.now(),
      sent: () => undefined,
      failed: () => undefined
    }
    carrier.send(consignment, (_, fate) => fates.set(id, fate))
  }
  return fates
}

describe('incoming/bidi', () => {
  it('[XEP0288-2.1-a] is offered inside TLS to a certificate that authenticates, until something is proved, and nowhere else', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    assert.doesNotMatch(await caller.say(header()), /bidi/)
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    assert.ok((await caller.say(header())).includes(FEATURE))
    await caller.say(auth('='))
    assert.doesNotMatch(await caller.say(header()), /bidi/)
    for (const state of ['missing', 'self-signed', 'expired'] as const) {
      const other = await (await createScene()).call()
      await other.startTls(certificate('capulet.example', state))
      assert.doesNotMatch(await other.say(header()), /bidi/)
    }
    const { features } = await linked('', { extensions: { bidi: false } })
    assert.doesNotMatch(features, /bidi/)
  })

  it('[XEP0288-2.2-b] sends stanzas of the reversed pair after authentication, over the restart of SASL, and of no other pair', async () => {
    const { scene, caller } = await linked(BIDI)
    const fates = send(scene, '1')
    assert.equal(await caller.hear(), back('1'))
    assert.deepEqual([...fates], [['1', 'written']])
    for (const [sender, target] of [
      ['second.example', 'capulet.example'],
      ['montague.example', 'other.example'],
      ['capulet.example', 'montague.example']
    ] as const)
      assert.equal(scene.carriers.find(pairOf(sender, target)), undefined)
    const [link] = scene.links
    assert.deepEqual(
      link?.pairs.map(({ pair, flow, level, peerIdentity }) => [pair.sender, flow, level, peerIdentity]),
      [
        ['capulet.example', 'receive', 'sasl-external', 'pkix'],
        ['montague.example', 'send', 'sasl-external', 'pkix']
      ]
    )
  })

  it('[XEP0288-2.2-b] has nothing to send on before authentication, and nothing where nobody asked for it', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header())
    await caller.say(BIDI)
    assert.equal(scene.carriers.find(BACK), undefined)
    const unasked = await linked('')
    assert.equal(unasked.scene.carriers.find(BACK), undefined)
  })

  it('[ENG-BIDI-b] does nothing about <bidi/> in clear, after authentication, or where it was not offered', async () => {
    const scene = await createScene({ authority: { answer: 'valid', verifiedOver: 'tls' } })
    const clear = await scene.call()
    await clear.say(header())
    assert.equal(await clear.say(BIDI), '')
    await clear.say(STARTTLS)
    await clear.secure(certificate('capulet.example'))
    await clear.say(header())
    await clear.say(auth('='))
    await clear.say(header())
    assert.equal(scene.carriers.find(BACK), undefined)
    const late = await linked('')
    assert.equal(await late.caller.say(BIDI), '')
    assert.equal(late.scene.carriers.find(BACK), undefined)
    assert.match(await late.caller.say(ENABLE + message() + ASK), new RegExp(`${ack(1)}$`))
    const unproved = await createScene({ authority: { answer: 'valid', verifiedOver: 'tls' } })
    const stranger = await unproved.call()
    await stranger.startTls(certificate('capulet.example', 'self-signed'))
    await stranger.say(header())
    await stranger.say(BIDI + key())
    assert.equal(unproved.carriers.find(BACK), undefined)
    const off = await linked(BIDI, { extensions: { bidi: false } })
    assert.equal(off.scene.carriers.find(BACK), undefined)
  })

  it('[XEP0288-2.2-c] has a key verified on a connection of its own, never on the stream that it came on', async () => {
    const scene = await createScene({
      policy: { proofs: () => ['dialback'], certificate: (_, { valid }) => (valid ? 'authenticate' : 'encrypt-only') }
    })
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    const id = idIn(await caller.say(header()))
    await caller.say(BIDI + key('KEY', 'other.example'))
    assert.equal(await caller.hear(), '')
    assert.deepEqual(
      scene.asked.map(({ request }) => [request.pair.sender, request.streamId]),
      [['other.example', id]]
    )
    scene.asked[0]?.answer({ answer: 'valid', verifiedOver: 'tls' })
    assert.match(await caller.hear(), /type='valid'/)
    assert.equal(scene.carriers.find(pairOf('montague.example', 'other.example')), undefined, 'its certificate does not cover it')
  })

  it('[XEP0478-c] reads the limits in <bidi/>', async () => {
    const { scene } = await linked(limits(12_345))
    assert.equal(carrierOf(scene).maxBytes, 12_345)
    const without = await linked(BIDI)
    assert.equal(carrierOf(without.scene).maxBytes, undefined)
  })

  for (const [seconds, times] of [
    [60, 8],
    [1, 48]
  ] as const)
    it(`[XEP0478-c] breaks the silence in time where <bidi/> says that the peer allows ${seconds} s of it`, async () => {
      const idle = `<idle-seconds>${seconds}</idle-seconds>`
      const { scene, caller } = await linked(`<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'>${idle}</limits></bidi>`)
      await scene.clock.advance(240_000)
      assert.equal(await caller.hear(), ' '.repeat(times))
    })

  it('obeys a limit that is smaller than it may be, and warns of it once for each stream', async () => {
    const { scene } = await linked(limits(9_999))
    assert.equal(carrierOf(scene).maxBytes, 9_999)
    assert.equal(scene.warnings.length, 1)
    assert.match(scene.warnings[0] ?? '', /capulet\.example takes no stanza of more than 9999 bytes/)
    assert.deepEqual((await linked(limits(10_000))).scene.warnings, [])
  })

  it('[XEP0198-4-a] counts what it sends back from <enabled/> on, and resolves it by what the peer has counted', async () => {
    const { scene, caller } = await linked(BIDI)
    send(scene, '0')
    assert.equal(await caller.say(ENABLE), back('0') + ENABLED)
    const fates = send(scene, '1', '2')
    assert.equal(await caller.hear(), back('1') + back('2') + ASK)
    await caller.say(ack(1))
    assert.deepEqual([...fates], [['1', 'acknowledged']])
    await caller.say(ack(2))
    assert.deepEqual(
      [...fates],
      [
        ['1', 'acknowledged'],
        ['2', 'acknowledged']
      ]
    )
    assert.equal(await caller.say(message() + ASK), ack(1))
  })

  it('[XEP0198-6-a] ends the stream for a count that is higher than what it sent', async () => {
    const { scene, caller } = await linked(BIDI)
    await caller.say(ENABLE)
    send(scene, '1')
    await caller.hear()
    assert.match(await caller.say(ack(2)), /handled-count-too-high xmlns='urn:xmpp:sm:3' h='2' send-count='1'/)
  })

  it('leaves in doubt what was written when the connection breaks, and hands back what was not', async () => {
    const { scene, caller } = await linked(BIDI)
    await caller.say(ENABLE)
    const fates = send(scene, '1')
    await caller.hear()
    const carrier = carrierOf(scene)
    caller.reset()
    await scene.clock.settle()
    await scene.clock.run(carrier.closed)
    assert.equal(FederationError.from(fates.get('1')).code, 'S2S_IN_DOUBT')
    assert.equal(carrier.usable, false)
    assert.equal(scene.carriers.find(BACK), undefined)
    const late = new Map<string, Fate>()
    const xml = back('2')
    const consignment = {
      xml,
      size: xml.length,
      sender: domain('montague.example'),
      number: 2,
      since: 0,
      sent: () => undefined,
      failed: () => undefined
    }
    carrier.send(consignment, (_, fate) => late.set('2', fate))
    await scene.clock.settle()
    assert.deepEqual([...late], [['2', 'unsent']])
  })

  it('is gone for what is sent back when the peer has closed it, although it keeps the connection and a handler is busy', async () => {
    const { scene, caller } = await linked(BIDI, { onStanza: () => new Promise(() => undefined) })
    await caller.say(ENABLE)
    const fates = send(scene, '1')
    const carrier = carrierOf(scene)
    await caller.say(`${message()}</stream:stream>`)
    assert.equal(FederationError.from(fates.get('1')).code, 'S2S_IN_DOUBT')
    const closed = carrier.closed.then(() => scene.clock.now())
    const began = scene.clock.now()
    await scene.clock.advance(20_000)
    assert.equal(await caller.hear(), `${ack(0)}</stream:stream>`)
    assert.equal(await scene.clock.run(closed), began + 10_000)
    assert.equal(scene.links.size, 1, 'what has come is still being handled')
  })

  for (const waits of [true, false])
    it(`[XEP0205-c] is ended in its time when a peer takes nothing of what is sent back, ${waits ? 'while more waits' : 'and nothing more waits'}`, async () => {
      const { scene, caller } = await linked(BIDI, { timeouts: { write: 20_000 } })
      await scene.clock.advance(100_000)
      caller.deafen()
      const carrier = carrierOf(scene)
      const large = 'x'.repeat(60_000)
      const all: Map<string, Fate>[] = []
      while (!carrier.full) {
        all.push(send(scene, large))
        await scene.clock.settle()
      }
      if (waits) scene.server.background(carrier.drained())
      await scene.clock.advance(19_000)
      assert.ok(carrier.usable)
      await scene.clock.advance(1_000)
      assert.ok(!carrier.usable)
      await scene.clock.advance(10_000)
      assert.equal(FederationError.from(all.at(-1)?.get(large)).code, 'S2S_IN_DOUBT')
    })

  it('waits for what it sent to be acknowledged before its closing tag, and takes what is acknowledged after it', async () => {
    const { scene, caller } = await linked(BIDI)
    await caller.say(ENABLE)
    const fates = send(scene, '1')
    await caller.hear()
    const closing = [...scene.links].map(link => link.close())
    assert.equal(await caller.hear(), '')
    assert.equal(scene.carriers.find(BACK), undefined)
    assert.equal(await caller.say(ack(1)), `${ack(0)}</stream:stream>`)
    assert.deepEqual([...fates], [['1', 'acknowledged']])
    await caller.say('</stream:stream>')
    await scene.clock.run(Promise.all(closing))
  })

  it('[XEP0288-2.2-b] is asked about as an outgoing pair: policy, floor and guards of that direction, and the report says why not', async () => {
    const cases: readonly (readonly [SceneOptions, string])[] = [
      [{ policy: { admit: ({ direction }) => (direction === 'outgoing' ? 'refuse' : undefined) } }, 'policy'],
      [{ policy: { admit: ({ direction }) => Promise.resolve(direction === 'outgoing' ? ('refuse' as const) : undefined) } }, 'policy'],
      [{ policy: { proofs: ({ direction }) => (direction === 'outgoing' ? ['dialback'] : undefined) } }, 'policy'],
      [{ policy: { tls: ({ direction }) => (direction === 'outgoing' ? 'never' : undefined) } }, 'policy'],
      [{ policy: { certificate: ({ direction }) => (direction === 'outgoing' ? 'encrypt-only' : undefined) } }, 'certificate-not-valid'],
      [
        {
          guards: [
            { kind: 'guard', name: 'pin', pins: ({ direction }) => (direction === 'outgoing' ? [{ leaf256: '00'.repeat(32) }] : undefined) }
          ]
        },
        'certificate-not-valid'
      ]
    ]
    for (const [options, code] of cases) {
      const { scene, caller } = await linked(BIDI, options)
      assert.equal(scene.carriers.find(BACK), undefined)
      assert.deepEqual(
        scene.trace('bidi').map(entry => entry.code),
        [code]
      )
      await caller.say(message())
      assert.equal(scene.stanzas.length, 1)
    }
  })

  it('[XEP0288-2.2-b] takes the outgoing floor for the level of the pair that is reversed', async () => {
    const dialback: SceneOptions = { policy: { proofs: () => ['dialback'] } }
    const floored: SceneOptions = {
      policy: { proofs: () => ['dialback'], minimumLevel: ({ direction }) => (direction === 'outgoing' ? 'sasl-external' : undefined) }
    }
    for (const [options, found] of [
      [dialback, true],
      [floored, false]
    ] as const) {
      const scene = await createScene(options)
      const caller = await scene.call()
      await caller.startTls(certificate('capulet.example'))
      await caller.say(header())
      assert.match(await caller.say(BIDI + key()), /type='valid'/)
      assert.equal(scene.carriers.find(BACK) !== undefined, found)
      if (!found)
        assert.deepEqual(
          scene.trace('bidi').map(entry => entry.code),
          ['below-floor']
        )
    }
  })

  it('[XEP0220-3.1-a] takes no dialback answer on a bidirectional stream either', async () => {
    const { caller } = await linked(BIDI)
    assert.equal(errorIn(await caller.say("<db:result from='capulet.example' to='montague.example' type='valid'/>")), 'policy-violation')
  })
})
