import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Credentials, KeyStore } from '../../lib/model/plugs.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { allowOnly, block } from '../../lib/policy/guards.ts'
import { forDomains, layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, idIn, key, message, STARTTLS } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

const SECRET = 'a secret of at least thirty-two octets'
const VALID = "<db:result from='montague.example' to='capulet.example' type='valid'/>"
const INVALID = "<db:result from='montague.example' to='capulet.example' type='invalid'/>"

function refusal(condition: string, from = 'montague.example', to = 'capulet.example'): string {
  const error = `<error type='cancel'><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
  return `<db:result from='${from}' to='${to}' type='error'>${error}</db:result>`
}

async function inClear(options: SceneOptions = {}): Promise<{ scene: Scene; caller: Caller; id: string }> {
  const scene = await createScene(options)
  const caller = await scene.call()
  return { scene, caller, id: idIn(await caller.say(header())) }
}

async function byExternal(options: SceneOptions = {}, alsoFor: readonly string[] = []): Promise<{ scene: Scene; caller: Caller }> {
  const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }), ...options })
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example', 'valid', alsoFor))
  await caller.say(header())
  await caller.say(auth('='))
  await caller.say(header())
  return { scene, caller }
}

async function answered({ scene, caller }: { scene: Scene; caller: Caller }, answer: 'valid' | 'invalid' | 'error'): Promise<string> {
  scene.asked.at(-1)?.answer({ answer, verifiedOver: 'clear' })
  return await caller.hear()
}

describe('incoming/dialback, receiving server', () => {
  it('asks again what was asked under settings that have changed meanwhile', async () => {
    const settings = { epoch: 0 }
    const { scene, caller } = await inClear({ settings })
    await caller.say(key())
    settings.epoch += 1
    assert.equal(await answered({ scene, caller }, 'valid'), '', 'an answer under the old settings proves nothing')
    assert.equal(scene.asked.length, 2)
    assert.equal(await answered({ scene, caller }, 'valid'), VALID)
    const again = await scene.call()
    await again.say(header())
    await again.say(key())
    for (let change = 0; change < 3; change += 1) {
      settings.epoch += 1
      assert.equal(scene.asked.length, 3 + change)
      scene.asked.at(-1)?.answer({ answer: 'valid', verifiedOver: 'clear' })
      await scene.clock.settle()
    }
    assert.equal(await again.hear(), refusal('remote-server-timeout'), 'and not for ever')
    assert.equal(scene.links.size, 1)
  })

  it('[RFC6120-5.4.3.3-a] forgets inside TLS a key that was pending in clear: its answer makes no pair and is told to nobody', async () => {
    const { scene, caller } = await inClear()
    await caller.say(key())
    await caller.say(STARTTLS)
    await caller.secure(undefined)
    await caller.say(header())
    assert.equal(scene.asked[0]?.signal.aborted, true, 'the authoritative server is still being asked')
    assert.equal(await answered({ scene, caller }, 'valid'), '')
    assert.equal(scene.links.size, 0)
    assert.equal(errorIn(await caller.say(message())), 'not-authorized')
    assert.equal(scene.stanzas.length, 0)
  })

  it('[RFC6120-6.4.6-a] says nothing on the stream after SASL about a key of the stream before', async () => {
    const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header())
    await caller.say(key('KEY', 'mantua.example'))
    await caller.say(auth('='))
    assert.equal(await answered({ scene, caller }, 'valid'), '')
    await caller.say(header())
    assert.deepEqual(
      [...scene.links].flatMap(link => link.pairs.map(each => each.pair.sender)),
      ['capulet.example']
    )
  })

  it('[XEP0220-2.1.2-a] asks about the pair under the id of its current header, and hands the key on unchanged', async () => {
    const { scene, caller, id } = await inClear()
    assert.equal(await caller.say(key('\n  b4835 &amp; 385f\t\n')), '')
    assert.deepEqual(scene.asked[0]?.request, {
      pair: { sender: 'capulet.example', target: 'montague.example' },
      streamId: id,
      key: 'b4835 & 385f',
      asker: '192.0.2.2'
    })
    const tls = await createScene()
    const secured = await tls.call()
    const first = idIn(await secured.say(header()))
    await secured.say(STARTTLS)
    await secured.secure(undefined)
    const second = idIn(await secured.say(header()))
    await secured.say(key())
    assert.notEqual(second, first)
    assert.equal(tls.asked[0]?.request.streamId, second)
  })

  it('[XEP0220-2.1.2-d] never asks on the stream that asked: nothing is written until the answer is there', async () => {
    const { scene, caller } = await inClear()
    assert.equal(await caller.say(key()), '')
    assert.equal(scene.links.size, 0)
    assert.equal(await answered({ scene, caller }, 'valid'), VALID)
    assert.equal([...scene.links][0]?.level, 'plain-dialback')
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
  })

  it('gives tls-dialback inside TLS, and says over what the authoritative server was called', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.startTls(undefined)
    await caller.say(header())
    await caller.say(key())
    scene.asked[0]?.answer({ answer: 'valid', verifiedOver: 'verified-tls' })
    assert.equal(await caller.hear(), VALID)
    assert.deepEqual(scene.reports[0]?.pairs, [
      {
        pair: { sender: 'capulet.example', target: 'montague.example' },
        flow: 'receive',
        level: 'tls-dialback',
        peerIdentity: 'dns',
        verifiedOver: 'verified-tls'
      }
    ])
    assert.match(scene.reports[0].downgrades[0]?.because ?? '', /no certificate was presented/)
  })

  it('[XEP0220-2.4.2-a] advertises errors in each feature set where dialback is possible', async () => {
    const feature = /<dialback xmlns='urn:xmpp:features:dialback'><errors\/><\/dialback>/
    const scene = await createScene()
    const caller = await scene.call()
    assert.match(await caller.say(header()), feature)
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    assert.match(await caller.say(header()), feature)
    await caller.say(auth('='))
    assert.match(await caller.say(header()), feature)
    const strict = await (await createScene({ policy: policies.strict() })).call()
    await strict.startTls(certificate('capulet.example'))
    assert.doesNotMatch(await strict.say(header()), /<dialback/)
  })

  it('[XEP0220-2.2.1-a] answers an unknown to with item-not-found, echoed, and the stream still delivers', async () => {
    const { scene, caller } = await byExternal()
    assert.equal(await caller.say(key('K', 'capulet.example', 'VERONA.example')), refusal('item-not-found', 'VERONA.example'))
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
  })

  it('[XEP0220-2.2.1-b] answers invalid and closes when nothing else is authenticated', async () => {
    const { scene, caller } = await inClear()
    await caller.say(key())
    const heard = await answered({ scene, caller }, 'invalid')
    assert.ok(heard.startsWith(INVALID))
    assert.equal(errorIn(heard), 'not-authorized')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_DIALBACK_INVALID')
  })

  it('[XEP0220-2.2.1-b] keeps the stream of another valid pair after an invalid key, and answers forbidden', async () => {
    const { scene, caller } = await byExternal()
    await caller.say(key('K', 'mercutio.example'))
    scene.asked[0]?.answer({ answer: 'invalid', verifiedOver: 'tls' })
    assert.equal(await caller.hear(), refusal('forbidden', 'montague.example', 'mercutio.example'))
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
    assert.equal(errorIn(await caller.say(message('x@mercutio.example'))), 'invalid-from')
  })

  it('[XEP0220-2.2.1-c] delivers nothing of a pair whose target was not verified', async () => {
    const { scene, caller } = await inClear({ authority: { answer: 'valid', verifiedOver: 'clear' } })
    assert.equal(await caller.say(key()), VALID)
    assert.equal(errorIn(await caller.say(message('juliet@capulet.example', 'x@second.example'))), 'host-unknown')
    assert.equal(scene.stanzas.length, 0)
  })

  for (const condition of [undefined, 'item-not-found', 'remote-server-timeout', 'policy-violation'])
    it(`[XEP0220-2.5-a] answers ${condition ?? 'an error'} of the authoritative server with remote-server-not-found`, async () => {
      const { scene, caller } = await inClear()
      await caller.say(key())
      scene.asked[0]?.answer({ answer: 'error', verifiedOver: 'clear', ...(condition === undefined ? {} : { condition }) })
      assert.equal(await caller.hear(), refusal('remote-server-not-found'))
      assert.equal(await caller.say(key()), '', 'and the stream lives on')
    })

  for (const [code, condition] of [
    ['S2S_STREAM_CLOSED', 'remote-server-timeout'],
    ['S2S_TIMEOUT', 'remote-server-timeout'],
    ['S2S_DNS_FAILED', 'remote-server-timeout'],
    ['S2S_DNS_NO_SERVICE', 'remote-server-not-found'],
    ['S2S_DNS_SERVICE_REFUSED', 'remote-server-not-found'],
    ['S2S_CONNECT_FAILED', 'remote-connection-failed'],
    ['S2S_TLS_HANDSHAKE', 'remote-connection-failed'],
    ['S2S_CERTIFICATE', 'not-authorized'],
    ['S2S_LIMIT', 'resource-constraint'],
    ['S2S_BUSY', 'resource-constraint'],
    ['S2S_KEY_STORE', 'resource-constraint']
  ] as const satisfies readonly (readonly [ErrorCode, string])[]) {
    it(`[XEP0220-2.1.2-c] answers ${condition} when the authoritative server cannot be asked: ${code}`, async () => {
      const { scene, caller } = await inClear()
      await caller.say(key())
      scene.asked[0]?.fail(new FederationError(code, { step: 'connect' }))
      assert.equal(await caller.hear(), refusal(condition))
      caller.end()
      await scene.clock.settle()
      assert.deepEqual(scene.trace('dialback')[0]?.facts.unverified, { code, step: 'connect' })
      assert.equal(scene.links.size, 0)
    })
  }

  it('answers remote-server-not-found when the authoritative server does not know its own domain', async () => {
    const { scene, caller } = await inClear()
    await caller.say(key())
    scene.asked[0]?.fail(new FederationError('S2S_STREAM_ERROR_RECEIVED', { condition: 'host-unknown' }))
    assert.equal(await caller.hear(), refusal('remote-server-not-found'))
  })

  it('answers remote-server-timeout when no answer comes in time, and gives up asking', async () => {
    const { scene, caller } = await inClear({ timeouts: { dialback: 20_000 } })
    await caller.say(key())
    await scene.clock.advance(20_000)
    assert.equal(await caller.hear(), refusal('remote-server-timeout'))
    assert.ok(scene.asked[0]?.signal.aborted)
    assert.equal(await answered({ scene, caller }, 'valid'), '', 'an answer that comes late is nobody’s')
    assert.equal(scene.links.size, 0)
  })

  it('drops an answer for a stream that is gone, and stops asking when it goes', async () => {
    const { scene, caller } = await inClear()
    await caller.say(key())
    caller.reset()
    await scene.clock.settle()
    assert.ok(scene.asked[0]?.signal.aborted)
    scene.asked[0].answer({ answer: 'valid', verifiedOver: 'clear' })
    await scene.clock.settle()
    assert.equal(scene.links.size, 0)
    assert.equal(scene.reports.length, 1)
  })

  it('[ENG-DB-a] answers valid again for a pair that is authenticated, and asks once for a pair that is pending', async () => {
    const { scene, caller } = await inClear()
    await caller.say(key() + key('ANOTHER') + key())
    assert.equal(scene.asked.length, 1)
    assert.equal(await answered({ scene, caller }, 'valid'), VALID)
    assert.equal(await caller.say(key('WHATEVER')), VALID)
    assert.equal(scene.asked.length, 1)
    const external = await byExternal()
    assert.equal(await external.caller.say(key()), VALID)
  })

  it('goes on reading while a key is being verified: stanzas and questions of others (XEP-0220 §2.1.2)', async () => {
    const { scene, caller } = await byExternal()
    await caller.say(key('K', 'mercutio.example'))
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
    assert.match(await caller.say("<db:verify from='capulet.example' to='montague.example' id='x'>K</db:verify>"), /type='invalid'/)
    scene.asked[0]?.answer({ answer: 'valid', verifiedOver: 'tls' })
    assert.equal(await caller.hear(), "<db:result from='montague.example' to='mercutio.example' type='valid'/>")
    await caller.say(message('x@mercutio.example'))
    assert.equal(scene.stanzas.length, 2)
    assert.equal([...scene.links][0]?.level, 'tls-dialback', 'the lowest of the pairs')
    assert.equal([...scene.links][0]?.pairs.length, 2)
  })

  it('keeps pairs of different levels apart: each stanza comes with the level of its own pair', async () => {
    const { scene, caller } = await byExternal({}, ['mercutio.example'])
    await caller.say(key('K', 'mercutio.example'))
    await caller.say(key('K', 'paris.example'))
    scene.asked[0]?.answer({ answer: 'valid', verifiedOver: 'clear' })
    await caller.hear()
    for (const sender of ['capulet', 'mercutio', 'paris', 'capulet']) await caller.say(message(`x@${sender}.example`))
    assert.deepEqual(
      scene.stanzas.map(({ pair }) => [pair.pair.sender, pair.level, pair.peerIdentity, pair.verifiedOver]),
      [
        ['capulet.example', 'sasl-external', 'pkix', undefined],
        ['mercutio.example', 'tls-dialback', 'pkix', undefined],
        ['paris.example', 'tls-dialback', 'dns', 'clear'],
        ['capulet.example', 'sasl-external', 'pkix', undefined]
      ]
    )
  })

  it('ends the stream over addresses that are no domains', async () => {
    for (const [from, to] of [
      ['', 'montague.example'],
      ['capulet.example', ''],
      ['juliet@capulet.example', 'montague.example'],
      ['capulet.example', 'montague.example/x']
    ] as const) {
      const { caller } = await inClear()
      assert.equal(errorIn(await caller.say(key('K', from, to))), 'improper-addressing')
    }
  })

  it('[ENG-STREAM-b] refuses a sender that is hosted here, and keys that are none', async () => {
    const { scene, caller } = await inClear()
    assert.equal(await caller.say(key('K', 'second.example')), refusal('not-authorized', 'montague.example', 'second.example'))
    assert.equal(await caller.say(key('')), refusal('not-acceptable'))
    assert.equal(await caller.say(key('k'.repeat(256))), refusal('not-acceptable'))
    assert.equal(scene.asked.length, 0)
  })

  it('asks policy about every further pair', async () => {
    const guards = [allowOnly(['capulet.example', 'mercutio.example']), block(['mercutio.example'])]
    const { scene, caller } = await byExternal({ guards })
    for (const sender of ['mercutio.example', 'paris.example']) {
      assert.equal(await caller.say(key('K', sender)), refusal('not-authorized', 'montague.example', sender))
    }
    assert.equal(scene.asked.length, 0)
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
  })

  it('asks a further pair for the TLS, the certificate and the floor that policy wants of it', async () => {
    const policy = layer(
      forDomains(['tls.example'], policies.ladder({ tls: 'required' })),
      forDomains(['strict.example'], policies.strict()),
      policies.ladder()
    )
    const { scene, caller } = await inClear({ policy, authority: { answer: 'valid', verifiedOver: 'clear' } })
    assert.equal(await caller.say(key('K', 'tls.example')), refusal('policy-violation', 'montague.example', 'tls.example'))
    assert.equal(await caller.say(key('K', 'strict.example')), refusal('policy-violation', 'montague.example', 'strict.example'))
    assert.equal(await caller.say(key()), VALID)
    const asked = scene.trace('policy').map(({ facts }) => `${facts.question}: ${facts.answer}`)
    assert.equal(asked.filter(each => each === 'tls: required').length, 2)
    assert.equal(asked.filter(each => each === 'admit: admit').length, 3)
    const secured = await byExternal({ policy })
    assert.equal(await secured.caller.say(key('K', 'strict.example')), refusal('not-authorized', 'montague.example', 'strict.example'))
  })

  it('refuses a further sender whose certificate policy rejects, and keeps the stream of the first', async () => {
    const { scene, caller } = await byExternal({ policy: policies.ladder() })
    assert.equal(await caller.say(key('K', 'mercutio.example')), refusal('not-authorized', 'montague.example', 'mercutio.example'))
    assert.equal(scene.asked.length, 0)
    assert.equal(scene.trace('dialback')[0]?.code, 'S2S_CERTIFICATE')
    assert.deepEqual(scene.trace('check-certificate')[1]?.facts.verdict.problems[0]?.kind, 'wrong-identity')
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
  })

  it('[XEP0344-a] [RFC7712-4.4.1-a] answers valid without asking for a further sender that the certificate covers', async () => {
    const { scene, caller } = await byExternal({}, ['mercutio.example'])
    assert.equal(await caller.say(key('K', 'mercutio.example')), "<db:result from='montague.example' to='mercutio.example' type='valid'/>")
    assert.equal(scene.asked.length, 0)
    const link = [...scene.links][0]
    assert.deepEqual(link?.pairs[1], {
      pair: { sender: 'mercutio.example', target: 'montague.example' },
      flow: 'receive',
      level: 'tls-dialback',
      peerIdentity: 'pkix'
    })
    assert.equal(scene.trace('dialback')[0]?.facts.withoutDialback, true)
    await caller.say(message('x@mercutio.example'))
    assert.equal(scene.stanzas.length, 1)
  })

  it('[XEP0344-b] asks about every sender that the certificate does not cover, or covers without being trusted', async () => {
    const { scene, caller } = await byExternal({}, ['mercutio.example'])
    await caller.say(key('K', 'paris.example'))
    assert.equal(scene.asked.length, 1)
    const untrusting = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
    const stranger = await untrusting.call()
    await stranger.startTls(certificate('capulet.example', 'expired', ['mercutio.example']))
    await stranger.say(header())
    await stranger.say(key() + key('K', 'mercutio.example'))
    assert.equal(untrusting.asked.length, 2)
  })

  it('[XEP0220-3.1-a] never takes an answer that it did not ask for: the stream ends', async () => {
    for (const answer of [
      "<db:result from='capulet.example' to='montague.example' type='valid'/>",
      "<db:result from='montague.example' to='capulet.example' type='valid'/>",
      "<db:verify from='capulet.example' to='montague.example' id='x' type='valid'/>",
      "<db:result from='capulet.example' to='montague.example' type=''/>",
      "<db:result from='capulet.example' to='montague.example' type='error'><error/></db:result>"
    ]) {
      for (const pending of [false, true]) {
        const { scene, caller } = await inClear()
        if (pending) await caller.say(key())
        assert.equal(errorIn(await caller.say(answer)), 'policy-violation')
        assert.equal(scene.links.size, 0)
      }
    }
  })

  it('[XEP0220-3.1-a] does not take the answer of the stream that asked for the authoritative server’s', async () => {
    const { scene, caller, id } = await inClear()
    await caller.say(key())
    await caller.say(`<db:verify from='capulet.example' to='montague.example' id='${id}' type='valid'/>`)
    assert.equal(scene.links.size, 0)
  })
})

describe('incoming/dialback, limits', () => {
  it('[ENG-DB-a] verifies a bounded number of a thousand keys on one stream, and answers the rest resource-constraint', async () => {
    const { scene, caller } = await inClear({ limits: { verificationsPerStream: 8 } })
    const heard = await caller.say(Array.from({ length: 1000 }, (_, index) => key('K', `d${index}.example`)).join(''))
    assert.equal(scene.asked.length, 8)
    assert.equal(heard.match(/<resource-constraint /g)?.length, 992)
    scene.asked[0]?.fail(new FederationError('S2S_DNS_NO_SERVICE'))
    await caller.hear()
    await caller.say(key('K', 'd8.example'))
    assert.equal(scene.asked.length, 9, 'room is given back')
  })

  it('[ENG-DB-a] has Node complain of nothing while as many keys are verified as may be', async () => {
    const complaints: string[] = []
    const listen = (warning: Error): void => void complaints.push(warning.message)
    process.on('warning', listen)
    try {
      const { scene, caller } = await inClear()
      await caller.say(Array.from({ length: 16 }, (_, index) => key('K', `d${index}.example`)).join(''))
      assert.equal(scene.asked.length, 16)
      await new Promise(resolve => setImmediate(resolve))
      assert.deepEqual(complaints, [])
    } finally {
      process.off('warning', listen)
    }
  })

  it('[ENG-DB-a] bounds what is verified for one address, over all its streams', async () => {
    const scene = await createScene({ limits: { verificationsPerAddress: 2 } })
    const callers = [await scene.call(), await scene.call(), await scene.call({ from: '192.0.2.3' })]
    for (const caller of callers) await caller.say(header())
    assert.equal(await callers[0]?.say(key() + key('K', 'mercutio.example')), '')
    assert.match((await callers[1]?.say(key())) ?? '', /<resource-constraint /)
    assert.equal(await callers[2]?.say(key()), '', 'another address is not to blame')
    assert.equal(scene.asked.length, 3)
  })

  it('[ENG-DB-a] bounds what is verified for one sender from one address, and keeps its own server out for nobody else', async () => {
    const scene = await createScene({ limits: { verificationsPerSender: 1 } })
    const callers = [await scene.call(), await scene.call(), await scene.call({ from: '192.0.2.3' })]
    for (const caller of callers) await caller.say(header())
    assert.equal(await callers[0]?.say(key()), '')
    assert.match((await callers[1]?.say(key())) ?? '', /<resource-constraint /)
    assert.equal(await callers[2]?.say(key()), '')
    assert.deepEqual(
      scene.asked.map(({ request }) => request.asker),
      ['192.0.2.2', '192.0.2.3']
    )
    callers[0]?.reset()
    await scene.clock.settle()
    assert.equal(await callers[1]?.say(key()), '', 'a stream that is gone gives its room back')
  })

  it('[ENG-DB-a] bounds the pairs of one stream', async () => {
    const { scene, caller } = await inClear({ limits: { pairsPerStream: 2 }, authority: { answer: 'valid', verifiedOver: 'clear' } })
    assert.equal(await caller.say(key()), VALID)
    assert.match(await caller.say(key('K', 'b.example')), /type='valid'/)
    assert.equal(await caller.say(key('K', 'c.example')), refusal('resource-constraint', 'montague.example', 'c.example'))
    assert.equal([...scene.links][0]?.pairs.length, 2)
  })

  it('[ENG-DB-a] asks about no more keys in a minute than a stream may have pairs, once it has refused as many', async () => {
    const asked: string[] = []
    const few: Policy = {
      admit: ({ remote }) => {
        asked.push(remote ?? '')
        return { answer: remote === 'capulet.example' ? 'admit' : 'refuse', because: 'few are let in' }
      }
    }
    const { scene, caller } = await byExternal({ limits: { pairsPerStream: 8 }, policy: layer(few, policies.ladder()) })
    for (let minute = 1; minute <= 2; minute += 1) {
      asked.length = 0
      for (let index = 0; index < 50; index += 1) assert.match(await caller.say(key('K', `d${index}.example`)), /type='error'/)
      assert.equal(asked.length, 8)
      assert.match(await caller.say(key('K', 'd8.example')), /<resource-constraint /)
      await scene.clock.advance(60_000)
    }
    assert.equal(await caller.say(key()), VALID, 'what is authenticated stays so')
  })

  it('bounds the trace, however many keys are refused', async () => {
    const { scene, caller } = await byExternal()
    for (let round = 0; round < 4; round += 1) {
      await caller.say(Array.from({ length: 300 }, (_, index) => key('K', `x${index}.example`, 'verona.example')).join(''))
    }
    for (let index = 0; index < 200; index += 1) {
      await caller.say(key('K', `y${index}.example`))
      scene.asked.at(-1)?.fail(new FederationError('S2S_DNS_NO_SERVICE'))
    }
    await caller.hear()
    assert.ok(([...scene.links][0]?.report.trace.length ?? Infinity) <= 100)
  })
})

describe('incoming/dialback, for a domain whose credentials are of no use', () => {
  const storeOf = (credentialsFor: () => Promise<Credentials>): { asked: () => number; domains: KeyStore } => {
    let asked = 0
    const counting = (): Promise<Credentials> => {
      asked += 1
      return credentialsFor()
    }
    return { asked: () => asked, domains: { domains: ['montague.example'], credentialsFor: counting } }
  }

  it('[ENG-DB-a] asks the key store once in a while and warns once, however many keys a stranger sends', async () => {
    const { asked, domains } = storeOf(() => Promise.resolve({ key: 'rubbish', cert: 'rubbish' }))
    const { scene, caller } = await inClear({ domains, authority: { answer: 'error', verifiedOver: 'clear' } })
    for (let index = 0; index < 50; index += 1) await caller.say(key('K', `d${index}.example`))
    assert.equal(scene.asked.length, 50)
    assert.deepEqual([asked(), scene.warnings.length], [1, 1])
    await scene.clock.advance(5_000)
    await caller.say(key('K', 'later.example') + key('K', 'even-later.example'))
    assert.deepEqual([asked(), scene.warnings.length], [2, 2])
  })

  it('asks a key store that fails once in a while, however many streams strangers open', async () => {
    const { asked, domains } = storeOf(() => Promise.reject(new Error('the vault is sealed')))
    const scene = await createScene({ domains })
    for (let index = 0; index < 20; index += 1) await (await scene.call()).say(header())
    assert.equal(asked(), 1)
    assert.deepEqual([...new Set(scene.reports.map(report => report.error?.code))], ['S2S_KEY_STORE'])
    await scene.clock.advance(5_000)
    await (await scene.call()).say(header())
    assert.equal(asked(), 2)
  })
})

describe('incoming/dialback, authoritative server', () => {
  const keyOf = (id: string, sender = 'montague.example'): string =>
    dialbackKey(SECRET, { pair: { sender: domain(sender), target: domain('capulet.example') }, streamId: id })
  const verify = (id: string, value: string, to = 'montague.example'): string =>
    `<db:verify from='capulet.example' to='${to}' id='${id}'>${value}</db:verify>`
  const answer = (id: string, type: string): string => `<db:verify from='montague.example' to='capulet.example' id='${id}' type='${type}'/>`

  it('[XEP0220-2.2.2-a] answers before any authentication, in clear too, valid and invalid, on a stream that stays open', async () => {
    for (const policy of [policies.ladder(), policies.encrypted(), policies.strict()]) {
      const { scene, caller } = await inClear({ policy })
      assert.equal(await caller.say(verify('i1', keyOf('i1'))), answer('i1', 'valid'))
      assert.equal(await caller.say(verify('i1', keyOf('i2'))), answer('i1', 'invalid'))
      assert.match(await caller.say(verify('i1', keyOf('i1'), 'verona.example')), /type='error'><error type='cancel'><item-not-found /)
      assert.equal(await caller.say(verify('i3', keyOf('i3'))), answer('i3', 'valid'))
      assert.equal(await caller.say('</stream:stream>'), '</stream:stream>')
      assert.equal(scene.reports[0]?.error, undefined, 'it came to ask, and was answered')
    }
  })

  it('[XEP0220-2.2.2-a] answers inside TLS before authentication, after it, and on a stream from somebody else', async () => {
    const { caller } = await byExternal()
    assert.equal(await caller.say(verify('i', keyOf('i'))), answer('i', 'valid'))
    const scene = await createScene({ policy: policies.encrypted() })
    const stranger = await scene.call()
    await stranger.startTls(undefined, header({ from: 'mercutio.example' }))
    await stranger.say(header({ from: 'mercutio.example' }))
    assert.equal(await stranger.say(verify('i', keyOf('i'))), answer('i', 'valid'))
  })

  it('[XEP0220-2.2.2-b] copies ids with special characters', async () => {
    const { caller } = await inClear()
    const heard = await caller.say(verify(' &amp;&lt;&quot;&apos; x ', `\n${keyOf(` &<"' x `)}\n`))
    assert.equal(heard, answer(' &amp;&lt;&quot;&apos; x ', 'valid'))
  })

  it('answers under the accepted secrets as well', async () => {
    const { caller } = await inClear({ dialbackSecret: { current: 'another secret of thirty-two octets', accepted: [SECRET] } })
    assert.equal(await caller.say(verify('i', keyOf('i'))), answer('i', 'valid'))
  })

  it('[XEP0205-c] is not asked for more than the peer takes: who never listens is not read', async () => {
    const { scene, caller } = await inClear()
    caller.deafen()
    const questions = verify('i', 'k'.repeat(200)).repeat(40_000)
    const taken = await caller.push(questions)
    assert.ok(taken < questions.length / 2, `${taken} of ${questions.length} bytes were taken`)
    assert.equal(scene.reports.length, 0)
  })
})
