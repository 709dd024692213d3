import assert from 'node:assert/strict'
import type { FederationOptions } from '../../lib/options.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

const SM = "xmlns='urn:xmpp:sm:3'"
const BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
const ack = (h: number): string => `<a ${SM} h='${h}'/>`

afterEach(endScenes)

async function authenticated(scene: Scene, before = ''): Promise<Caller> {
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example', 'valid', ['mercutio.example']), header())
  await caller.say(header())
  await caller.say(before + auth('='))
  await caller.say(header())
  return caller
}

const from = (sender: string, ...ids: readonly string[]): string =>
  ids.map(id => message(`x@${sender}`, 'romeo@montague.example', id)).join('')
const numbered = (...ids: readonly string[]): string => from('capulet.example', ...ids)

/** Handlers of what has such an id, that the spec lets go on one by one. */
function slow(...ids: readonly string[]): {
  readonly heard: string[]
  readonly gates: (() => void)[]
  readonly options: SceneOptions
} {
  const [heard, gates]: [string[], (() => void)[]] = [[], []]
  const onStanza: FederationOptions['onStanza'] = ({ id = '' }) => {
    heard.push(id)
    return ids.includes(id) ? new Promise<void>(resolve => gates.push(resolve)) : undefined
  }
  return { heard, gates, options: { onStanza } }
}

describe('incoming/the order of a pair that goes on on another stream', () => {
  for (const [how, before] of [
    ['one way', ''],
    ['both ways', BIDI]
  ] as const) {
    it(`[RFC6120-10.1-b] hands over first what came on the stream before, which goes ${how}`, async () => {
      const { heard, gates, options } = slow('1')
      const scene = await createScene(options)
      const old = await authenticated(scene, before)
      await old.say(numbered('1', '2', '3'))
      const next = await authenticated(scene)
      await next.say(numbered('4', '5'))
      assert.deepEqual(heard, ['1'])
      gates[0]?.()
      await scene.clock.settle()
      assert.deepEqual(heard, ['1', '2', '3', '4', '5'])
    })
  }

  it('[XEP0205-c] has a pair on so many streams and no more: the one that it came on first makes room', async () => {
    const scene = await createScene()
    const callers: Caller[] = []
    for (let n = 0; n < 258; n += 1) callers.push(await authenticated(scene))
    const ended: number[] = []
    for (const [n, caller] of callers.entries()) if ((await caller.hear()).includes('<conflict ')) ended.push(n)
    assert.deepEqual(ended, [0, 1])
    for (const caller of callers.slice(2)) await caller.say(numbered('1'))
    assert.equal(scene.stanzas.length, 256)
  }).timeout(20_000)

  for (const white of [' ', '\n', ' \r\n\t']) {
    it(`[RFC6120-10.1-b] waits for nothing behind ${JSON.stringify(white)}: white space keeps a stream and is no part of a stanza`, async () => {
      const heard: string[] = []
      const scene = await createScene({ onStanza: ({ id = '' }) => void heard.push(id) })
      const old = await authenticated(scene)
      await old.say(numbered('1') + white)
      await old.say(white)
      const next = await authenticated(scene)
      await next.say(numbered('2'))
      assert.deepEqual(heard, ['1', '2'])
      await scene.clock.advance(60_000)
      assert.equal(await old.hear(), '')
      assert.equal(old.ended, 'no')
    })
  }

  it('[RFC6120-10.1-b] waits for what is in hand of a stream that is lost, and drops uncounted what waits behind it where it goes both ways', async () => {
    const { heard, gates, options } = slow('1')
    const scene = await createScene(options)
    const old = await authenticated(scene, BIDI)
    await old.say(numbered('1', '2'))
    old.reset()
    await scene.clock.settle()
    const next = await authenticated(scene)
    await next.say(`<enable ${SM}/>` + numbered('3'))
    assert.equal(await next.say(`<r ${SM}/>`), '', 'what is behind a stanza that has to wait is not read')
    await scene.clock.advance(500)
    assert.equal(await next.hear(), ack(0))
    gates[0]?.()
    assert.equal(await next.hear(), ack(1))
    assert.deepEqual(heard, ['1', '3'])
  })

  it('[XEP0198-4-c] answers requests although a stanza has to wait for another stream', async () => {
    const { gates, options } = slow('1')
    const scene = await createScene(options)
    await (await authenticated(scene)).say(numbered('1'))
    const next = await authenticated(scene)
    await next.say(`<enable ${SM}/>`)
    await next.say(numbered('2') + `<r ${SM}/>`)
    await scene.clock.advance(1_000)
    assert.equal(await next.hear(), ack(0).repeat(2))
    gates[0]?.()
    assert.equal(await next.hear(), ack(1))
    await next.say('<message ')
    await scene.clock.advance(1_000)
    assert.equal(await next.hear(), '', 'nobody has asked')
  })

  it('[RFC6120-10.1-b] waits as well where the pair goes back to a stream that was there before the one that it leaves', async () => {
    const { heard, gates, options } = slow('1')
    const scene = await createScene(options)
    const [first, second] = [await authenticated(scene), await authenticated(scene)]
    await second.say(numbered('1', '2'))
    await first.say(numbered('3'))
    assert.deepEqual(heard, ['1'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(heard, ['1', '2', '3'])
  })

  it('ends with conflict a stream whose handler keeps another waiting for too long, and hands over nothing more of it', async () => {
    const { heard, gates, options } = slow('1')
    const scene = await createScene({ ...options, timeouts: { step: 9_000 } })
    const old = await authenticated(scene)
    await old.say(numbered('1', '2'))
    const next = await authenticated(scene)
    await next.say(numbered('3'))
    await scene.clock.advance(8_999)
    assert.deepEqual(heard, ['1'])
    await scene.clock.advance(1)
    assert.deepEqual(heard, ['1', '3'])
    assert.deepEqual(errorIn(await old.hear()), 'conflict')
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(heard, ['1', '3'])
  })

  it('keeps the order of each pair of several that go on on another stream, whichever of them it reads first', async () => {
    const { heard, gates, options } = slow('p1')
    const scene = await createScene({ ...options, authority: { answer: 'valid', verifiedOver: 'tls' } })
    const more = key('KEY', 'mercutio.example')
    const [first, second, third] = [await authenticated(scene), await authenticated(scene), await authenticated(scene)]
    for (const each of [first, second, third]) assert.match(await each.say(more), /type='valid'/)
    await first.say(numbered('p1', 'p2') + from('mercutio.example', 'q1'))
    // The pair of the second that nobody has heard of yet is behind one that has to wait.
    await second.say(numbered('p3') + from('mercutio.example', 'q2'))
    await third.say(from('mercutio.example', 'q3') + numbered('p4'))
    assert.deepEqual(heard, ['p1'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(heard, ['p1', 'p2', 'q1', 'p3', 'q2', 'q3', 'p4'])
  })

  it('waits for no other pair: what is in hand and what waits on the stream before may be of any', async () => {
    const { heard, gates, options } = slow('q1')
    const scene = await createScene({ ...options, authority: { answer: 'valid', verifiedOver: 'tls' } })
    const [first, second] = [await authenticated(scene, BIDI), await authenticated(scene)]
    await first.say(key('KEY', 'mercutio.example'))
    await first.say(numbered('p1') + from('mercutio.example', 'q1', 'q2'))
    await second.say(numbered('p2'))
    assert.deepEqual(heard, ['p1', 'q1', 'p2'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(heard, ['p1', 'q1', 'p2', 'q2'])
  })

  it('forgets no stream that another waited for when that one is lost meanwhile', async () => {
    const { heard, gates, options } = slow('1')
    const scene = await createScene(options)
    await (await authenticated(scene)).say(numbered('1', '2'))
    const second = await authenticated(scene)
    await second.say(numbered('3'))
    second.reset()
    await scene.clock.settle()
    await (await authenticated(scene)).say(numbered('4'))
    assert.deepEqual(heard, ['1'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(
      heard.filter(id => id !== '3'),
      ['1', '2', '4']
    )
  })

  it('waits a moment for what the connection of a full stream still holds', async () => {
    const { heard, gates, options } = slow('0000')
    const scene = await createScene(options)
    const old = await authenticated(scene)
    const ids = Array.from({ length: 2_000 }, (_, n) => `${n}`.padStart(4, '0'))
    await old.push(numbered(...ids), 100 * numbered('0000').length)
    const next = await authenticated(scene)
    await next.say(numbered('last'))
    gates[0]?.()
    await scene.clock.settle()
    assert.ok(heard.length > 200 && !heard.includes('last'), `${heard.length}`)
    await scene.clock.advance(250)
    assert.equal(heard.at(-1), 'last')
    assert.deepEqual(heard.slice(0, -1), ids.slice(0, heard.length - 1))
  })

  it('[RFC6120-10.1-b] keeps the order over two hundred streams, of which many are lost while they wait', async function () {
    this.timeout(20_000)
    const { heard, gates, options } = slow('0')
    const scene = await createScene(options)
    const callers: Caller[] = []
    for (let n = 0; n < 200; n += 1) {
      const caller = await authenticated(scene, n % 2 === 0 ? '' : BIDI)
      await caller.say(numbered(`${n}`))
      callers.push(caller)
    }
    assert.deepEqual(heard, ['0'])
    const isLost = (n: number): boolean => n % 4 === 1
    for (const [n, caller] of callers.entries()) if (isLost(n)) caller.reset()
    await scene.clock.settle()
    // Those that go both ways are read on.
    for (const n of [103, 3, 199, 7]) await callers[n]?.say(numbered(`${n} again`))
    assert.deepEqual(heard, ['0'])
    gates[0]?.()
    await scene.clock.settle()
    const first = callers.map((_, n) => n).filter(n => !isLost(n))
    assert.deepEqual(
      heard.filter(id => !id.endsWith('again')),
      first.map(n => `${n}`)
    )
    assert.deepEqual(heard.filter(id => id.endsWith('again')).toSorted(), ['103 again', '199 again', '3 again', '7 again'])
    assert.equal(scene.links.size, first.length)
  })

  it('lets a peer send a pair on two streams at once: neither waits for what came on the other later, and neither is ended', async () => {
    const { heard, gates, options } = slow('a1', 'a2')
    const scene = await createScene(options)
    const [one, other] = [await authenticated(scene, BIDI), await authenticated(scene, BIDI)]
    await one.say(numbered('a1'))
    await other.say(numbered('b1'))
    await one.say(numbered('a2', 'a3'))
    for (const gate of [0, 1]) {
      gates[gate]?.()
      await scene.clock.settle()
    }
    assert.deepEqual(heard, ['a1', 'a2', 'a3', 'b1'])
    await other.say(numbered('b2'))
    await one.say(numbered('a4'))
    await scene.clock.advance(60_000)
    assert.deepEqual(heard.slice(4), ['b2', 'a4'])
    assert.equal(scene.links.size, 2)
  })
})
