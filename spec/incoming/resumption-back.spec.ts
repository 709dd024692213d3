import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Carrier } from '../../lib/streams/carrier.ts'
import type { Fate } from '../../lib/streams/consignment.ts'
import { pairOf } from '../world.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

const BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
const SM = "xmlns='urn:xmpp:sm:3'"
const ENABLE = `<enable ${SM} resume='true'/>`
const ASK = `<r ${SM}/>`
const BACK = pairOf('montague.example', 'capulet.example')
const STEP = 15_000
const ack = (h: number): string => `<a ${SM} h='${h}'/>`
const resume = (id: string, h: number | string = 0): string => `<resume ${SM} previd='${id}' h='${h}'/>`
const resumed = (id: string, h: number): string => `<resumed ${SM} previd='${id}' h='${h}'/>`
const back = (id: string): string => message('romeo@montague.example', 'juliet@capulet.example', id)
const NOT_FOUND = `<failed ${SM}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`

afterEach(endScenes)

/** A stream of capulet.example that its certificate has authenticated, after what was said before that. */
async function authenticated(scene: Scene, before = BIDI, alsoFor: readonly string[] = []): Promise<Caller> {
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example', 'valid', alsoFor))
  await caller.say(header())
  await caller.say(before)
  await caller.say(auth('='))
  await caller.say(header())
  return caller
}

async function enabled(caller: Caller): Promise<string> {
  const heard = await caller.say(ENABLE)
  const id = /^<enabled [^>]* id='([\w-]{22})' resume='true' max='\d+'\/>$/.exec(heard)?.[1]
  assert.ok(id, heard)
  return id
}

/** What became of what was sent: every end that was told, in order. */
type Fates = readonly (readonly [string, string])[]

/** Sends on the carrier that is offered, and tells what becomes of it. */
function send(scene: Scene, ...ids: readonly string[]): { readonly carrier: Carrier; readonly fates: Fates } {
  const fates: [string, string][] = []
  const carrier = scene.carriers.find(BACK) ?? assert.fail('nothing may be sent back')
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
    carrier.send(consignment, (_, fate: Fate) => fates.push([id, FederationError.is(fate) ? fate.code : fate]))
  }
  return { carrier, fates }
}

/** A stream on which some stanzas were sent back, and which is then lost. */
async function lost(ids: readonly string[], options: SceneOptions = {}, caused = (caller: Caller): unknown => caller.reset()) {
  const scene = await createScene(options)
  const caller = await authenticated(scene)
  const id = await enabled(caller)
  const { carrier, fates } = send(scene, ...ids)
  assert.equal(await caller.hear(), ids.map(back).join('') + ASK)
  await caused(caller)
  await scene.clock.settle()
  return { scene, id, carrier, fates, old: caller }
}

const fated = (fate: string, ...ids: readonly string[]): Fates => ids.map(id => [id, fate])

describe('incoming/resumption of what was sent back', () => {
  it('[ENG-Q-a] acknowledges what the peer has counted, and sends the rest again in order, right behind <resumed/>', async () => {
    const { scene, id, carrier, fates } = await lost(['1', '2', '3'])
    assert.deepEqual(fates, [])
    assert.equal(await scene.clock.run(carrier.closed), undefined)
    const { kept } = carrier
    assert.ok(kept?.isHeld)
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id, 1)), resumed(id, 0) + back('2') + back('3') + ASK)
    assert.deepEqual(fates, fated('acknowledged', '1'))
    assert.equal(await scene.clock.run(kept.carriedOn), scene.carriers.find(BACK))
    const more = send(scene, '4')
    assert.equal(await caller.hear(), back('4'))
    await caller.say(ack(3))
    assert.deepEqual(fates, fated('acknowledged', '1', '2', '3'))
    await caller.say(ack(4))
    assert.deepEqual(more.fates, fated('acknowledged', '4'))
    assert.equal(await caller.say(message() + ASK), ack(1))
  })

  it('[ENG-Q-a] keeps it as often as the stream is lost, and its counters go on', async () => {
    const { scene, id, fates } = await lost(['1', '2', '3'])
    for (const [h, left] of [
      [0, ['1', '2', '3']],
      [1, ['2', '3']],
      [1, ['2', '3']],
      [2, ['3']]
    ] as const) {
      const caller = await authenticated(scene)
      assert.equal(await caller.say(resume(id, h)), resumed(id, 0) + left.map(back).join('') + ASK)
      caller.reset()
      await scene.clock.settle()
    }
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id, 3)), resumed(id, 0))
    assert.deepEqual(fates, fated('acknowledged', '1', '2', '3'))
  })

  it('[ENG-Q-a] sends nothing again that was acknowledged before the loss', async () => {
    const { scene, id, fates } = await lost(['1', '2'], {}, async caller => {
      await caller.say(ack(1))
      caller.reset()
    })
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id, 1)), resumed(id, 0) + back('2') + ASK)
    await caller.say(ack(2))
    assert.deepEqual(fates, fated('acknowledged', '1', '2'))
  })

  it('[ENG-Q-a] takes it over from a connection that is still there, which ends with conflict', async () => {
    const { scene, id, fates, old } = await lost(['1', '2'], {}, () => undefined)
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id, 1)), resumed(id, 0) + back('2') + ASK)
    assert.equal(errorIn(await old.say(ack(2))), 'conflict')
    assert.deepEqual(fates, fated('acknowledged', '1'))
    await caller.say(ack(2))
    assert.deepEqual(fates, fated('acknowledged', '1', '2'))
  })

  for (const [name, said, answer] of [
    ['begins anew', ENABLE, /^<enabled /],
    ['asks for another stream', resume('another'), new RegExp(`^${NOT_FOUND}$`)]
  ] as const)
    it(`[ENG-Q-a] leaves it in doubt at once when the pair comes back and ${name}`, async () => {
      const { scene, carrier, fates } = await lost(['1', '2'])
      const caller = await authenticated(scene)
      assert.deepEqual(fates, [])
      assert.match(await caller.say(said), answer)
      assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1', '2'))
      assert.equal(await scene.clock.run(carrier.kept?.carriedOn ?? assert.fail()), undefined)
    })

  for (const [timeouts, time] of [
    [{}, STEP],
    [{ step: 4_000 }, 4_000],
    [{ resumption: 3_000 }, 3_000]
  ] as const)
    it(`[ENG-Q-a] leaves it in doubt when the peer has not come back in ${time} ms, and does not send it again when it comes later`, async () => {
      const { scene, id, fates } = await lost(['1', '2'], { timeouts })
      await scene.clock.advance(time - 1)
      assert.deepEqual(fates, [])
      await scene.clock.advance(1)
      assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1', '2'))
      const caller = await authenticated(scene)
      if ('resumption' in timeouts) return assert.equal(await caller.say(resume(id, 1)), NOT_FOUND)
      assert.equal(await caller.say(resume(id, 1)), resumed(id, 0))
      send(scene, '3')
      await caller.hear()
      assert.equal(await caller.say(ack(2) + ASK), ack(0))
    })

  it('[ENG-Q-a] [XEP0288-2.2-b] leaves it in doubt when the stream goes on where nothing may be sent back', async () => {
    const { scene, id, fates } = await lost(['1', '2'])
    const caller = await authenticated(scene, '')
    assert.equal(await caller.say(resume(id, 1)), resumed(id, 0))
    assert.deepEqual(fates, [...fated('acknowledged', '1'), ...fated('S2S_IN_DOUBT', '2')])
  })

  it('[ENG-Q-a] [XEP0288-2.2-b] leaves it in doubt when policy does not let its pair flow any more, however late it says so', async () => {
    const refused: ((answer: 'refuse') => void)[] = []
    const state = { refuses: false }
    const { scene, id, fates } = await lost(['1'], {
      policy: {
        admit: ({ direction }) =>
          state.refuses && direction === 'outgoing' ? new Promise<'refuse'>(resolve => refused.push(resolve)) : undefined
      }
    })
    state.refuses = true
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), '')
    assert.deepEqual(fates, [])
    for (const refuse of refused) refuse('refuse')
    assert.equal(await caller.hear(), resumed(id, 0))
    assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
  })

  it('[ENG-Q-a] leaves it in doubt when policy does not say in time whether its pair may flow, and resumes the rest', async () => {
    const late: ((answer: 'refuse') => void)[] = []
    const state = { hangs: false }
    const { scene, id, fates } = await lost(['1'], {
      policy: {
        admit: ({ direction }) =>
          state.hangs && direction === 'outgoing' ? new Promise<'refuse'>(resolve => late.push(resolve)) : undefined
      }
    })
    await scene.clock.advance(1_000)
    state.hangs = true
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), '')
    await scene.clock.advance(STEP - 1_000)
    assert.equal(await caller.hear(), resumed(id, 0))
    assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
    for (const refuse of late) refuse('refuse')
  })

  for (const [h, condition] of [
    [3, 'undefined-condition'],
    ['x', 'bad-format']
  ] as const)
    it(`[XEP0198-6-a] [XEP0198-4-d] leaves it in doubt on h='${h}', which nobody can have counted, and ends the stream`, async () => {
      const { scene, id, fates } = await lost(['1', '2'])
      const caller = await authenticated(scene)
      assert.match(await caller.say(resume(id, h)), new RegExp(`^<stream:error><${condition} `))
      assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1', '2'))
    })

  for (const [how, end] of [
    ['closed by the peer', (caller: Caller) => caller.say('</stream:stream>')],
    [
      'ended with an error by the peer',
      (caller: Caller) => caller.say("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
    ]
  ] as const)
    it(`[ENG-Q-a] keeps nothing of a stream that was ${how}`, async () => {
      const { carrier, fates, scene } = await lost(['1'], {}, async caller => {
        await end(caller)
        caller.reset()
      })
      await scene.clock.settle()
      assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
      assert.equal(carrier.kept, undefined)
    })

  it('[ENG-Q-a] keeps nothing of a stream that cannot be resumed', async () => {
    for (const [said, options] of [
      [`<enable ${SM}/>`, {}],
      [ENABLE, { extensions: { resumption: false } }]
    ] as const) {
      const scene = await createScene(options)
      const caller = await authenticated(scene)
      assert.equal(await caller.say(said), `<enabled ${SM}/>`)
      const { fates } = send(scene, '1')
      await caller.hear()
      caller.reset()
      await scene.clock.settle()
      assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
    }
  })

  it('[ENG-Q-a] keeps nothing of a stream of several pairs: its initiating side does not resume it', async () => {
    const scene = await createScene({ authority: { answer: 'valid', verifiedOver: 'tls' } })
    const caller = await authenticated(scene, BIDI, ['mercutio.example'])
    assert.match(await caller.say(key('KEY', 'mercutio.example')), /type='valid'/)
    await enabled(caller)
    const { fates } = send(scene, '1')
    await caller.hear()
    caller.reset()
    await scene.clock.settle()
    assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
  })

  it('[ENG-Q-a] keeps it for so many streams and no more: that of the stream that was lost first is in doubt', async () => {
    const { scene, fates } = await lost(['1'], { limits: { resumableStreams: 1 } })
    const other = await scene.call()
    await other.startTls(certificate('mercutio.example'), header({ from: 'mercutio.example' }))
    await other.say(header({ from: 'mercutio.example' }))
    await other.say(auth('='))
    await other.say(header({ from: 'mercutio.example' }))
    await enabled(other)
    assert.deepEqual(fates, [])
    other.reset()
    await scene.clock.settle()
    assert.deepEqual(fates, fated('S2S_IN_DOUBT', '1'))
  })

  it('[ENG-Q-a] waits for no handler that may be waiting for what is to be sent again: what is in its hands counts as handled', async () => {
    const gates: (() => void)[] = []
    const ids: (string | undefined)[] = []
    const scene = await createScene({
      onStanza: stanza => {
        ids.push(stanza.id)
        return new Promise<void>(resolve => gates.push(resolve))
      }
    })
    const old = await authenticated(scene)
    const id = await enabled(old)
    await old.say(message(undefined, undefined, 'a') + message(undefined, undefined, 'b'))
    send(scene, '1')
    await old.hear()
    old.reset()
    const caller = await authenticated(scene)
    assert.equal(await caller.say(resume(id)), resumed(id, 1) + back('1') + ASK)
    await caller.say(message(undefined, undefined, 'b'))
    assert.deepEqual(ids, ['a'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(ids, ['a', 'b'])
    gates[1]?.()
    assert.equal(await caller.say(ack(1) + ASK), ack(2))
  })

  it('[ENG-Q-a] leaves it in doubt when the engine stops, and when it authenticates nobody any more', async () => {
    const leaving = await lost(['1'])
    leaving.scene.reception.leave()
    assert.deepEqual(leaving.fates, fated('S2S_IN_DOUBT', '1'))
    const late = await lost(['1'], {}, () => undefined)
    late.scene.reception.leave()
    late.old.reset()
    await late.scene.clock.settle()
    assert.deepEqual(late.fates, fated('S2S_IN_DOUBT', '1'))
    const stopping = await lost(['1'])
    await stopping.scene.clock.run(stopping.scene.reception.stop())
    assert.deepEqual(stopping.fates, fated('S2S_IN_DOUBT', '1'))
  })
})
