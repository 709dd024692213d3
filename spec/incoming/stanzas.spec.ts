import assert from 'node:assert/strict'
import { auth, certificate, createScene, endScenes, errorIn, header, key, message } from './scene.ts'
import type { Caller, Scene, SceneOptions } from './scene.ts'

afterEach(endScenes)

async function linked(options: SceneOptions = {}): Promise<{ scene: Scene; caller: Caller }> {
  const scene = await createScene(options)
  const caller = await scene.call()
  await caller.startTls(certificate('capulet.example'))
  await caller.say(header())
  await caller.say(auth('='))
  await caller.say(header())
  return { scene, caller }
}

/** What a library of promises makes that is none of the language's own. */
function laterOf(begin: (resolve: () => void, reject: (error: Error) => void) => void): PromiseLike<void> {
  const promise = (): Promise<void> => new Promise((resolve, reject) => begin(resolve, reject))
  // Its own methods are all that it has: no instance of Promise.
  return { then: (...by) => promise().then(...by) }
}

describe('incoming/stanzas', () => {
  it('delivers the stanzas of an authenticated pair in order, addresses parsed, payload untouched', async () => {
    const { scene, caller } = await linked()
    const sent = [
      message('juliet@capulet.example/balcony', 'romeo@montague.example/orchard', 'm1'),
      "<iq from='capulet.example' to='montague.example' id='i1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
      "<presence from='juliet@capulet.example' to='romeo@montague.example'/>"
    ]
    assert.equal(await caller.say(sent.join('\n')), '')
    assert.deepEqual(
      scene.stanzas.map(({ stanza }) => [stanza.name, stanza.id, stanza.from.text, stanza.to.domain]),
      [
        ['message', 'm1', 'juliet@capulet.example/balcony', 'montague.example'],
        ['iq', 'i1', 'capulet.example', 'montague.example'],
        ['presence', undefined, 'juliet@capulet.example', 'montague.example']
      ]
    )
    assert.equal(scene.stanzas[0]?.pair.level, 'sasl-external')
    assert.equal(scene.stanzas[0].stanza.element.getChildText('body'), 'hi')
    assert.equal(scene.stanzas[0].stanza.element.getNS(), 'jabber:server')
  })

  const refused: readonly [id: string, what: string, xml: string, condition: string][] = [
    ['[RFC6120-8.1.1.2-a] ', 'a missing to', "<message from='a@capulet.example'/>", 'improper-addressing'],
    ['[RFC6120-8.1.1.2-a] ', 'an empty to', message('a@capulet.example', ''), 'improper-addressing'],
    ['[RFC6120-8.1.1.2-a] ', 'a to that is no address', message('a@capulet.example', '@montague.example'), 'improper-addressing'],
    ['[RFC6120-8.1.1.2-b] ', 'a to that is not hosted', message('a@capulet.example', 'b@verona.example'), 'host-unknown'],
    ['[RFC6120-8.1.1.2-b] ', 'a to that is hosted and not validated', message('a@capulet.example', 'b@second.example'), 'host-unknown'],
    ['[RFC6120-10.4-a] ', 'a to of a third domain', message('a@capulet.example', 'b@capulet.example'), 'host-unknown'],
    ['[RFC6120-8.1.2.2-a] ', 'a missing from', "<message to='b@montague.example'/>", 'improper-addressing'],
    ['[RFC6120-8.1.2.2-a] ', 'a from of another domain', message('a@mercutio.example'), 'invalid-from'],
    ['[RFC6120-8.1.2.2-a] ', 'a from of a subdomain', message('a@sub.capulet.example'), 'invalid-from'],
    ['[RFC6120-8.1.2.2-a] ', 'a from of ours', message('a@montague.example'), 'invalid-from'],
    ['[RFC6120-8.1.2.2-b] ', 'a domain hidden in a resource', message('victim.example/x@capulet.example'), 'invalid-from'],
    ['[SEC-ID-a] ', 'a from with a soft hyphen', message('a@capu\u00adlet.example'), 'improper-addressing'],
    ['[SEC-ID-a] ', 'a from with white space', message('a@capulet.example '), 'improper-addressing'],
    [
      '[SEC-ID-a] ',
      'a from only under a prefix',
      "<message xmlns:x='urn:x' x:from='a@capulet.example' to='b@montague.example'/>",
      'improper-addressing'
    ],
    [
      '[RFC6120-4.8.5-a] ',
      'a stanza under a prefix',
      "<x:message xmlns:x='jabber:server' from='a@capulet.example' to='b@montague.example'/>",
      'bad-namespace-prefix'
    ],
    [
      '[RFC6120-4.8.4-a] ',
      'an element called message in a foreign namespace',
      "<ns2:message xmlns:ns2='http://example.org/ns2' from='a@capulet.example' to='b@montague.example'/>",
      'unsupported-stanza-type'
    ],
    [
      '[RFC6120-4.8.4-a] ',
      'a stanza of clients',
      "<message xmlns='jabber:client' from='a@capulet.example' to='b@montague.example'/>",
      'unsupported-stanza-type'
    ],
    ['', 'an element of the content namespace that is no stanza', '<query/>', 'unsupported-stanza-type'],
    ['', 'an element of an unknown namespace', "<enable xmlns='urn:xmpp:sm:2'/>", 'unsupported-stanza-type'],
    [
      '[XEP0138-a] ',
      'a request for compression',
      "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
      'unsupported-stanza-type'
    ],
    ['', 'a comment inside a stanza', "<message from='a@capulet.example' to='b@montague.example'><!-- --></message>", 'restricted-xml'],
    [
      '',
      'a stanza that is not well-formed',
      "<message from='a@capulet.example' to='b@montague.example'><body></message>",
      'not-well-formed'
    ],
    ['', 'a second header', header(), 'restricted-xml']
  ]
  for (const [id, what, xml, condition] of refused) {
    it(`${id}answers ${what} with ${condition}, and delivers nothing from there on`, async () => {
      const { scene, caller } = await linked()
      const heard = await caller.say(message() + xml + message())
      assert.equal(errorIn(heard), condition)
      assert.equal(scene.stanzas.length, 1)
      assert.equal(scene.links.size, 0)
    })
  }

  it('[SEC-ID-a] [ENG-NAME-b] takes every spelling of the authenticated domain for that domain, in authorisation and in routing', async () => {
    const { scene, caller } = await linked()
    for (const from of ['a@CAPULET.example', 'a@capulet.example.', 'a@ｃapulet.example', 'a@capulet。example']) {
      assert.equal(await caller.say(message(from)), '')
    }
    assert.deepEqual([...new Set(scene.stanzas.map(({ stanza }) => stanza.from.domain))], ['capulet.example'])
    assert.equal(scene.stanzas.length, 4)
  })

  it('allows whole stanzas only after authentication, and says which limit was reached', async () => {
    const limits = { preAuthBytes: 10_000, stanzaBytes: 20_000 }
    const large = (size: number): string => message().replace('hi', 'x'.repeat(size))
    const { scene, caller } = await linked({ limits })
    assert.equal(await caller.say(large(15_000)), '')
    assert.equal(scene.stanzas.length, 1)
    const heard = await caller.say(large(20_001))
    assert.equal(errorIn(heard), 'policy-violation')
    assert.match(heard, /<stanza-too-big xmlns='urn:xmpp:errors'\/>/)
    const stranger = await (await createScene({ limits })).call()
    await stranger.say(header())
    assert.equal(errorIn(await stranger.say(key('k'.repeat(10_001)))), 'policy-violation')
  })

  it('[XEP0478-a] takes exactly what it announces', async () => {
    const scene = await createScene({ limits: { stanzaBytes: 20_000 } })
    const exactly = (size: number): string => message().replace('hi', 'x'.repeat(size - message().length + 2))
    for (const [size, condition] of [
      [20_000, undefined],
      [20_001, 'policy-violation']
    ] as const) {
      const caller = await scene.call()
      await caller.startTls(certificate('capulet.example'))
      await caller.say(header())
      await caller.say(auth('='))
      assert.match(await caller.say(header()), /<max-bytes>20000<\/max-bytes>/)
      assert.equal(Buffer.byteLength(exactly(size)), size)
      const heard = await caller.say(exactly(size))
      assert.equal(condition === undefined ? heard : errorIn(heard), condition ?? '')
    }
    assert.equal(scene.stanzas.length, 1)
  })

  it('reads a stream no further while the handler of a stanza is at work, and keeps the order', async () => {
    const order: string[] = []
    const gates: (() => void)[] = []
    const { caller, scene } = await linked({
      onStanza: async stanza => {
        order.push(`${stanza.id} begins`)
        await new Promise<void>(resolve => gates.push(resolve))
        order.push(`${stanza.id} ends`)
      }
    })
    const flood = Array.from({ length: 2_000 }, (_, index) => message(undefined, undefined, `m${index}`)).join('')
    const taken = await caller.push(flood)
    assert.ok(taken < flood.length, 'the peer is pushed back')
    assert.deepEqual(order, ['m0 begins'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(order, ['m0 begins', 'm0 ends', 'm1 begins'])
  })

  it('[RFC6120-10.1-a] waits for whatever has a then, as for a promise', async () => {
    const order: string[] = []
    const gates: (() => void)[] = []
    const { caller, scene } = await linked({
      onStanza: stanza => {
        order.push(`${stanza.id} begins`)
        return laterOf(resolve =>
          gates.push(() => {
            order.push(`${stanza.id} ends`)
            resolve()
          })
        )
      }
    })
    await caller.say(message(undefined, undefined, 'm0') + message(undefined, undefined, 'm1'))
    assert.deepEqual(order, ['m0 begins'])
    gates[0]?.()
    await scene.clock.settle()
    assert.deepEqual(order, ['m0 begins', 'm0 ends', 'm1 begins'])
  })

  it('turns a rejection of what has a then, and a then that throws, into a warning', async () => {
    const throwing: PromiseLike<void> = {
      then: () => {
        throw new Error('it threw')
      }
    }
    const { caller, scene } = await linked({
      onStanza: ({ id }) => (id === 'm1' ? laterOf((_, reject) => reject(new Error('it failed'))) : throwing)
    })
    assert.equal(await caller.say(['m1', 'm2', 'm3'].map(id => message(undefined, undefined, id)).join('')), '')
    assert.deepEqual(scene.warnings, Array(3).fill('The engine made a mistake: onStanza failed.'))
    assert.equal(scene.links.size, 1)
  })

  it('turns what a handler throws or rejects with into a warning, and goes on', async () => {
    let calls = 0
    const { scene, caller } = await linked({
      onStanza: () => {
        calls += 1
        if (calls === 1) throw new Error('at once')
        return Promise.reject(new Error('later'))
      }
    })
    assert.equal(await caller.say(message() + message() + message()), '')
    assert.equal(calls, 3)
    assert.equal(scene.warnings.length, 3)
    assert.equal(scene.links.size, 1)
  })

  it('is not held up at its end by a handler that never settles', async () => {
    const { scene, caller } = await linked({ onStanza: () => new Promise<void>(() => undefined) })
    await caller.say(message())
    const [link] = scene.links
    const closed = link?.close()
    await scene.clock.run(closed ?? Promise.resolve())
    assert.equal(scene.links.size, 0)
  })
})
