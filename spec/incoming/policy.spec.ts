import assert from 'node:assert/strict'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import { explain } from '../../lib/rules/explain.ts'
import { pin } from '../../lib/policy/guards.ts'
import { layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, header, key, STARTTLS } from './scene.ts'
import type { Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

const CONFIRMED = { answer: 'valid', verifiedOver: 'tls' } as const

/** What is offered in some text: the features by name, or how the stream ended. */
function offered(text: string): string {
  const names = [
    [/<starttls [^>]*><required/, 'starttls required'],
    [/<starttls [^>]*\/>/, 'starttls'],
    [/<mechanism>EXTERNAL</, 'EXTERNAL'],
    [/<mechanism>PLAIN</, 'PLAIN'],
    [/<dialback xmlns='urn/, 'dialback'],
    [/<stream:error><not-authorized/, 'not-authorized'],
    [/<stream:stream [^>]*><\/stream:stream>$/, 'TLS ends']
  ] as const
  return names.flatMap(([pattern, name]) => (pattern.test(text) ? [name] : [])).join(', ')
}

async function inTls(
  state: CertificateState,
  options: SceneOptions
): Promise<{ scene: Scene; features: string; say: (text: string) => Promise<string> }> {
  const scene = await createScene({ authority: CONFIRMED, ...options })
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example', state))
  return { scene, features: offered(await caller.say(header())), say: text => caller.say(text) }
}

describe('incoming/policy, openfire36', () => {
  const { openfire36 } = policies
  for (const [options, certificateState, features] of [
    [{}, 'valid', 'starttls, dialback'],
    [{ tls: 'never' }, 'valid', 'dialback'],
    [{ tls: 'required' }, 'valid', 'starttls required'],
    [{ dialback: 'never' }, 'valid', 'starttls required'],
    [{ dialback: 'over-tls' }, 'valid', 'starttls'],
    [{}, 'missing', 'dialback']
  ] as const) {
    it(`row 11: offers ${features} in clear under ${JSON.stringify(options)} with a ${certificateState} certificate`, async () => {
      const scene = await createScene({ policy: openfire36(options), certificate: certificateState, authority: CONFIRMED })
      const caller = await scene.call()
      assert.equal(offered(await caller.say(header())), features)
      const isConfirmed = /type='valid'/.test(await caller.say(key()))
      assert.equal(isConfirmed, features.includes('dialback'))
      assert.equal([...scene.links][0]?.level, isConfirmed ? 'plain-dialback' : undefined)
    })
  }

  for (const [row, theirs, ours, options, features] of [
    [12, 'valid', 'valid', {}, 'EXTERNAL'],
    [12, 'valid', 'expired', {}, 'EXTERNAL'],
    [13, 'valid', 'self-signed', { acceptSelfSigned: true }, 'EXTERNAL, dialback'],
    [13, 'valid', 'self-signed', { acceptSelfSigned: true, dialback: 'never' }, 'EXTERNAL'],
    [13, 'valid', 'self-signed', {}, 'EXTERNAL'],
    [14, 'self-signed', 'valid', { acceptSelfSigned: true }, 'dialback'],
    [15, 'self-signed', 'valid', {}, 'TLS ends'],
    [15, 'expired', 'valid', { acceptSelfSigned: true }, 'TLS ends'],
    [16, 'missing', 'valid', { acceptSelfSigned: true }, 'dialback'],
    [16, 'missing', 'valid', {}, 'TLS ends']
  ] as const) {
    it(`row ${row}: offers ${features} to a ${theirs} certificate with an own ${ours} one under ${JSON.stringify(options)}`, async () => {
      const { scene, features: found, say } = await inTls(theirs, { policy: openfire36(options), certificate: ours })
      assert.equal(found, features)
      if (features === 'TLS ends') return
      if (features === 'dialback') assert.match(await say(auth('=')), /<not-authorized\/>/)
      const proof = features.includes('EXTERNAL') ? auth('=') : key()
      await say(proof)
      if (features.includes('EXTERNAL')) await say(header())
      assert.equal([...scene.links][0]?.level, features.includes('EXTERNAL') ? 'sasl-external' : 'tls-dialback')
    })
  }
})

describe('incoming/policy', () => {
  it('offers both to a trusted certificate under ladder, only dialback under external: false', async () => {
    assert.equal((await inTls('valid', { policy: policies.ladder() })).features, 'EXTERNAL, dialback')
    assert.equal((await inTls('valid', { policy: policies.ladder({ external: false }) })).features, 'dialback')
    assert.equal((await inTls('valid', { policy: policies.strict() })).features, 'EXTERNAL')
  })

  it('refuses every invalid certificate under strict, with a reason', async () => {
    for (const state of ['self-signed', 'expired', 'wrong-host', 'unknown-ca', 'broken-chain', 'not-yet-valid'] as const) {
      assert.equal((await inTls(state, { policy: policies.strict() })).features, 'not-authorized', state)
    }
  })

  it('refuses a certificate that matches no pin of its domain, however valid, and takes one that does', async () => {
    const leaf = '00'.repeat(32)
    const unpinned = await inTls('valid', {
      guards: [pin(['capulet.example'], [{ leaf256: leaf }])],
      policy: policies.ladder({ invalidCertificate: 'abort' })
    })
    assert.equal(unpinned.features, 'not-authorized')
    const judged = unpinned.scene.trace('check-certificate')[0]
    assert.equal(judged?.facts.use, 'reject')
    const known = judged.facts.verdict.fingerprint256 ?? ''
    const pinned = await inTls('valid', { guards: [pin(['capulet.example'], [{ leaf256: known }])] })
    assert.equal(pinned.features, 'EXTERNAL, dialback')
    await pinned.say(auth('='))
    await pinned.say(header())
    assert.equal([...pinned.scene.links][0]?.pairs[0]?.peerIdentity, 'pin')
  })

  it('takes a guard that requires TLS for a pinned domain in clear as well', async () => {
    const scene = await createScene({ guards: [pin(['capulet.example'], [{ leaf256: '00'.repeat(32) }])], authority: CONFIRMED })
    const caller = await scene.call()
    assert.equal(offered(await caller.say(header())), 'starttls required')
    assert.match(await caller.say(key()), /<policy-violation /)
  })

  it('takes a policy that throws for the strictest answer', async () => {
    const failing = (): never => {
      throw new Error('a bug in a policy')
    }
    const refused = await createScene({ policy: layer({ admit: failing }, policies.ladder()) })
    assert.match(await (await refused.call()).say(header()), /<policy-violation/)
    assert.equal(
      (await inTls('valid', { policy: layer({ certificate: failing }, policies.ladder({ invalidCertificate: 'abort' })) })).features,
      'not-authorized'
    )
  })

  it('tells every downgrade: in an event, and in the report, with its reason', async () => {
    const { scene, say } = await inTls('self-signed', { policy: policies.encrypted() })
    await say(key())
    const told = scene.events.flatMap(([event, detail]) => (event === 'downgrade' ? [detail as FederationEvents['downgrade']] : []))
    assert.equal(told.length, 1)
    assert.equal(told[0]?.to, 'tls-dialback')
    assert.match(told[0].because, /self-signed/)
    assert.deepEqual(scene.reports[0]?.downgrades, [{ from: 'sasl-external', to: 'tls-dialback', because: told[0].because }])
    const plain = await createScene({ authority: CONFIRMED })
    const caller = await plain.call()
    await caller.say(header())
    await caller.say(key())
    assert.equal(plain.reports[0]?.downgrades[0]?.to, 'plain-dialback')
  })

  it('writes a report that explain can read, with every policy answer, and the alternatives', async () => {
    const { scene, say } = await inTls('valid', { policy: policies.ladder({ external: false }) })
    await say(key())
    const [report] = scene.reports
    assert.deepEqual(
      report?.trace.map(entry => entry.step),
      [
        ...['policy', 'policy', 'policy', 'open-stream', 'negotiate-tls'],
        ...['policy', 'policy', 'check-certificate', 'policy', 'open-stream', 'policy', 'dialback', 'establish']
      ]
    )
    assert.deepEqual(report.alternatives, [])
    assert.match(explain(report), /tls-dialback/)
    assert.deepEqual(structuredClone(report), report)
  })

  it('keeps keys and passwords out of reports and events', async () => {
    const passwords = { 'capulet.example': { username: 'capulet', password: 'a-password' } }
    const { scene, say } = await inTls('self-signed', { policy: policies.encrypted(), passwords })
    await say(auth(Buffer.from('\0capulet\0a-password').toString('base64'), 'PLAIN'))
    await say(key('a-secret-key'))
    const told = JSON.stringify([scene.reports, scene.events.map(([, detail]) => detail)], (_, value: unknown) =>
      value instanceof Map ? undefined : value
    )
    assert.doesNotMatch(told, /a-password|a-secret-key|AGNhcHVsZXQ/)
  })

  it('lets STARTTLS pass where it was asked for without an offer being needed (RFC 7590 §3.1)', async () => {
    const caller = await (await createScene()).call()
    await caller.say(header({ version: undefined }))
    assert.match(await caller.say(STARTTLS), /<proceed /)
  })
})
