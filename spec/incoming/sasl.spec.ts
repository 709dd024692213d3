import assert from 'node:assert/strict'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, idIn, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

const SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
const SUCCESS = `<success ${SASL}/>`
const failure = (condition: string): string => `<failure ${SASL}><${condition}/></failure>`
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const CAPULET = base64('capulet.example')

/** A scene with a caller inside TLS, its header answered. */
async function insideTls(
  options: SceneOptions = {},
  about: { state?: CertificateState; from?: string; names?: string } = {}
): Promise<{ scene: Scene; caller: Caller; features: string }> {
  const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }), ...options })
  const caller = await scene.call()
  await caller.startTls(certificate(about.names ?? 'capulet.example', about.state))
  const features = await caller.say(header({ from: about.from ?? 'capulet.example' }))
  return { scene, caller, features }
}

describe('incoming/SASL', () => {
  it('[RFC6120-6.3.4-a] offers EXTERNAL neither in clear, nor without a certificate, nor to a from that it does not cover', async () => {
    const clear = await (await createScene()).call()
    assert.doesNotMatch(await clear.say(header()), /mechanisms/)
    assert.match((await insideTls()).features, /<mechanisms [^>]*><mechanism>EXTERNAL<\/mechanism><\/mechanisms>/)
    assert.doesNotMatch((await insideTls({}, { state: 'missing' })).features, /mechanisms/)
    assert.doesNotMatch((await insideTls({}, { from: 'mercutio.example' })).features, /mechanisms/)
  })

  it('[RFC6120-6.4.6-a] begins anew after success: a new id, a new parser, no mechanisms', async () => {
    const { scene, caller, features } = await insideTls()
    assert.equal(await caller.say(auth(CAPULET)), SUCCESS)
    assert.equal(scene.links.size, 0, 'not before the new header')
    const heard = await caller.say(header())
    assert.notEqual(idIn(heard), idIn(features))
    assert.doesNotMatch(heard, /mechanisms|starttls/)
    assert.match(heard, /<dialback [^>]*><errors\/><\/dialback>/)
    assert.equal([...scene.links][0]?.level, 'sasl-external')
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
    assert.deepEqual(
      scene.events.map(([event]) => event).filter(event => event !== 'negotiation-step'),
      ['negotiation-started', 'negotiation-ended', 'link-established', 'pair-authenticated']
    )
  })

  it('[RFC6120-6.4.2-b] takes =, and answers the authorization identity of another domain with invalid-authzid', async () => {
    const { caller } = await insideTls()
    assert.equal(await caller.say(auth(base64('mercutio.example'))), failure('invalid-authzid'))
    assert.equal(errorIn(await caller.say(message())), 'not-authorized')
    const other = await insideTls()
    assert.equal(await other.caller.say(auth('=')), SUCCESS)
  })

  it('[RFC6120-6.4.2-a] challenges an auth without initial response', async () => {
    const { caller } = await insideTls()
    assert.equal(await caller.say(auth('')), `<challenge ${SASL}/>`)
    assert.equal(await caller.say(`<response ${SASL}>${CAPULET}</response>`), SUCCESS)
  })

  it('[RFC6120-6.4.2-c] answers what is not base64 with incorrect-encoding', async () => {
    for (const text of ['Y2Fw*dWxldA==', 'Y===', 'YR==']) {
      const { caller } = await insideTls()
      assert.equal(await caller.say(auth(text)), failure('incorrect-encoding'))
    }
  })

  it('[RFC6120-6.4.4-a] answers abort with aborted', async () => {
    const { caller } = await insideTls()
    await caller.say(auth(''))
    assert.equal(await caller.say(`<abort ${SASL}/>`), failure('aborted'))
    assert.equal(await caller.say(auth('=')), SUCCESS)
  })

  it('[RFC6120-6.5.7-a] answers an unknown mechanism, and none, with invalid-mechanism', async () => {
    const { caller } = await insideTls()
    assert.equal(await caller.say(auth('=', 'SCRAM-SHA-1')), failure('invalid-mechanism'))
    assert.equal(await caller.say(`<auth ${SASL}>=</auth>`), failure('invalid-mechanism'))
  })

  it('answers what holds elements, and a response to nothing, with malformed-request', async () => {
    const { caller } = await insideTls()
    assert.equal(await caller.say(auth('<x/>')), failure('malformed-request'))
    assert.equal(await caller.say(`<response ${SASL}>=</response>`), failure('malformed-request'))
  })

  it('[RFC6120-6.4.5-a] ends the stream with policy-violation after the third failure', async () => {
    const { scene, caller } = await insideTls()
    for (let tries = 1; tries < 3; tries += 1) assert.equal(await caller.say(auth('Y===')), failure('incorrect-encoding'))
    const heard = await caller.say(auth('Y==='))
    assert.ok(heard.startsWith(failure('incorrect-encoding')))
    assert.equal(errorIn(heard), 'policy-violation')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_SASL_REFUSED')
  })

  it('[RFC6120-6.4.5-a] counts an exchange that another auth puts an end to as a failure', async () => {
    const { scene, caller } = await insideTls()
    const heard = await caller.say(auth('').repeat(50))
    assert.equal(heard.split('<challenge').length - 1, 3)
    assert.equal(errorIn(heard), 'policy-violation')
    assert.equal(scene.trace('sasl-external').length, 3)
    const other = await insideTls()
    await other.caller.say(auth('') + auth(''))
    assert.equal(await other.caller.say(`<response ${SASL}>${CAPULET}</response>`), SUCCESS, 'two are not too many')
  })

  it('[RFC6120-6.5.4-a] answers auth in clear with encryption-required, a few times', async () => {
    for (const policy of [policies.ladder(), policies.encrypted()]) {
      const caller = await (await createScene({ policy })).call()
      await caller.say(header())
      assert.equal(await caller.say(auth('=')), failure('encryption-required'))
      await caller.say(auth('='))
      assert.equal(errorIn(await caller.say(auth('='))), 'policy-violation')
    }
  })

  it('[XEP0178-3-a] goes on to dialback on the same stream after a failure', async () => {
    const { scene, caller } = await insideTls({ authority: { answer: 'valid', verifiedOver: 'tls' } }, { state: 'self-signed' })
    assert.match(
      await caller.say(auth(CAPULET)),
      /^<failure [^>]*><not-authorized\/><text xml:lang='en'>[^<]*self-signed<\/text><\/failure>$/
    )
    assert.match(await caller.say(key()), /type='valid'/)
    const report = scene.reports[0]
    assert.equal(report?.level, 'tls-dialback')
    assert.equal(report.downgrades[0]?.from, 'sasl-external')
    assert.equal(report.downgrades[0].to, 'tls-dialback')
    assert.equal(report.error, undefined)
    assert.equal(scene.trace('sasl-external')[0]?.facts.condition, 'not-authorized')
  })

  it('[ENG-SASL-b] answers a stanza between auth and success with not-authorized', async () => {
    const { scene, caller } = await insideTls()
    await caller.say(auth(''))
    assert.equal(errorIn(await caller.say(message())), 'not-authorized')
    assert.equal(scene.stanzas.length, 0)
  })

  it('refuses a stanza in place of the header after success', async () => {
    const { scene, caller } = await insideTls()
    await caller.say(auth('='))
    await caller.say(message())
    assert.equal(scene.stanzas.length, 0)
    assert.equal(scene.links.size, 0)
  })

  it('[ENG-SASL-c] answers a stanza of another domain than the authenticated one with invalid-from', async () => {
    const { scene, caller } = await insideTls()
    await caller.say(auth('='))
    await caller.say(header())
    assert.equal(errorIn(await caller.say(message('x@mercutio.example'))), 'invalid-from')
    assert.equal(scene.stanzas.length, 0)
  })

  it('answers a second auth after success with policy-violation', async () => {
    const { caller } = await insideTls()
    await caller.say(auth('='))
    await caller.say(header())
    assert.equal(errorIn(await caller.say(auth('='))), 'policy-violation')
  })

  it('never takes a success of the initiating entity for one', async () => {
    const { scene, caller } = await insideTls({}, { state: 'self-signed' })
    assert.equal(errorIn(await caller.say(SUCCESS)), 'unsupported-stanza-type')
    assert.equal(scene.links.size, 0)
  })

  it('matches the certificate again at auth: one that has expired since the features is refused', async () => {
    const { scene, caller, features } = await insideTls({ timeouts: { negotiation: 10 ** 12 } })
    assert.match(features, /EXTERNAL/)
    await scene.clock.advance(Date.parse(certificateEnd(scene)) - scene.clock.now() + 1000)
    assert.match(await caller.say(auth('=')), /^<failure [^>]*><not-authorized\/><text xml:lang='en'>[^<]*expired on/)
  })

  it('takes PLAIN from a peer with a password over a verified certificate, lists it after EXTERNAL, and gives it its own level', async () => {
    const passwords = { 'capulet.example': { username: 'capulet', password: 'secret' } }
    const { scene, caller, features } = await insideTls({ passwords })
    assert.match(features, /<mechanism>EXTERNAL<\/mechanism><mechanism>PLAIN<\/mechanism>/)
    assert.equal(await caller.say(auth(base64('\0capulet\0wrong'), 'PLAIN')), failure('not-authorized'))
    assert.equal(await caller.say(auth(base64('\0capulet\0secret'), 'PLAIN')), SUCCESS)
    await caller.say(header())
    assert.equal([...scene.links][0]?.level, 'sasl-plain')
    assert.doesNotMatch(JSON.stringify(scene.reports), /secret|wrong/)
  })

  it('neither offers nor takes PLAIN in clear, on a bad certificate, or from another domain', async () => {
    const passwords = { 'capulet.example': { username: 'capulet', password: 'secret' } }
    const message = auth(base64('\0capulet\0secret'), 'PLAIN')
    const clear = await (await createScene({ passwords })).call()
    await clear.say(header())
    assert.equal(await clear.say(message), failure('encryption-required'))
    const untrusted = await insideTls({ passwords }, { state: 'self-signed' })
    assert.doesNotMatch(untrusted.features, /PLAIN/)
    assert.equal(await untrusted.caller.say(message), failure('not-authorized'))
    const other = await insideTls({ passwords }, { from: 'mercutio.example', names: 'mercutio.example' })
    assert.doesNotMatch(other.features, /PLAIN/)
    assert.equal(await other.caller.say(message), failure('invalid-mechanism'))
  })

  it('offers and accepts no mechanism below the floor', async () => {
    const passwords = { 'capulet.example': { username: 'capulet', password: 'secret' } }
    const { caller, features } = await insideTls({ passwords, policy: policies.ladder({ minimumLevel: 'sasl-external' }) })
    assert.match(features, /<mechanisms [^>]*><mechanism>EXTERNAL<\/mechanism><\/mechanisms>/)
    assert.doesNotMatch(features, /dialback xmlns='urn/)
    assert.equal(await caller.say(auth(base64('\0capulet\0secret'), 'PLAIN')), failure('not-authorized'))
    assert.match(await caller.say(key()), /type='error'><error type='cancel'><not-authorized /)
  })
})

function certificateEnd(scene: Scene): string {
  const judged = scene.events.flatMap(([, detail]) => {
    const entry = (detail as { entry?: { step: string; facts: { verdict?: { notAfter?: string } } } }).entry
    return entry?.step === 'check-certificate' ? [entry.facts.verdict?.notAfter] : []
  })
  assert.ok(judged[0])
  return judged[0]
}
