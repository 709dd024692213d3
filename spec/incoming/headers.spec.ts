import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { policies } from '../../lib/policy/presets.ts'
import { auth, certificate, createScene, endScenes, errorIn, header, idIn, message, STARTTLS, STREAMS, withoutIds } from './scene.ts'

afterEach(endScenes)

const ours = (from = 'montague.example', to = " to='capulet.example'", version = " version='1.0'"): string =>
  `<?xml version='1.0'?><stream:stream from='${from}'${to} id='ID'${version} xml:lang='en' ${STREAMS}>`
const LIMITS = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288</max-bytes><idle-seconds>1800</idle-seconds></limits>"
const SM = "<sm xmlns='urn:xmpp:sm:3'/>"
const DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
const features = (...parts: readonly string[]): string => `<stream:features>${parts.join('')}</stream:features>`

describe('incoming/headers', () => {
  it('[RFC6120-4.7.1-b] [RFC6120-4.7.2-a] [RFC6120-4.3.2-a] answers a header with its own, addresses swapped, and the features', async () => {
    const caller = await (await createScene()).call()
    const heard = await caller.say(header())
    assert.equal(withoutIds(heard), ours() + features(STARTTLS, DIALBACK, SM, LIMITS))
    assert.equal(caller.writes.length, 1, 'header and features leave in one write')
  })

  it('[RFC6120-4.7.1-b] [RFC6120-4.7.2-a] [RFC6120-4.3.2-a] does so again inside TLS and after SASL, for whichever domain is wanted', async () => {
    for (const local of ['montague.example', 'second.example']) {
      const caller = await (await createScene()).call()
      const wanted = header({ to: local })
      const answers = (heard: string, ...parts: readonly string[]): void => {
        const [before, features = ''] = withoutIds(heard).split('<stream:features>')
        assert.equal(before, ours(local))
        assert.match(features, /<\/stream:features>$/u)
        for (const part of [...parts, SM, LIMITS]) assert.ok(features.includes(part), `no ${part} in ${features}`)
      }
      answers(await caller.say(wanted), STARTTLS, DIALBACK)
      await caller.say(STARTTLS)
      await caller.secure(certificate('capulet.example'))
      answers(await caller.say(wanted), '<mechanism>EXTERNAL</mechanism>', DIALBACK)
      assert.match(await caller.say(auth('=')), /^<success /u)
      answers(await caller.say(wanted))
    }
  })

  it('[RFC6120-4.7.3-a] gives ids of 128 random bits, new for the first header, inside TLS and after SASL', async () => {
    const caller = await (await createScene()).call()
    const ids = [idIn(await caller.say(header()))]
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    ids.push(idIn(await caller.say(header())))
    await caller.say(auth('='))
    ids.push(idIn(await caller.say(header())))
    assert.equal(new Set(ids).size, 3)
    for (const id of ids) assert.ok(Buffer.from(id, 'base64url').length * 8 >= 128, id)
  })

  it('[RFC6120-4.7.3-a] takes every bit of an id from the generator of the system, also of an id that only a refusal has', async () => {
    const { randomBytes } = crypto
    const given: string[] = []
    Object.defineProperty(crypto, 'randomBytes', {
      ...{ configurable: true, writable: true },
      value: (size: number) => {
        const bytes = randomBytes(size)
        given.push(`${size} ${bytes.toString('base64url')}`)
        return bytes
      }
    })
    syncBuiltinESMExports()
    try {
      const scene = await createScene()
      const caller = await scene.call()
      const ids = [idIn(await caller.say(header()))]
      await caller.say(STARTTLS)
      await caller.secure(certificate('capulet.example'))
      ids.push(idIn(await caller.say(header())))
      await caller.say(auth('='))
      ids.push(idIn(await caller.say(header())))
      ids.push(idIn(await (await scene.call()).say(header({ to: 'verona.example' }))))
      for (const id of ids) assert.ok(given.includes(`16 ${id}`), `${id} is not among ${given.join()}`)
    } finally {
      Object.defineProperty(crypto, 'randomBytes', { configurable: true, writable: true, value: randomBytes })
      syncBuiltinESMExports()
    }
  })

  it('[RFC6120-11.5-a] puts an XML declaration right before each of them', async () => {
    const caller = await (await createScene()).call()
    const heard = [await caller.say(header())]
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    heard.push(await caller.say(header()))
    await caller.say(auth('='))
    heard.push(await caller.say(header()))
    for (const text of heard) {
      assert.match(text, /^<\?xml version='1\.0'\?><stream:stream /)
      assert.equal(text.split('<?').length, 2)
    }
  })

  it('[RFC6120-4.6.1-a] lets no white space follow into an exchange of TLS or SASL that waits for the initiating entity', async () => {
    const scene = await createScene({ timeouts: { keepAlive: 5_000 } })
    const caller = await scene.call()
    const quiet = async (): Promise<void> => {
      const before = caller.writes.length
      await scene.clock.advance(14_000)
      assert.deepEqual(caller.writes.slice(before), [])
    }
    await caller.say(header())
    await caller.say(STARTTLS)
    await quiet()
    await caller.secure(certificate('capulet.example'))
    await caller.say(header())
    assert.match(await caller.say(auth('')), /<challenge /)
    await quiet()
    await caller.say("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>")
    assert.match(await caller.say(header()), /<stream:features>/)
  })

  it('[RFC7622-3.2.1-a] answers in Unicode to whoever names both domains in ASCII, which are the same', async () => {
    const domains = { 'bücher.example': undefined }
    const scene = await createScene({ domains, authority: { answer: 'valid', verifiedOver: 'clear' } })
    const caller = await scene.call()
    const [sender, target] = ['xn--bro-hoa.example', 'xn--bcher-kva.example']
    const heard = await caller.say(header({ from: sender, to: target }))
    assert.ok(heard.startsWith("<?xml version='1.0'?><stream:stream from='bücher.example' to='büro.example' "), heard)
    const answer = await caller.say(`<db:result from='${sender}' to='${target}'>KEY</db:result>`)
    assert.equal(answer, `<db:result from='${target}' to='${sender}' type='valid'/>`, 'an answer to a key repeats its spelling')
    await caller.say(message('x@büro.example', `y@${target}`))
    await caller.say(message(`x@${sender}`, 'y@bücher.example'))
    assert.deepEqual(
      scene.stanzas.map(({ stanza }) => [stanza.from.domain, stanza.to.domain]),
      Array.from({ length: 2 }, () => ['büro.example', 'bücher.example'])
    )
  })

  it('[RFC6120-4.7.3-b] ignores an id that the initiating entity sends', async () => {
    const caller = await (await createScene()).call()
    assert.notEqual(idIn(await caller.say(header({ more: " id='mine'" }))), 'mine')
  })

  for (const version of ['1.0', '01.0', '1.00', '1.1', '2.0']) {
    it(`[RFC6120-4.7.5-a] answers version ${version} with 1.0 and features`, async () => {
      const caller = await (await createScene()).call()
      assert.match(await caller.say(header({ version })), / version='1\.0' .*<stream:features>/)
    })
  }

  it('[RFC6120-4.7.5-a] answers a header without version with no version and no features, and still takes dialback', async () => {
    const scene = await createScene({ authority: { answer: 'valid', verifiedOver: 'clear' } })
    const caller = await scene.call()
    assert.equal(withoutIds(await caller.say(header({ version: undefined }))), ours(undefined, undefined, ''))
    const heard = await caller.say("<db:result from='capulet.example' to='montague.example'>KEY</db:result>")
    assert.equal(heard, "<db:result from='montague.example' to='capulet.example' type='valid'/>")
  })

  it('serves a pre-1.0 peer nothing but db:verify where policy requires TLS', async () => {
    const caller = await (await createScene({ policy: policies.encrypted() })).call()
    assert.equal(withoutIds(await caller.say(header({ version: undefined }))), ours(undefined, undefined, ''))
    assert.match(await caller.say("<db:result from='capulet.example' to='montague.example'>KEY</db:result>"), /<policy-violation /)
    assert.match(await caller.say("<db:verify from='capulet.example' to='montague.example' id='x'>KEY</db:verify>"), /type='invalid'/)
  })

  it('[RFC6120-4.9.1.3-a] answers an unknown to with host-unknown, under its own default name', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    const heard = await caller.say(header({ to: 'verona.example' }))
    assert.ok(withoutIds(heard).startsWith(ours('montague.example', '')))
    assert.equal(errorIn(heard), 'host-unknown')
    assert.equal(scene.reports[0]?.error?.step, 'open-stream')
  })

  it('[RFC6120-4.9.1.2-a] [RFC6120-4.9.2-a] answers a header error with one defined condition, between header and closing tag in one write, and ends the connection', async () => {
    for (const [text, condition] of [
      [header({ from: 'a b.example' }), 'improper-addressing'],
      [header({ from: 'user@capulet.example' }), 'improper-addressing'],
      [header({ to: 'montague.example/x' }), 'improper-addressing'],
      [header().replace('jabber:server', 'jabber:client'), 'invalid-namespace'],
      [header().replace('http://etherx.jabber.org/streams', 'http://etherx.jabber.org/other'), 'invalid-namespace'],
      [header({ version: 'one' }), 'unsupported-version'],
      [`<!-- -->${header()}`, 'restricted-xml'],
      ['<stream:stream>', 'not-well-formed'],
      ['GET / HTTP/1.1\r\n\r\n', 'not-well-formed']
    ] as const) {
      const caller = await (await createScene()).call()
      const heard = await caller.say(text)
      assert.ok(withoutIds(heard).startsWith("<?xml version='1.0'?><stream:stream from='montague.example'"), heard)
      assert.equal(errorIn(heard), condition, text)
      assert.equal(caller.writes.length, 1)
      caller.end()
      await caller.hear()
      assert.notEqual(caller.ended, 'no')
    }
  })

  it('[RFC6120-4.8.1-a] answers a root in another namespace with its whole header, invalid-namespace and the closing tag, in clear and inside TLS', async () => {
    const foreign = [
      header().replace('http://etherx.jabber.org/streams', 'http://etherx.jabber.org/other'),
      header().replace('stream:stream', 'stream').replace(' xmlns:stream', ' xmlns:unused')
    ]
    for (const text of foreign) {
      const clear = await (await createScene()).call()
      const heard = await clear.say(text)
      assert.ok(withoutIds(heard).startsWith(ours(undefined, '')), heard)
      assert.equal(errorIn(heard), 'invalid-namespace')
      const secured = await (await createScene()).call()
      await secured.startTls(certificate('capulet.example'))
      assert.equal(errorIn(await secured.say(text)), 'invalid-namespace')
    }
  })

  it('[RFC6120-4.8.3-a] answers content of clients, and of any other namespace, with invalid-namespace', async () => {
    for (const content of ['jabber:client', 'urn:x']) {
      const caller = await (await createScene()).call()
      const heard = await caller.say(header().replace("xmlns='jabber:server'", `xmlns='${content}'`))
      assert.ok(withoutIds(heard).startsWith(ours(undefined, '')), heard)
      assert.equal(errorIn(heard), 'invalid-namespace')
    }
  })

  it('[RFC7622-4-a] answers a from with a local or a resource part with improper-addressing, in clear and inside TLS', async () => {
    for (const from of ['juliet@capulet.example', 'capulet.example/balcony', 'juliet@capulet.example/balcony']) {
      const clear = await (await createScene()).call()
      assert.equal(errorIn(await clear.say(header({ from }))), 'improper-addressing')
      const secured = await (await createScene()).call()
      await secured.startTls(certificate('capulet.example'))
      assert.equal(errorIn(await secured.say(header({ from }))), 'improper-addressing')
    }
  })

  it('[ENG-STREAM-b] refuses a from that is hosted here', async () => {
    for (const from of ['montague.example', 'second.example', 'SECOND.example.']) {
      const caller = await (await createScene()).call()
      assert.equal(errorIn(await caller.say(header({ from }))), 'policy-violation')
    }
  })

  it('lets servers from before RFC 6120 leave out from and to in clear, and nobody inside TLS', async () => {
    const caller = await (await createScene()).call()
    assert.ok(withoutIds(await caller.say(header({ from: '', to: '' }))).startsWith(ours('montague.example', '')))
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    assert.equal(errorIn(await caller.say(header({ from: '' }))), 'improper-addressing')

    const other = await (await createScene()).call()
    await other.startTls(certificate('capulet.example'))
    assert.equal(errorIn(await other.say(header({ to: '' }))), 'improper-addressing')
  })

  it('asks admit after the header in clear and again inside TLS', async () => {
    const asked: (string | undefined)[] = []
    const scene = await createScene({ policy: { admit: peer => void asked.push(peer.remote) } })
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header())
    assert.deepEqual(asked, ['capulet.example', 'capulet.example'])
  })

  it('ends a stream that policy does not admit with policy-violation, also when the answer takes time', async () => {
    const refusing = await createScene({ policy: { admit: () => ({ answer: 'refuse', because: 'a secret reason' }) } })
    const heard = await (await refusing.call()).say(header())
    assert.equal(errorIn(heard), 'policy-violation')
    assert.doesNotMatch(heard, /secret/)
    const slow = await createScene({ policy: { admit: () => new Promise(resolve => setImmediate(resolve, 'refuse' as const)) } })
    assert.equal(errorIn(await (await slow.call()).say(header())), 'policy-violation')
  })

  it('[RFC6120-5.4.3.3-a] [RFC6120-13.7.2.1-a] keeps nothing of the header in clear: from and to may change across TLS', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.say(header({ from: 'mercutio.example' }))
    await caller.say(STARTTLS)
    await caller.secure(certificate('capulet.example'))
    const heard = await caller.say(header())
    assert.ok(withoutIds(heard).startsWith(ours()))
    assert.match(heard, /<mechanism>EXTERNAL<\/mechanism>/)
    await caller.say(auth('='))
    await caller.say(header())
    assert.deepEqual(scene.reports[0]?.pairs[0]?.pair, { sender: 'capulet.example', target: 'montague.example' })
  })

  it('[RFC6120-5.4.3.3-a] answers a bad header inside TLS under its own default name, not under what was said in clear', async () => {
    const caller = await (await createScene()).call()
    await caller.startTls(certificate('capulet.example'), header({ from: 'mercutio.example', to: 'second.example' }))
    const heard = await caller.say(header({ to: 'verona.example' }))
    assert.ok(withoutIds(heard).startsWith(ours('montague.example', '')), heard)
    assert.equal(errorIn(heard), 'host-unknown')
  })

  it('[ENG-STREAM-a] ends a stream whose from or to changes after SASL', async () => {
    for (const changed of [{ from: 'mercutio.example' }, { to: 'second.example' }, { from: '' }]) {
      const scene = await createScene()
      const caller = await scene.call()
      await caller.startTls(certificate('capulet.example', 'valid', ['mercutio.example']))
      await caller.say(header())
      await caller.say(auth('='))
      assert.equal(errorIn(await caller.say(header(changed))), 'improper-addressing')
      assert.equal(scene.links.size, 0)
    }
  })

  it('[RFC6120-4.3.3-a] begins with a new parser after SASL: what was open before does not leak', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.startTls(certificate('capulet.example'))
    await caller.say(header({ more: " xmlns:x='urn:example:x'" }))
    assert.equal(await caller.say(auth('=')), "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    await caller.say(header())
    assert.equal(errorIn(await caller.say('<x:element/>')), 'not-well-formed')
  })

  it('[ENG-STREAM-c] gives a header its time and no more, however its bytes drip in', async () => {
    const scene = await createScene({ timeouts: { step: 10_000 } })
    const caller = await scene.call()
    for (const character of header().slice(0, 9)) {
      assert.equal(await caller.say(character), '')
      await scene.clock.advance(1_000)
    }
    await scene.clock.advance(1_000)
    assert.equal(errorIn(await caller.hear()), 'connection-timeout')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_TIMEOUT')
    assert.equal(scene.reports[0].error.step, 'open-stream')
  })

  it('names the step that a stalling peer left undone', async () => {
    const stalls: readonly [step: string, options: object, stall: (caller: Awaited<ReturnType<typeof call>>) => Promise<unknown>][] = [
      ['negotiate-tls', {}, caller => caller.say(header())],
      ['negotiate-tls', {}, caller => caller.say(header()).then(() => caller.say(STARTTLS))],
      ['dialback', { certificate: 'missing' }, caller => caller.say(header())],
      ['sasl-external', {}, caller => caller.startTls(certificate('capulet.example')).then(() => caller.say(header()))],
      [
        'open-stream',
        {},
        caller =>
          caller
            .startTls(certificate('capulet.example'))
            .then(() => caller.say(header()))
            .then(() => caller.say(auth('=')))
      ]
    ]
    for (const [step, options, stall] of stalls) {
      const scene = await createScene(options)
      const caller = await call(scene)
      await stall(caller)
      await scene.clock.advance(61_000)
      assert.equal(scene.reports[0]?.error?.code, 'S2S_TIMEOUT', step)
      assert.equal(scene.reports[0].error.step, step)
    }
  })

  it('[RFC6120-4.3.5-a] answers a stanza before authentication with not-authorized and delivers nothing', async () => {
    for (const inTls of [false, true]) {
      const scene = await createScene()
      const caller = await scene.call()
      if (inTls) await caller.startTls(certificate('capulet.example'))
      await caller.say(header())
      assert.equal(errorIn(await caller.say(message())), 'not-authorized')
      assert.equal(scene.stanzas.length, 0)
    }
  })

  it('[RFC6120-4.9.1.1-a] acts on nothing that comes after a stream error of its own', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.say(header())
    const heard = await caller.say(`${message()}<db:verify from='capulet.example' to='montague.example' id='x'>KEY</db:verify>`)
    assert.equal(errorIn(heard), 'not-authorized')
    assert.equal(await caller.say("<db:verify from='capulet.example' to='montague.example' id='y'>KEY</db:verify></stream:stream>"), '')
  })

  it('[RFC6120-4.9.1.1-b] answers a stream error with its closing tag alone, and ends the connection', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.say(header())
    const error = "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    assert.equal(await caller.say(error), '</stream:stream>')
    assert.equal(caller.ended, 'end')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_STREAM_ERROR_RECEIVED')
  })

  it('says what ended a stream that never proved anything', async () => {
    const scene = await createScene()
    const caller = await scene.call()
    await caller.say(header())
    assert.equal(await caller.say('</stream:stream>'), '</stream:stream>')
    assert.equal(scene.reports[0]?.error?.code, 'S2S_STREAM_CLOSED')
    assert.equal(scene.reports[0].level, undefined)
  })
})

async function call(scene: Awaited<ReturnType<typeof createScene>>) {
  return await scene.call()
}
