import assert from 'node:assert/strict'
import { addressGroup, Quota, takeAll } from '../../lib/incoming/quota.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message, STARTTLS, THEM } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

const CLOSE = '</stream:stream>'

async function linked(options: SceneOptions = {}): Promise<{ scene: Scene; caller: Caller }> {
  const scene = await createScene(options)
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example'))
  await caller.say(header())
  await caller.say(auth('='))
  await caller.say(header())
  return { scene, caller }
}

function closings(scene: Scene): (string | undefined)[] {
  return scene.events.flatMap(([event, detail]) =>
    event === 'link-closed' ? [(detail as FederationEvents['link-closed']).error?.code] : []
  )
}

describe('incoming/the end of a stream', () => {
  it('answers the closing tag with its own, ends TLS and the connection', async () => {
    const { scene, caller } = await linked()
    assert.equal(await caller.say(CLOSE), CLOSE)
    assert.equal(caller.ended, 'end')
    assert.deepEqual(closings(scene), [undefined])
  })

  it('[RFC6120-4.4-a] delivers what was in flight when it closed, until the closing tag of the peer', async () => {
    const { scene, caller } = await linked()
    const [link] = scene.links
    const closed = link?.close()
    assert.equal(await caller.hear(), CLOSE)
    assert.equal(await caller.say(message() + key('K', 'mercutio.example')), '')
    assert.equal(scene.stanzas.length, 1)
    assert.equal(scene.asked.length, 0)
    await caller.say(CLOSE)
    await scene.clock.run(closed ?? Promise.reject(new Error('no link')))
    assert.deepEqual(closings(scene), [undefined])
  })

  it('[RFC6120-4.4-b] waits for the closing tag of the peer only so long', async () => {
    const { scene, caller } = await linked({ timeouts: { close: 3_000 } })
    const begun = scene.clock.now()
    const [link] = scene.links
    await scene.clock.run(link?.close() ?? Promise.reject(new Error('no link')))
    assert.equal(scene.clock.now() - begun, 3_000)
    await caller.hear()
    assert.notEqual(caller.ended, 'no')
    assert.equal(scene.reception.size, 0)
  })

  it('tells a stream that broke from one that was closed', async () => {
    const { scene, caller } = await linked()
    caller.end()
    await caller.hear()
    assert.deepEqual(closings(scene), ['S2S_STREAM_CLOSED'])
    const other = await linked()
    other.caller.reset()
    await other.caller.hear()
    assert.deepEqual(closings(other.scene), ['S2S_STREAM_CLOSED'])
  })

  it('[RFC6120-11.7-a] closes a link on which nothing moved for the idle time, politely; white space is movement', async () => {
    const { scene, caller } = await linked({ timeouts: { idle: 100_000 } })
    await scene.clock.advance(60_000)
    assert.equal(await caller.say(' '), '')
    await scene.clock.advance(60_000)
    assert.equal(await caller.hear(), '')
    await scene.clock.advance(41_000)
    assert.equal(await caller.hear(), CLOSE)
    await caller.say(CLOSE)
    assert.deepEqual(closings(scene), [undefined])
  })

  it('[RFC6120-13.7.2.3-a] ends a link with reset when the certificate of the peer has expired', async () => {
    const { scene, caller } = await linked({ timeouts: { idle: 10 ** 12, keepAlive: 10 ** 12 } })
    const [link] = scene.links
    const end = Date.parse(link?.certificate?.notAfter ?? '')
    await scene.clock.advance(end - scene.clock.now())
    assert.equal(await caller.hear(), '')
    await scene.clock.advance(1_000)
    assert.equal(errorIn(await caller.hear()), 'reset')
    assert.deepEqual(closings(scene), ['S2S_CERTIFICATE'])
  })

  it('lets a certificate that only encrypts expire', async () => {
    const scene = await createScene({
      timeouts: { idle: 10 ** 12, keepAlive: 10 ** 12 },
      authority: { answer: 'valid', verifiedOver: 'tls' }
    })
    const caller = await scene.call()
    await caller.startTls(undefined)
    await caller.say(header())
    await caller.say(key())
    await scene.clock.advance(5 * 365 * 86_400_000)
    assert.equal(await caller.hear(), '')
    assert.equal(scene.links.size, 1)
  })

  it('stops: system-shutdown for strangers and, with what they still say, for links, and nobody new', async () => {
    const { scene, caller } = await linked()
    const stranger = await scene.call()
    await stranger.say(header())
    const stopped = scene.reception.stop()
    const told = await caller.hear()
    assert.deepEqual([errorIn(told), told.endsWith(CLOSE)], ['system-shutdown', true])
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
    assert.equal(errorIn(await stranger.hear()), 'system-shutdown')
    const late = await scene.call()
    assert.equal(await late.say(header()), '')
    assert.notEqual(late.ended, 'no')
    await caller.say(CLOSE)
    await scene.clock.run(stopped)
    assert.equal(scene.reception.size, 0)
  })

  it('stops in the middle of a handshake and of a verification', async () => {
    const scene = await createScene()
    const shaking = await scene.call()
    await shaking.say(header())
    await shaking.say(STARTTLS)
    const waiting = await scene.call()
    await waiting.say(header())
    await waiting.say(key())
    await scene.clock.run(scene.reception.stop())
    assert.ok(scene.asked[0]?.signal.aborted)
    assert.deepEqual(
      scene.reports.map(report => report.error?.code),
      ['S2S_STOPPED', 'S2S_STOPPED']
    )
  })
})

describe('incoming/limits', () => {
  it('[XEP0205-a] bounds the streams of one address, and counts an IPv6 /64 as one', async () => {
    const scene = await createScene({ limits: { incomingPerAddress: 2 } })
    const callers = [await scene.call(), await scene.call(), await scene.call()]
    const heard = await Promise.all(callers.map(async caller => (await caller.say(header())).length > 0))
    assert.deepEqual(heard, [true, true, false])
    const elsewhere = await scene.call({ from: '192.0.2.9' })
    assert.match(await elsewhere.say(header()), /<stream:features>/)
    callers[0]?.reset()
    await scene.clock.settle()
    assert.match(await (await scene.call()).say(header()), /<stream:features>/)
  })

  it('[XEP0205-a] warns of connections that it turns away once a second, and says how many they were', async () => {
    const scene = await createScene({ limits: { incomingPerAddress: 1 } })
    const caller = await scene.call()
    await caller.say(header())
    const warnings = (): readonly (string | undefined)[] =>
      scene.events.flatMap(([event, detail]) => (event === 'warning' ? [(detail as FederationEvents['warning']).error.detail] : []))
    for (let number = 0; number < 50; number += 1) await scene.call()
    await scene.clock.settle()
    assert.deepEqual(warnings(), ['an incoming connection was turned away: too many are there, from one address or in all'])
    await scene.clock.advance(1_000)
    await scene.call()
    await scene.clock.settle()
    assert.deepEqual(warnings().slice(1), ['50 incoming connections were turned away: too many are there, from one address or in all'])
  })

  it('[XEP0205-a] has room for an address again when somebody is authenticated on its stream, and never above the bound of all', async () => {
    const scene = await createScene({ limits: { unauthenticatedPerAddress: 1, incomingPerAddress: 3 } })
    const link = await authenticated(scene)
    await authenticated(scene)
    const stranger = await scene.call()
    assert.match(await stranger.say(header()), /<stream:features>/)
    assert.equal(await (await scene.call()).say(header()), '')
    link.reset()
    await scene.clock.settle()
    assert.equal(await (await scene.call()).say(header()), '', 'a link that ends is no room for one more stranger')
    stranger.reset()
    await scene.clock.settle()
    await authenticated(scene)
    await authenticated(scene)
    assert.equal(await (await scene.call()).say(header()), '', 'three links are as many as there may be')
    assert.equal(scene.links.size, 3)
  })

  it('[XEP0205-b] gives a negotiation its time and no more, however busy the peer keeps it', async () => {
    const scene = await createScene({ timeouts: { negotiation: 60_000, step: 15_000 } })
    const caller = await scene.call()
    await caller.say(header())
    for (let asked = 0; asked < 11; asked += 1) {
      assert.match(await caller.say("<db:verify from='capulet.example' to='montague.example' id='i'>k</db:verify>"), /type='invalid'/)
      await scene.clock.advance(5_000)
    }
    await scene.clock.advance(5_000)
    assert.equal(errorIn(await caller.hear()), 'connection-timeout')
    assert.match(scene.reports[0]?.error?.message ?? '', /60000 ms/)
  })

  it('bounds all streams together', async () => {
    const scene = await createScene({ limits: { incomingStreams: 1 } })
    await (await scene.call()).say(header())
    const second = await scene.call({ from: '192.0.2.9' })
    assert.equal(await second.say(header()), '')
    assert.notEqual(second.ended, 'no')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_LIMIT')
  })

  for (const [address, group] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:192.0.2.1', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
    ['64:ff9b::cb00:7101', '203.0.113.1'],
    ['64:ff9b:1::192.0.2.1', '64:ff9b:1:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['unknown', 'unknown']
  ] as const) {
    it(`counts ${address} for ${group}`, () => assert.equal(addressGroup(address), group))
  }

  it('takes of every quota or of none, and gives back once', () => {
    const [a, b] = [new Quota(1), new Quota(2)]
    const release = takeAll([
      [a, 'x'],
      [b, 'x']
    ])
    assert.equal(
      takeAll([
        [b, 'x'],
        [a, 'x']
      ]),
      undefined
    )
    assert.ok(!b.isFull('x'))
    release?.()
    release?.()
    assert.ok(!a.isFull('x'))
    assert.ok(takeAll([[a, 'x']]) !== undefined)
  })
})

async function authenticated(scene: Scene): Promise<Caller> {
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example'))
  await caller.say(header())
  assert.match(await caller.say(auth('=')), /<success/)
  assert.match(await caller.say(header()), /<stream:features/)
  return caller
}

/** Everything that an initiating entity says on its way to a link; every byte of it may be the last. */
async function wholeConversation(scene: Scene, tls: 'direct' | undefined): Promise<void> {
  const caller = await scene.call(tls === undefined ? {} : { tls })
  if (tls === undefined) {
    await caller.say(header())
    await caller.say(STARTTLS)
  }
  await caller.secure(certificate('capulet.example'))
  await caller.say(header())
  await caller.say(auth('='))
  await caller.say(header())
  await caller.say(message())
  await caller.say(CLOSE)
}

describe('incoming/streams that break', () => {
  for (const tls of [undefined, 'direct'] as const) {
    for (const how of ['reset', 'fin', 'stall'] as const) {
      it(`ends cleanly with one report after a ${how} anywhere, over ${tls ?? 'STARTTLS'}`, async () => {
        let hits = 0
        for (let place = 0; place < 3_000; place += 61) {
          const scene = await createScene()
          const fault = scene.network.cut('192.0.2.1', { how, of: 'initiating', after: place })
          const conversation = wholeConversation(scene, tls).catch(() => undefined)
          for (let turn = 0; turn < 12; turn += 1) await scene.clock.settle()
          await scene.clock.advance(61_000)
          for (const link of scene.links) void link.close()
          await scene.clock.advance(61_000)
          await scene.clock.run(Promise.race([conversation, Promise.resolve()]))
          assert.equal(scene.reports.length, 1, `at ${place}`)
          const [report] = scene.reports
          assert.ok(report?.level === 'sasl-external' || report?.error !== undefined, `at ${place}`)
          assert.doesNotThrow(() => JSON.stringify(report))
          hits += fault.hits
          await endScenes()
        }
        assert.ok(hits > 15, `${hits} conversations were cut`)
      })
    }
  }

  it('[SEC-MEM-a] leaves nothing of a hundred connections that were dropped at each state', async () => {
    const scene = await createScene({ limits: { incomingPerAddress: 1_000 } })
    for (let round = 0; round < 20; round += 1) {
      const callers = await Promise.all(Array.from({ length: 5 }, () => scene.call()))
      for (const caller of callers.slice(1)) await caller.say(header())
      await callers[2]?.say(STARTTLS)
      await callers[3]?.say(key())
      await callers[4]?.say(auth('='))
      for (const caller of callers) caller.reset()
      await scene.clock.settle()
      assert.equal(scene.reception.size, 0)
    }
    // Failed handshakes count against their address for a while: that is the one timer there is.
    await scene.clock.advance(60_000)
    assert.equal(scene.clock.pendingTimers, 0)
    assert.equal(scene.network.wires.filter(wire => wire.heldBy.includes('receiving')).length, 0)
    assert.ok(scene.reports.every(report => report.error !== undefined && report.peer.address === THEM))
  })
})
