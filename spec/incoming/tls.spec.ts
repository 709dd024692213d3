import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import { policies } from '../../lib/policy/presets.ts'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message, PROCEED, STARTTLS } from './scene.ts'
import type { Caller, Scene } from './scene.ts'

afterEach(endScenes)

const FAILURE = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"
const REQUIRED = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
const VERIFY = "<db:verify from='capulet.example' to='montague.example' id='x'>KEY</db:verify>"

describe('incoming/TLS', () => {
  it('[RFC6120-5.3.1-a] offers nothing but starttls where TLS is required, and refuses each thing else in its own words', async () => {
    const scene = await createScene({ policy: policies.encrypted() })
    const caller = await scene.call()
    assert.ok((await caller.say(header())).endsWith(REQUIRED))
    assert.match(await caller.say(auth('=')), /^<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><encryption-required\/><\/failure>$/)
    assert.match(await caller.say(key()), /^<db:result .* type='error'><error type='cancel'><policy-violation /)
    assert.match(await caller.say(VERIFY), /^<db:verify .* type='invalid'\/>$/)
    assert.equal(errorIn(await caller.say(message())), 'policy-violation')
    assert.equal(scene.asked.length, 0)
  })

  it('[RFC6120-5.3.3-a] answers starttls with proceed alone: no white space, no closing tag', async () => {
    const caller = await (await createScene()).call()
    await caller.say(header())
    assert.equal(await caller.say(STARTTLS), PROCEED)
  })

  it('[RFC6120-5.4.2.2-a] answers an unexpected starttls with failure and closes: inside TLS', async () => {
    const caller = await (await createScene()).call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header())
    assert.equal(await caller.say(STARTTLS), FAILURE)
  })

  for (const [why, options] of [
    ['policy wants none', { policy: policies.ladder({ tls: 'never' }) }],
    ['there is no certificate to show', { certificate: 'missing' }]
  ] as const) {
    it(`[RFC6120-5.4.2.2-a] neither offers nor follows starttls where ${why}`, async () => {
      const caller = await (await createScene(options)).call()
      assert.doesNotMatch(await caller.say(header()), /starttls/)
      assert.equal(await caller.say(STARTTLS), FAILURE)
    })
  }

  it('a hosted domain without a certificate where TLS is required serves nobody but db:verify', async () => {
    const scene = await createScene({ policy: policies.strict(), certificate: 'missing' })
    const caller = await scene.call()
    assert.ok((await caller.say(header())).endsWith('<stream:features></stream:features>'))
    assert.match(await caller.say(VERIFY), /type='invalid'/)
    assert.match(await caller.say(key()), /<policy-violation /)
  })

  it('follows starttls where it was required and where it was merely offered, and offers it inside TLS no more', async () => {
    for (const policy of [policies.ladder(), policies.encrypted()]) {
      const caller = await (await createScene({ policy })).call()
      await caller.startTls(certificate('capulet.example'))
      const heard = await caller.say(header())
      assert.match(heard, /<stream:features><mechanisms /)
      assert.doesNotMatch(heard, /starttls/, '[RFC6120-5.4.3.3-b]')
    }
  })

  it('[RFC6120-5.4.3.3-b] has no starttls in the features inside TLS, whatever the certificate', async () => {
    for (const state of ['valid', 'self-signed', 'missing'] as const) {
      const caller = await (await createScene({ policy: policies.encrypted() })).call()
      await caller.startTls(certificate('capulet.example', state))
      assert.doesNotMatch(await caller.say(header()), /starttls/)
    }
  })

  it('[SEC-TLS-a] ends the connection when anything follows starttls in clear, before and without proceed', async () => {
    for (const more of [header(), ' ', '\n', message(), '\x16\x03\x01']) {
      const scene = await createScene()
      const caller = await scene.call()
      await caller.say(header())
      assert.equal(await caller.say(STARTTLS + more), '')
      assert.notEqual(caller.ended, 'no')
      assert.equal(scene.reports[0]?.error?.code, 'S2S_TLS_INJECTION')
    }
  })

  it('[RFC6120-5.4.3.2-a] drops the connection after a failed handshake, without a word in clear', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.say(header())
    await caller.say(STARTTLS)
    const heard = await caller.say(header())
    assert.doesNotMatch(heard, /stream/)
    assert.notEqual(caller.ended, 'no')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_TLS_HANDSHAKE')
    assert.equal(scene.reports[0].error.step, 'negotiate-tls')
  })

  it('[ENG-TLS-a] drops a handshake that does not finish in time', async () => {
    const scene = await createScene({ timeouts: { step: 7_000 } })
    const caller = await scene.call()
    await caller.say(header())
    await caller.say(STARTTLS)
    await scene.clock.advance(7_000)
    await caller.hear()
    assert.notEqual(caller.ended, 'no')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_TIMEOUT')
    assert.equal(scene.reports[0].error.step, 'negotiate-tls')
  })

  it('[ENG-TLS-a] counts a failed handshake against its address for a while', async () => {
    const scene = await createScene({ limits: { incomingPerAddress: 1 }, timeouts: { step: 7_000 } })
    const first = await scene.call({ tls: 'direct' })
    await first.say('not a handshake')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_TLS_HANDSHAKE')
    const second = await scene.call()
    assert.equal(await second.say(header()), '')
    assert.equal(scene.reports[1]?.error?.code, 'S2S_LIMIT')
    await scene.clock.advance(7_001)
    assert.match(await (await scene.call()).say(header()), /<stream:features>/)
  })

  describe('[ENG-TLS-a] a handshake that came to an end, on a connection that', () => {
    const limits = { limits: { unauthenticatedPerAddress: 1 }, timeouts: { step: 7_000 } }
    const isServed = async (scene: Scene): Promise<boolean> => (await (await scene.call()).say(header())) !== ''
    const endings: { name: string; counts: boolean; run: (caller: Caller) => Promise<unknown> }[] = [
      { name: 'is dropped', counts: true, run: caller => caller.say('') },
      { name: 'opens a stream and proves nothing', counts: true, run: caller => caller.say(`${header()}</stream:stream>`) },
      {
        name: 'asks about a key that is none of ours',
        counts: true,
        run: caller => caller.say(`${header()}<db:verify from='capulet.example' to='montague.example' id='x'>K</db:verify>`)
      },
      {
        name: 'asks about a key of ours',
        counts: false,
        run: caller => {
          const pair = { sender: domain('montague.example'), target: domain('capulet.example') }
          const ours = dialbackKey('a secret of at least thirty-two octets', { pair, streamId: 'x' })
          return caller.say(`${header()}<db:verify from='capulet.example' to='montague.example' id='x'>${ours}</db:verify>`)
        }
      },
      {
        name: 'authenticates',
        counts: false,
        run: async caller => {
          for (const words of [header(), auth('='), header()]) await caller.say(words)
        }
      }
    ]
    for (const { name, counts, run } of endings) {
      it(`${name} ${counts ? 'counts' : 'does not count'} against its address for a while`, async () => {
        const scene = await createScene(limits)
        const caller = await scene.call()
        await caller.startTls(certificate('capulet.example'))
        await run(caller)
        caller.reset()
        await caller.hear()
        assert.equal(await isServed(scene), !counts)
        await scene.clock.advance(7_001)
        assert.ok(!counts || (await isServed(scene)))
      })
    }
  })

  it('[RFC7590-3.6-a] shows protocol, cipher and certificate on the link and in the report', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header())
    await caller.say(auth('='))
    await caller.say(header())
    const [link] = scene.links
    assert.deepEqual(link?.tls, { protocol: 'TLS 1.3', cipher: 'simulated' })
    assert.equal(link.certificate?.valid, true)
    assert.equal(link.level, 'sasl-external')
    assert.deepEqual(scene.trace('negotiate-tls')[0]?.facts, { requiredByPeer: false, protocol: 'TLS 1.3', cipher: 'simulated' })
    assert.equal(scene.trace('check-certificate')[0]?.facts.use, 'authenticate')
  })

  it('[XEP0368-a] begins with the handshake on a direct TLS listener, and has one code path from there on', async () => {
    const scene = await createScene()
    const caller = await scene.call({ tls: 'direct' })
    await caller.secure(certificate('capulet.example'), 'montague.example')
    assert.match(await caller.say(header()), /<stream:features><mechanisms .*EXTERNAL/)
    await caller.say(auth('='))
    await caller.say(header())
    await caller.say(message())
    assert.equal(scene.stanzas.length, 1)
  })

  it('[XEP0368-d] neither offers nor follows starttls inside direct TLS', async () => {
    const caller = await (await createScene()).call({ tls: 'direct' })
    await caller.secure(certificate('capulet.example'), 'montague.example')
    assert.doesNotMatch(await caller.say(header()), /starttls/)
    assert.equal(await caller.say(STARTTLS), FAILURE)
  })

  it('[ENG-CERT-a] shows the certificate of the server name, else of the to in clear, else of the default domain', async () => {
    const scene = await createScene()
    const chainOf = async (name: string): Promise<string | undefined> =>
      (
        await scene.server.hosted.context(
          scene.server.hosted.domains.find(each => each === name) ?? scene.server.hosted.domains[0] ?? failed()
        )
      )?.chain[0]?.toString('hex')
    const shownFor = async (to: string, servername: string): Promise<string | undefined> => {
      const caller = await scene.call()
      await caller.say(header({ to }))
      await caller.say(STARTTLS)
      return (await caller.secure(certificate('capulet.example'), servername))[0]?.toString('hex')
    }
    assert.equal(await shownFor('second.example', ''), await chainOf('second.example'))
    assert.equal(await shownFor('montague.example', 'second.example'), await chainOf('second.example'))
    assert.equal(await shownFor('second.example', 'elsewhere.example'), await chainOf('second.example'))
  })

  it('serves a to beside the server name only if the certificate that was shown covers it', async () => {
    const strangers = await (await createScene()).call({ tls: 'direct' })
    await strangers.secure(certificate('capulet.example'), 'montague.example')
    assert.equal(errorIn(await strangers.say(header({ to: 'second.example' }))), 'policy-violation')

    const both = certificate('montague.example', 'valid', ['second.example'])
    const scene = await createScene({ domains: { 'montague.example': both, 'second.example': both } })
    const caller = await scene.call({ tls: 'direct' })
    await caller.secure(certificate('capulet.example'), 'montague.example')
    assert.match(await caller.say(header({ to: 'second.example' })), /from='second\.example'.*<stream:features>/)
  })
})

describe('incoming/client certificates', () => {
  for (const [state, use] of [
    ['valid', 'authenticate'],
    ['server-auth-only', 'authenticate'],
    ['self-signed', 'encrypt-only'],
    ['expired', 'encrypt-only'],
    ['wrong-host', 'encrypt-only'],
    ['unknown-ca', 'encrypt-only'],
    ['broken-chain', 'encrypt-only'],
    ['not-yet-valid', 'encrypt-only'],
    ['missing', 'encrypt-only']
  ] as const) {
    const offered = use === 'authenticate'
    const id = state === 'server-auth-only' ? '[XEP0178-13-a] ' : state === 'self-signed' ? '[SEC-EKU-a] ' : ''
    it(`${id}never refuses a ${state} certificate in the handshake, and offers EXTERNAL ${offered ? 'on it' : 'not, but dialback'}`, async () => {
      const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
      const caller = await scene.call()
      await caller.startTls(certificate('capulet.example', state))
      const heard = await caller.say(header())
      assert.equal(/<mechanism>EXTERNAL<\/mechanism>/.test(heard), offered)
      assert.match(heard, /<dialback xmlns='urn:xmpp:features:dialback'><errors\/><\/dialback>/)
      const said = await caller.say(auth('='))
      assert.equal(/^<success /.test(said), offered)
      if (!offered) assert.match(said, /^<failure [^>]*><not-authorized\/><text xml:lang='en'>Your certificate is not accepted/)
    })
  }

  it('ends a stream whose certificate is rejected with header, not-authorized and a sentence, under abort', async () => {
    const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'abort' }) })
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example', 'expired'))
    const heard = await caller.say(header())
    assert.match(heard, /^<\?xml version='1\.0'\?><stream:stream from='montague\.example' to='capulet\.example'/)
    assert.doesNotMatch(heard, /features/)
    assert.equal(errorIn(heard), 'not-authorized')
    assert.match(heard, /<text [^>]*>[^<]*expired on 2026-12-31/)
    assert.equal(scene.reports[0]?.error?.code, 'S2S_CERTIFICATE')
    assert.equal(scene.reports[0].error.step, 'check-certificate')
    assert.equal(scene.trace('check-certificate')[0]?.outcome, 'refused')
  })

  it('ends TLS politely where policy lets the peer come back in clear, and takes it then', async () => {
    const scene = await createScene({ policy: policies.ladder(), authority: { answer: 'valid', verifiedOver: 'clear' } })
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example', 'expired'))
    const heard = await caller.say(header())
    assert.match(heard, /^<\?xml version='1\.0'\?><stream:stream [^>]*><\/stream:stream>$/)
    await caller.say('</stream:stream>')
    assert.equal(caller.ended, 'end')
    const again = await scene.call()
    assert.match(await again.say(header()), /<dialback /)
    assert.match(await again.say(key()), /type='valid'/)
    assert.equal([...scene.links][0]?.level, 'plain-dialback')
  })

  it('serves a peer without a certificate whatever invalidCertificate says', async () => {
    const scene = await createScene({ policy: policies.ladder({ invalidCertificate: 'abort' }) })
    const caller = await scene.call()
    await caller.startTls(undefined)
    assert.match(await caller.say(header()), /<stream:features><dialback /)
  })
})

function failed(): never {
  throw new Error('no domain is hosted')
}
