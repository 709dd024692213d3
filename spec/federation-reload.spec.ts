import assert from 'node:assert/strict'
import type { Federation } from '../lib/federation.ts'
import type { Credentials, KeyStore } from '../lib/model/plugs.ts'
import type { Report } from '../lib/model/report.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

/** A key store whose credentials may change. */
interface ChangingStore extends KeyStore {
  readonly credentials: Map<string, Credentials | undefined>
  /** What answers in its place. */
  instead: KeyStore['credentialsFor'] | undefined
}

function changingStore(name: string, first: Credentials): ChangingStore {
  const credentials = new Map<string, Credentials | undefined>([[name, first]])
  return {
    credentials,
    instead: undefined,
    get domains() {
      return [...credentials.keys()]
    },
    credentialsFor(hosted) {
      return this.instead === undefined ? credentials.get(hosted) : this.instead(hosted)
    }
  }
}

describe('a federation engine that is told to read its key store again', () => {
  let world: World
  let store: ChangingStore
  let a: Federation
  let b: Federation
  const pair = pairOf('a.example', 'b.example')

  beforeEach(async () => {
    world = createWorld()
    store = changingStore('b.example', issue('b.example'))
    a = await world.engine('a.example')
    b = await world.engine('b.example', { domains: store })
  })
  afterEach(() => world.stop())

  const issue = (name: string): Credentials => world.authority.issue(name, { now: world.clock.now() })
  const probe = (target: string): Promise<Report> => world.run(a.probe(pairOf('a.example', target)))
  /** The certificate that the other server showed. */
  const shown = (report: Report): string | undefined => {
    const entry = report.trace.find(each => each.step === 'check-certificate')
    return entry?.step === 'check-certificate' ? entry.facts.verdict.fingerprint256 : undefined
  }

  it('shows a renewed certificate to the next connection, and leaves the links that are there alone', async () => {
    const link = await world.run(a.connect(pair))
    const theirs = b.links()
    const before = shown(await probe('b.example'))
    store.credentials.set('b.example', issue('b.example'))
    assert.equal(shown(await probe('b.example')), before)
    await b.reload()
    const renewed = await probe('b.example')
    assert.notEqual(shown(renewed), before)
    assert.equal(renewed.level, 'sasl-external')
    assert.deepEqual(a.links(), [link])
    assert.equal(theirs.length, 1)
    assert.ok(theirs.every(each => b.links().includes(each)))
  })

  it('speaks for a domain that was added, in both directions', async () => {
    world.network.zone.server('c.example', { addresses: [world.addressOf('b.example')] })
    store.credentials.set('c.example', issue('c.example'))
    assert.equal((await probe('c.example')).error?.code, 'S2S_STREAM_ERROR_RECEIVED')
    await b.reload()
    assert.equal((await probe('c.example')).level, 'sasl-external')
    assert.equal((await world.run(b.probe(pairOf('c.example', 'a.example')))).level, 'sasl-external')
  })

  it('asks for each domain under the name that the store lists it by', async () => {
    const written = ['C.Example.', 'xn--mnchen-3ya.example']
    const names = ['c.example', 'münchen.example']
    for (const [index, name] of names.entries()) {
      world.network.zone.server(index === 0 ? name : 'xn--mnchen-3ya.example', { addresses: [world.addressOf('b.example')] })
      store.credentials.set(written[index] ?? '', issue(name))
    }
    await b.reload()
    for (const name of names) assert.equal((await probe(name)).level, 'sasl-external', name)
  })

  const LISTS: Readonly<Record<string, () => unknown>> = {
    'that throws': () => {
      throw new Error('no database')
    },
    'of nothing': () => undefined,
    'of numbers': () => ['b.example', 5]
  }
  for (const [name, list] of Object.entries(LISTS))
    it(`keeps what it has when the store has a list of domains ${name}, and says so`, async () => {
      Object.defineProperty(store, 'domains', { get: list })
      const error = await rejection(b.reload())
      assert.equal(error.code, 'S2S_CONFIG')
      assert.match(error.message, /domains/u)
      assert.equal((await probe('b.example')).level, 'sasl-external')
    })

  it('no longer speaks for a domain that was removed', async () => {
    store.credentials.set('c.example', issue('c.example'))
    await b.reload()
    store.credentials.delete('c.example')
    await b.reload()
    const error = await rejection(b.probe(pairOf('c.example', 'a.example')))
    assert.equal(error.code, 'S2S_NOT_HOSTED')
  })

  const unusable: readonly (readonly [string, () => void, RegExp])[] = [
    ['a name that is no domain', () => store.credentials.set('c example', undefined), /"c example" is not a domain name/],
    ['one domain in two spellings', () => store.credentials.set('B.example', undefined), /b\.example is given twice/]
  ]
  for (const [what, change, says] of unusable)
    it(`changes nothing when there is ${what}`, async () => {
      const before = shown(await probe('b.example'))
      store.credentials.set('b.example', issue('b.example'))
      change()
      const error = await rejection(b.reload())
      assert.equal(error.code, 'S2S_CONFIG')
      assert.match(error.message, says)
      assert.equal(shown(await probe('b.example')), before)
      assert.equal((await rejection(b.probe(pairOf('c.example', 'a.example')))).code, 'S2S_NOT_HOSTED')
    })

  it('takes over all that can be used, names the rest, and does not host what is new and of no use', async () => {
    const warned: string[] = []
    b.on('warning', ({ error }) => warned.push(error.message))
    const mixed = (name: string): Credentials => ({ ...issue(name), key: issue(name).key })
    const before = shown(await probe('b.example'))
    store.credentials.set('b.example', issue('b.example'))
    store.credentials.set('c.example', mixed('c.example'))
    const one = await rejection(b.reload())
    assert.equal(one.code, 'S2S_CONFIG')
    assert.match(one.message, /c\.example: the private key/)
    assert.deepEqual(warned, [one.message])
    const renewed = shown(await probe('b.example'))
    assert.notEqual(renewed, before)
    assert.equal((await rejection(b.probe(pairOf('c.example', 'a.example')))).code, 'S2S_NOT_HOSTED')
    store.credentials.set('b.example', mixed('b.example'))
    const both = await rejection(b.reload())
    assert.match(both.message, /b\.example: the private key.*; .*c\.example: the private key/)
    assert.equal(shown(await probe('b.example')), renewed, 'what it showed is kept')
    assert.equal(warned.length, 3)
    store.credentials.set('c.example', issue('c.example'))
    store.credentials.set('b.example', issue('b.example'))
    await b.reload()
    assert.equal((await world.run(b.probe(pairOf('c.example', 'a.example')))).level, 'sasl-external')
  })

  it('speaks for a domain that was removed no more, however long the credentials of another take', async () => {
    store.credentials.set('c.example', issue('c.example'))
    await b.reload()
    const ended = new Promise(resolve => b.on('link-reset', resolve))
    await world.run(b.connect(pairOf('c.example', 'a.example')))
    store.credentials.delete('c.example')
    let answer: ((credentials: Credentials) => void) | undefined
    store.instead = () => new Promise(resolve => (answer = resolve))
    const reload = b.reload()
    await ended
    assert.equal((await rejection(b.probe(pairOf('c.example', 'a.example')))).code, 'S2S_NOT_HOSTED')
    while (answer === undefined) await world.clock.settle()
    answer(issue('b.example'))
    await reload
  })

  it('warns of a domain that has no certificate any more', async () => {
    const warned: string[] = []
    b.on('warning', ({ error }) => warned.push(error.message))
    store.credentials.set('b.example', undefined)
    await b.reload()
    assert.equal(warned.length, 1)
    assert.match(warned[0] ?? '', /b\.example has no certificate/)
  })

  it('refuses to once it has stopped', async () => {
    await world.run(b.stop())
    assert.equal((await rejection(b.reload())).code, 'S2S_STOPPED')
  })

  it('reads the same once more where the domains are a plain object', async () => {
    const before = shown(await world.run(b.probe(pairOf('b.example', 'a.example'))))
    await a.reload()
    assert.equal(shown(await world.run(b.probe(pairOf('b.example', 'a.example')))), before)
  })
})
