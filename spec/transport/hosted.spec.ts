import assert from 'node:assert/strict'
import { systemClock } from '../../lib/dns/system-clock.ts'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Domain } from '../../lib/model/domain.ts'
import type { Credentials, KeyStore, Tls, TlsContext } from '../../lib/model/plugs.ts'
import { HostedDomains } from '../../lib/transport/hosted.ts'
import type { HostedOptions } from '../../lib/transport/hosted.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { credentialsFor, rejection } from './connections.ts'

const tls = nodeTls()
const options: HostedOptions = { clock: systemClock, patience: 5_000 }
const verona = credentialsFor('verona.example')
const padua = credentialsFor('padua.example')
const at = (name: string): Domain => domain(name)

const shown = (context: TlsContext | undefined): string => {
  if (context === undefined) return 'nothing'
  const names = { verona, padua }
  return Object.entries(names).find(([, { der }]) => context.chain[0]?.equals(der))?.[0] ?? 'another'
}

function refusal(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (FederationError.is(error) && error.code === 'S2S_CONFIG') return error.detail ?? ''
    throw error
  }
  return 'accepted'
}

/** A key store over a record that may change, counting how often it is asked. */
function countingStore(
  credentials: Record<string, Credentials | undefined>
): KeyStore & { asked: number; credentials: Record<string, Credentials | undefined> } {
  return {
    asked: 0,
    credentials,
    get domains() {
      return Object.keys(this.credentials)
    },
    credentialsFor(hosted) {
      this.asked += 1
      return Promise.resolve(this.credentials[hosted])
    }
  }
}

describe('the hosted domains', () => {
  it('are known by their canonical names', () => {
    const hosted = new HostedDomains({ 'Verona.Example.': verona, 'xn--bcher-kva.example': undefined }, tls, options)
    assert.deepEqual(hosted.domains, ['verona.example', 'bücher.example'])
    assert.deepEqual(
      [hosted.has(at('verona.example')), hosted.has(at('bücher.example')), hosted.has(at('padua.example'))],
      [true, true, false]
    )
    assert.equal(hosted.defaultDomain, 'verona.example')
  })

  it('are refused by name when they are none, twice the same, or not hosted and the default', () => {
    assert.equal(
      refusal(() => new HostedDomains({ 'verona example': undefined }, tls, options)),
      'domains: "verona example" is not a domain name'
    )
    assert.equal(
      refusal(() => new HostedDomains({ 'verona.example': verona, 'VERONA.example': verona }, tls, options)),
      'domains: verona.example is given twice'
    )
    assert.equal(
      refusal(() => new HostedDomains({ 'verona.example': verona }, tls, { ...options, defaultDomain: 'padua.example' })),
      'defaultDomain: "padua.example" is not one of the hosted domains'
    )
  })

  it('[ENG-CERT-a] show the certificate of the server name, else of the header, else of the default domain', async () => {
    const hosted = new HostedDomains({ 'verona.example': verona, 'padua.example': padua, 'bare.example': undefined }, tls, options)
    const cases = [
      ['padua.example', undefined, 'padua'],
      ['PADUA.example', undefined, 'padua'],
      ['padua.example', at('verona.example'), 'padua'],
      [undefined, at('padua.example'), 'padua'],
      ['unknown.example', at('padua.example'), 'padua'],
      ['not a name', undefined, 'verona'],
      ['bare.example', undefined, 'verona'],
      [undefined, at('unknown.example'), 'verona'],
      [undefined, undefined, 'verona']
    ] as const
    for (const [servername, header, expected] of cases)
      assert.equal(
        shown(await hosted.contextForServerName(servername, header)),
        expected,
        `${servername ?? 'no name'}, to ${header ?? 'nobody'}`
      )
  })

  it('show nothing where there is nothing to show', async () => {
    const hosted = new HostedDomains({ 'bare.example': undefined }, tls, options)
    assert.equal(await hosted.context(at('bare.example')), undefined)
    assert.equal(await hosted.context(at('padua.example')), undefined)
    assert.equal(await hosted.contextForServerName('bare.example', undefined), undefined)
    assert.equal(new HostedDomains({}, tls, options).defaultDomain, undefined)
  })

  it('have one context each, made once, also for many who ask at the same time', async () => {
    const store = countingStore({ 'verona.example': verona })
    const hosted = new HostedDomains(store, tls, options)
    const contexts = await Promise.all([1, 2, 3].map(() => hosted.context(at('verona.example'))))
    assert.equal(new Set(contexts).size, 1)
    assert.equal(store.asked, 1)
  })

  it('are read again by a reload: new certificates, new domains, and a list that is no good changes nothing', async () => {
    const store = countingStore({ 'verona.example': verona })
    const hosted = new HostedDomains(store, tls, options)
    assert.equal(shown(await hosted.context(at('verona.example'))), 'verona')
    store.credentials = { 'verona.example': padua, 'mantua.example': verona }
    assert.equal(shown(await hosted.context(at('verona.example'))), 'verona')
    await hosted.reload()
    assert.deepEqual(
      [shown(await hosted.context(at('verona.example'))), shown(await hosted.context(at('mantua.example')))],
      ['padua', 'verona']
    )
    store.credentials = { 'no name': verona }
    assert.match((await rejection(hosted.reload())).detail ?? '', /is not a domain name/)
    assert.deepEqual(hosted.domains, ['verona.example', 'mantua.example'])
    assert.equal(shown(await hosted.context(at('verona.example'))), 'padua')
  })

  it('that cannot be used keep what they showed, and keep no other from its new certificate', async () => {
    const store = countingStore({ 'verona.example': verona, 'mantua.example': verona })
    const hosted = new HostedDomains(store, tls, options)
    assert.deepEqual(await hosted.prepare(), { failed: [], bare: [] })
    const mixed = { key: padua.key, cert: verona.cert }
    store.credentials = { 'padua.example': mixed, 'verona.example': mixed, 'mantua.example': padua, 'bare.example': undefined }
    const { failed, bare } = await hosted.reload()
    assert.deepEqual(
      failed.map(({ code, detail }) => `${code} ${detail ?? ''}`),
      ['padua.example', 'verona.example'].map(
        name => `S2S_CONFIG the credentials of ${name}: the private key does not belong to the first certificate`
      )
    )
    assert.deepEqual(bare, ['bare.example'])
    assert.deepEqual(hosted.domains, ['verona.example', 'mantua.example', 'bare.example'])
    assert.deepEqual(
      [shown(await hosted.context(at('verona.example'))), shown(await hosted.context(at('mantua.example')))],
      ['verona', 'padua']
    )
    assert.equal(await hosted.context(at('padua.example')), undefined)
  })

  it('have contexts of their own: to add or to remove one, or to read the same again, makes no other', async () => {
    let made = 0
    const counting: Tls = { ...tls, createContext: credentials => ((made += 1), tls.createContext(credentials)) }
    const hosted = new HostedDomains({ 'verona.example': verona, 'mantua.example': { ...verona } }, counting, options)
    await hosted.prepare()
    const before = await hosted.context(at('mantua.example'))
    assert.equal(made, 2)
    hosted.add(at('padua.example'), padua)
    assert.equal(made, 3)
    hosted.remove(at('verona.example'))
    await hosted.reload()
    await hosted.prepare()
    assert.equal(made, 3)
    assert.equal(await hosted.context(at('mantua.example')), before)
    assert.deepEqual([hosted.defaultDomain, hosted.isGone(at('verona.example'))], ['mantua.example', true])
    hosted.add(at('mantua.example'), padua)
    assert.equal(shown(await hosted.context(at('mantua.example'))), 'padua')
    assert.equal(made, 4)
  })

  it('are read while the event loop goes on, however many there are', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `d${i}.example`)
    const store = countingStore(Object.fromEntries(names.map(name => [name, verona])))
    const hosted = new HostedDomains(store, tls, options)
    let turns = 0
    const count = (): void => {
      turns += 1
      counting = setImmediate(count)
    }
    let counting = setImmediate(count)
    await hosted.reload()
    clearImmediate(counting)
    assert.ok(turns >= names.length, `${turns} turns of the event loop`)
  })

  it('that are removed while all are read are hosted no more when that is done', async () => {
    const names = ['a.example', 'b.example', 'gone.example', 'verona.example']
    const hosted = new HostedDomains(Object.fromEntries(names.map(name => [name, verona])), tls, options)
    const read = { isDone: false }
    const reload = hosted.reload().finally(() => (read.isDone = true))
    await new Promise(resolve => setImmediate(resolve))
    hosted.remove(at('gone.example'))
    hosted.add(at('verona.example'), padua)
    while (!read.isDone) {
      assert.equal(hosted.has(at('gone.example')), false)
      await new Promise(resolve => setImmediate(resolve))
    }
    assert.deepEqual((await reload).failed, [])
    assert.deepEqual(hosted.domains, ['a.example', 'b.example', 'verona.example'])
    assert.equal(await hosted.context(at('gone.example')), undefined)
    assert.equal(shown(await hosted.context(at('verona.example'))), 'padua')
  })

  it('that are on the list no more are forgotten at once, and do not come back with a reload that began before', async () => {
    const answers: (() => void)[] = []
    const names = ['verona.example', 'padua.example']
    const store: KeyStore = {
      get domains() {
        return [...names]
      },
      credentialsFor: () => new Promise(resolve => answers.push(() => resolve(verona)))
    }
    const hosted = new HostedDomains(store, tls, options)
    const reload = hosted.reload()
    while (answers.length < 2) await new Promise(resolve => setImmediate(resolve))
    names.pop()
    assert.equal(hosted.forgetUnlisted(), true)
    assert.equal(hosted.has(at('padua.example')), false)
    for (const answer of answers) answer()
    await reload
    assert.deepEqual(hosted.domains, ['verona.example'])
    assert.equal(await hosted.context(at('padua.example')), undefined)
  })

  it('are read one reload after another: the last one stays, however long the first takes', async () => {
    const answers: ((credentials: Credentials) => void)[] = []
    const store: KeyStore = { domains: ['verona.example'], credentialsFor: () => new Promise(resolve => answers.push(resolve)) }
    const hosted = new HostedDomains(store, tls, options)
    const reloads = [hosted.reload(), hosted.reload()]
    const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
    for (const [at, credentials] of [verona, padua].entries()) {
      for (let turns = 0; turns < 5; turns += 1) await turn()
      assert.equal(answers.length, at + 1)
      answers[at]?.(credentials)
    }
    await Promise.all(reloads)
    assert.equal(shown(await hosted.context(at('verona.example'))), 'padua')
  })

  it('are named by the error of credentials that cannot be had or used, and asked for again', async () => {
    const store = countingStore({ 'verona.example': { key: padua.key, cert: verona.cert } })
    const hosted = new HostedDomains(store, tls, options)
    const error = await rejection(hosted.context(at('verona.example')))
    assert.equal(error.code, 'S2S_CONFIG')
    assert.equal(error.detail, 'the credentials of verona.example: the private key does not belong to the first certificate')
    store.credentials = { 'verona.example': verona }
    assert.equal(shown(await hosted.context(at('verona.example'))), 'verona')
    const broken: KeyStore = { domains: ['verona.example'], credentialsFor: () => Promise.reject(new Error('no such file')) }
    const failure = await rejection(new HostedDomains(broken, tls, options).context(at('verona.example')))
    assert.deepEqual(
      [failure.code, failure.fault, failure.detail],
      ['S2S_KEY_STORE', 'us', 'the credentials of verona.example: the key store failed']
    )
  })
})
