import assert from 'node:assert/strict'
import { allowOnly, block } from '../../lib/policy/guards.ts'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

const ROOMS = 'rooms.example'

/** capulet.example, proved by EXTERNAL with a certificate that covers rooms.example too. */
async function linked(options: SceneOptions = {}, alsoFor: readonly string[] = [ROOMS]): Promise<{ scene: Scene; caller: Caller }> {
  const scene = await createScene({ coveredSenders: ['capulet.example'], ...options })
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example', 'valid', alsoFor))
  await caller.say(header())
  await caller.say(auth('='))
  await caller.say(header())
  return { scene, caller }
}

const from = (sender: string, id = 'm1'): string => message(`x@${sender}`, undefined, id)

describe('a sender that the certificate covers and nobody has authenticated', () => {
  it('is let in where the peer is known to send so: its pair has a level of its own, and the order is kept', async () => {
    const { scene, caller } = await linked()
    assert.equal(await caller.say(from(ROOMS, '1') + message(undefined, undefined, '2') + from(ROOMS, '3')), '')
    assert.deepEqual(
      scene.stanzas.map(({ stanza, pair }) => [stanza.id, pair.pair.sender, pair.level, pair.peerIdentity]),
      [
        ['1', ROOMS, 'tls-dialback', 'pkix'],
        ['2', 'capulet.example', 'sasl-external', 'pkix'],
        ['3', ROOMS, 'tls-dialback', 'pkix']
      ]
    )
    assert.equal(scene.asked.length, 0, 'nobody is called')
  })

  const refused: readonly (readonly [string, SceneOptions, readonly string[]])[] = [
    ['where nobody said that the peer sends so', { coveredSenders: [] }, [ROOMS]],
    ['where another peer is known to', { coveredSenders: ['mercutio.example', '*.capulet.example'] }, [ROOMS]],
    ['where the certificate does not cover it', {}, ['other.example']],
    ['where policy refuses it', { guards: [block([ROOMS])] }, [ROOMS]],
    ['where policy admits others only', { guards: [allowOnly(['capulet.example'])] }, [ROOMS]],
    [
      'where policy takes its time and refuses it',
      { policy: { admit: peer => Promise.resolve(peer.remote === ROOMS ? 'refuse' : 'admit') } },
      [ROOMS]
    ],
    ['where the level is below the floor', { policy: policies.ladder({ minimumLevel: 'sasl-external' }) }, [ROOMS]],
    ['where there is no room for another pair', { limits: { pairsPerStream: 1 } }, [ROOMS]]
  ]
  for (const [where, options, alsoFor] of refused)
    it(`is invalid-from ${where}, and nothing is delivered`, async () => {
      const { scene, caller } = await linked(options, alsoFor)
      assert.equal(errorIn(await caller.say(from(ROOMS) + message())), 'invalid-from')
      assert.equal(scene.stanzas.length, 0)
    })

  it('is invalid-from where the domain is our own, or the target is another', async () => {
    const own = await linked({}, ['second.example'])
    assert.equal(errorIn(await own.caller.say(from('second.example'))), 'invalid-from')
    const elsewhere = await linked()
    assert.equal(errorIn(await elsewhere.caller.say(message(`x@${ROOMS}`, 'romeo@second.example'))), 'invalid-from')
    assert.equal(own.scene.stanzas.length + elsewhere.scene.stanzas.length, 0)
  })

  it('is invalid-from in clear', async () => {
    const scene = await createScene({ coveredSenders: ['*'], authority: { answer: 'valid', verifiedOver: 'clear' } })
    const caller = await scene.call()
    await caller.say(header())
    await caller.say("<db:result from='capulet.example' to='montague.example'>KEY</db:result>")
    assert.equal(errorIn(await caller.say(from(ROOMS))), 'invalid-from')
  })
})
