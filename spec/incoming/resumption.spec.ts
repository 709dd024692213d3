import assert from 'node:assert/strict'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

const SM = "xmlns='urn:xmpp:sm:3'"
const ENABLE = `<enable ${SM} resume='true'/>`
const ASK = `<r ${SM}/>`
const CLOSE = '</stream:stream>'
const ack = (h: number): string => `<a ${SM} h='${h}'/>`
const resume = (id: string, h: number | string = 0): string => `<resume ${SM} previd='${id}' h='${h}'/>`
const resumed = (id: string, h: number): string => `<resumed ${SM} previd='${id}' h='${h}'/>`
const failed = (condition: string, h = ''): string =>
  `<failed ${SM}${h}><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`
const timedOut = `<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>${CLOSE}`
const NOT_FOUND = failed('item-not-found')

afterEach(endScenes)

/** A stream of a domain to montague.example that its certificate has authenticated. */
async function authenticated(
  scene: Scene,
  from = 'capulet.example',
  alsoFor: readonly string[] = [],
  at: { readonly from?: string } = {}
): Promise<Caller> {
  const caller = await scene.call(at)
  await caller.startTls(certificate(from, 'valid', alsoFor), header({ from }))
  await caller.say(header({ from }))
  await caller.say(auth('='))
  await caller.say(header({ from }))
  return caller
}

async function enabled(caller: Caller): Promise<string> {
  const heard = await caller.say(ENABLE)
  const id = /^<enabled xmlns='urn:xmpp:sm:3' id='([\w-]{22})' resume='true' max='60'\/>$/.exec(heard)?.[1]
  assert.ok(id, heard)
  return id
}

/** A stream on which some stanzas were handled, and which is then lost. */
async function lost(scene: Scene, stanzas = 2): Promise<string> {
  const caller = await authenticated(scene)
  const id = await enabled(caller)
  await caller.say(message().repeat(stanzas))
  caller.reset()
  await scene.clock.settle()
  return id
}

/** Handlers that the spec lets go on one by one. */
function slow(): { readonly gates: (() => void)[]; readonly onStanza: SceneOptions['onStanza'] } {
  const gates: (() => void)[] = []
  return { gates, onStanza: () => new Promise<void>(resolve => gates.push(resolve)) }
}

describe('incoming/resumption', () => {
  it('goes on counting where a lost stream was, on a new one of the same pair, as often as it is lost', async () => {
    const scene = await createScene()
    const id = await lost(scene)
    for (const handled of [2, 3, 4]) {
      const caller = await authenticated(scene)
      assert.equal(await caller.say(resume(id) + ASK), resumed(id, handled) + ack(handled))
      assert.equal(await caller.say(message() + ASK), ack(handled + 1))
      if (handled === 2) caller.end()
      else caller.reset()
      await scene.clock.settle()
    }
    assert.equal(scene.stanzas.length, 5)
  })

  it('gives each stream an id of its own, and none where resumption was not asked for or is switched off', async () => {
    const scene = await createScene()
    assert.notEqual(await enabled(await authenticated(scene)), await enabled(await authenticated(scene)))
    assert.equal(await (await authenticated(scene)).say(`<enable ${SM}/>`), `<enabled ${SM}/>`)
    assert.equal(await (await authenticated(scene)).say(`<enable ${SM} resume='no'/>`), `<enabled ${SM}/>`)
    const without = await createScene({ extensions: { resumption: false } })
    assert.equal(await (await authenticated(without)).say(ENABLE), `<enabled ${SM}/>`)
  })

  it('answers feature-not-implemented where resumption is switched off, and goes on (XEP-0198 §5)', async () => {
    const scene = await createScene({ extensions: { resumption: false } })
    const caller = await authenticated(scene)
    assert.equal(
      await caller.say(resume('any') + ENABLE),
      `<failed ${SM}><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed><enabled ${SM}/>`
    )
    assert.equal(await caller.say(message() + ASK), ack(1))
  })

  it('[ENG-SM-b] answers item-not-found to an id of another pair, without its count, and leaves the stream to whom it belongs', async () => {
    const scene = await createScene()
    const id = await lost(scene)
    const other = await authenticated(scene, 'mercutio.example')
    assert.equal(await other.say(resume(id) + ENABLE.replace(" resume='true'", '')), `${NOT_FOUND}<enabled ${SM}/>`)
    assert.equal(await (await authenticated(scene)).say(resume(id)), resumed(id, 2))
  })

  it('[ENG-SM-b] resumes a stream of two pairs only where both are authenticated again', async () => {
    const scene = await createScene({ authority: { answer: 'valid', verifiedOver: 'tls' } })
    const more = key('KEY', 'mercutio.example')
    const both = (): Promise<Caller> => authenticated(scene, 'capulet.example', ['mercutio.example'])
    const first = await both()
    assert.match(await first.say(more), /type='valid'/)
    const id = await enabled(first)
    first.reset()
    const second = await both()
    assert.equal(await second.say(resume(id)), NOT_FOUND)
    assert.match(await second.say(more), /type='valid'/)
    assert.equal(await second.say(resume(id)), resumed(id, 0))
  })

  it('[ENG-SM-b] resumes nothing before authentication, and nothing on a stream that is managed already', async () => {
    const scene = await createScene()
    const id = await lost(scene)
    const early = await scene.call()
    await early.startTls(certificate('capulet.example'))
    await early.say(header())
    assert.equal(await early.say(resume(id)), failed('unexpected-request'))
    const managed = await authenticated(scene)
    await enabled(managed)
    assert.equal(await managed.say(resume(id)), failed('unexpected-request'))
    assert.equal(await managed.say(message() + ASK), ack(1))
  })

  for (const [how, end] of [
    ['closed by the peer', (caller: Caller) => caller.say(CLOSE)],
    ['ended with an error by the peer', (caller: Caller) => caller.say(timedOut.replaceAll('connection-timeout', 'reset'))],
    ['ended with an error by us', (caller: Caller) => caller.say(message('a@elsewhere.example'))],
    [
      'closed by us',
      async (caller: Caller, scene: Scene) => {
        const closing = [...scene.links].map(link => link.close())
        caller.reset()
        await scene.clock.run(Promise.all(closing))
      }
    ]
  ] as const)
    it(`does not know a stream any more that was ${how}`, async () => {
      const scene = await createScene()
      const caller = await authenticated(scene)
      const id = await enabled(caller)
      await end(caller, scene)
      caller.reset()
      await scene.clock.settle()
      assert.equal(await (await authenticated(scene)).say(resume(id)), NOT_FOUND)
    })

  it('knows a stream that the peer gave up because it heard nothing', async () => {
    const scene = await createScene()
    const caller = await authenticated(scene)
    const id = await enabled(caller)
    await caller.say(message() + timedOut)
    assert.equal(await (await authenticated(scene)).say(resume(id)), resumed(id, 1))
  })

  it('forgets a lost stream when its time is over', async () => {
    const scene = await createScene({ timeouts: { resumption: 5_000 } })
    const caller = await authenticated(scene)
    const [, id] = /^<enabled [^>]* id='([^']*)' resume='true' max='5'\/>$/.exec(await caller.say(ENABLE)) ?? []
    assert.ok(id)
    caller.reset()
    await scene.clock.advance(4_999)
    const again = await authenticated(scene)
    assert.equal(await again.say(resume(id)), resumed(id, 0))
    again.reset()
    await scene.clock.advance(5_000)
    assert.equal(await (await authenticated(scene)).say(resume(id)), NOT_FOUND)
    assert.equal(scene.clock.pendingTimers, 1, 'only the lifetime of the link that is there')
  })

  it('keeps so many lost streams and no more: the one that was lost first makes room', async () => {
    const scene = await createScene({ limits: { resumableStreams: 2 } })
    const [first, second, third] = [await lost(scene, 1), await lost(scene, 2), await lost(scene, 3)]
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(first) + resume(second)), NOT_FOUND + resumed(second, 2))
    assert.equal(await (await authenticated(scene)).say(resume(third)), resumed(third, 3))
  })

  it('[ENG-Q-a] keeps the lost streams of one peer however many another loses: whoever has most of them makes room', async () => {
    const scene = await createScene({ limits: { resumableStreams: 3 } })
    const honest = [await lost(scene, 1), await lost(scene, 2)]
    const strangers: string[] = []
    for (let n = 0; n < 5; n += 1) {
      const stranger = await authenticated(scene, 'other.example', [], { from: '198.51.100.66' })
      strangers.push(await enabled(stranger))
      stranger.reset()
      await scene.clock.settle()
    }
    for (const [at, id] of honest.entries()) assert.equal(await (await authenticated(scene)).say(resume(id)), resumed(id, at + 1))
    const again = await authenticated(scene, 'other.example', [], { from: '198.51.100.66' })
    assert.equal(await again.say(strangers.map(id => resume(id)).join('')), NOT_FOUND.repeat(4) + resumed(strangers[4] ?? '', 0))
  })

  it('[ENG-Q-a] ends the old connection with conflict if it is still there, and handles nothing of it any more', async () => {
    const scene = await createScene()
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message())
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), resumed(id, 1))
    assert.equal(errorIn(await old.say(message())), 'conflict')
    assert.equal(scene.stanzas.length, 1)
    assert.equal(await caller.say(message() + ASK), ack(2))
  })

  it('[ENG-Q-a] answers when what is in hand is handled, and handles nothing that waited behind it: the peer sends that again', async () => {
    const { gates, onStanza } = slow()
    const ids: (string | undefined)[] = []
    const scene = await createScene({ onStanza: (stanza, on) => (ids.push(stanza.id), onStanza?.(stanza, on)) })
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message(undefined, undefined, '1') + message(undefined, undefined, '2'))
    old.reset()
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), '')
    gates[0]?.()
    assert.equal(await caller.hear(), resumed(id, 1))
    await caller.say(message(undefined, undefined, '2'))
    gates[1]?.()
    assert.equal(await caller.say(ASK), ack(2))
    assert.deepEqual(ids, ['1', '2'])
  })

  it('answers <failed/> with its count when a handler takes too long, and the stream goes on as a new one', async () => {
    const { gates, onStanza } = slow()
    const scene = await createScene({ onStanza: (stanza, on) => (stanza.id === 'quick' ? undefined : onStanza?.(stanza, on)) })
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message(undefined, undefined, 'quick') + message())
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), '')
    await scene.clock.advance(14_999)
    assert.equal(await caller.hear(), '')
    await scene.clock.advance(1)
    assert.equal(await caller.hear(), failed('item-not-found', " h='1'"))
    gates[0]?.()
    assert.equal(await caller.say(resume(id)), NOT_FOUND)
    await enabled(caller)
    assert.equal(await caller.say(message(undefined, undefined, 'quick') + ASK), ack(1))
  })

  it('lets the newest connection have a stream that several want to resume', async () => {
    const { gates, onStanza } = slow()
    const scene = await createScene({ ...(onStanza === undefined ? {} : { onStanza }) })
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message())
    const first = await authenticated(scene)
    assert.equal(await first.say(resume(id)), '')
    const second = await authenticated(scene)
    assert.equal(await second.say(resume(id)), '')
    assert.equal(errorIn(await first.hear()), 'conflict')
    gates[0]?.()
    assert.equal(await second.hear(), resumed(id, 1))
  })

  it('knows a stream on whose connection the answer was never heard', async () => {
    const { gates, onStanza } = slow()
    const scene = await createScene({ ...(onStanza === undefined ? {} : { onStanza }) })
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message())
    const first = await authenticated(scene)
    await first.say(resume(id))
    first.reset()
    gates[0]?.()
    await scene.clock.settle()
    assert.equal(await (await authenticated(scene)).say(resume(id)), resumed(id, 1))
  })

  for (const [h, condition] of [
    [1, 'undefined-condition'],
    ['x', 'bad-format'],
    ['', 'bad-format'],
    ['-1', 'bad-format']
  ] as const)
    it(`[XEP0198-6-a] [XEP0198-4-d] ends the stream on h='${h}', which nobody can have counted, and forgets the one to be resumed`, async () => {
      const scene = await createScene()
      const id = await lost(scene)
      const caller = await authenticated(scene)
      const heard = await caller.say(resume(id, h))
      assert.match(heard, new RegExp(`^<stream:error><${condition} `))
      if (h === 1) assert.match(heard, /<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1' send-count='0'\/>/)
      assert.equal(await (await authenticated(scene)).say(resume(id)), NOT_FOUND)
    })

  for (const xml of [`<resume ${SM} h='0'/>`, resume('', 0), resume('x'.repeat(60_000), 0), resume('__proto__', 'x')])
    it(`[ENG-SM-b] answers item-not-found to ${xml.slice(0, 60)}, and the stream goes on`, async () => {
      const scene = await createScene()
      const caller = await authenticated(scene)
      assert.equal(await caller.say(xml), NOT_FOUND)
      await enabled(caller)
    })
})
