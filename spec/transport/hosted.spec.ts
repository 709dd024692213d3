import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Domain } from '../../lib/model/domain.ts'
import type { Credentials, KeyStore, TlsContext } from '../../lib/model/plugs.ts'
import { HostedDomains } from '../../lib/transport/hosted.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { credentialsFor, rejection } from './connections.ts'

const tls = nodeTls()
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
    const hosted = new HostedDomains({ 'Verona.Example.': verona, 'xn--bcher-kva.example': undefined }, tls)
    assert.deepEqual(hosted.domains, ['verona.example', 'bücher.example'])
    assert.deepEqual(
      [hosted.has(at('verona.example')), hosted.has(at('bücher.example')), hosted.has(at('padua.example'))],
      [true, true, false]
    )
    assert.equal(hosted.defaultDomain, 'verona.example')
  })

  it('are refused by name when they are none, twice the same, or not hosted and the default', () => {
    assert.equal(
      refusal(() => new HostedDomains({ 'verona example': undefined }, tls)),
      'domains: "verona example" is not a domain name'
    )
    assert.equal(
      refusal(() => new HostedDomains({ 'verona.example': verona, 'VERONA.example': verona }, tls)),
      'domains: verona.example is given twice'
    )
    assert.equal(
      refusal(() => new HostedDomains({ 'verona.example': verona }, tls, 'padua.example')),
      'defaultDomain: "padua.example" is not one of the hosted domains'
    )
  })

  it('[ENG-CERT-a] show the certificate of the server name, else of the header, else of the default domain', async () => {
    const hosted = new HostedDomains({ 'verona.example': verona, 'padua.example': padua, 'bare.example': undefined }, tls)
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
    const hosted = new HostedDomains({ 'bare.example': undefined }, tls)
    assert.equal(await hosted.context(at('bare.example')), undefined)
    assert.equal(await hosted.context(at('padua.example')), undefined)
    assert.equal(await hosted.contextForServerName('bare.example', undefined), undefined)
    assert.equal(new HostedDomains({}, tls).defaultDomain, undefined)
  })

  it('have one context each, made once, also for many who ask at the same time', async () => {
    const store = countingStore({ 'verona.example': verona })
    const hosted = new HostedDomains(store, tls)
    const contexts = await Promise.all([1, 2, 3].map(() => hosted.context(at('verona.example'))))
    assert.equal(new Set(contexts).size, 1)
    assert.equal(store.asked, 1)
  })

  it('are read again by a reload: new certificates, new domains, and a list that is no good changes nothing', async () => {
    const store = countingStore({ 'verona.example': verona })
    const hosted = new HostedDomains(store, tls)
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
    store.credentials = { 'verona.example': verona, 'padua.example': { key: padua.key, cert: verona.cert } }
    assert.match((await rejection(hosted.reload())).detail ?? '', /^the credentials of padua\.example: /)
    assert.deepEqual(hosted.domains, ['verona.example', 'mantua.example'])
    assert.equal(shown(await hosted.context(at('verona.example'))), 'padua')
  })

  it('are read one reload after another: the last one stays, however long the first takes', async () => {
    const answers: ((credentials: Credentials) => void)[] = []
    const store: KeyStore = { domains: ['verona.example'], credentialsFor: () => new Promise(resolve => answers.push(resolve)) }
    const hosted = new HostedDomains(store, tls)
    const reloads = [hosted.reload(), hosted.reload()]
    const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
    for (const [at, credentials] of [verona, padua].entries()) {
      await turn()
      assert.equal(answers.length, at + 1)
      answers[at]?.(credentials)
    }
    await Promise.all(reloads)
    assert.equal(shown(await hosted.context(at('verona.example'))), 'padua')
  })

  it('are named by the error of credentials that cannot be used, and asked for again', async () => {
    const store = countingStore({ 'verona.example': { key: padua.key, cert: verona.cert } })
    const hosted = new HostedDomains(store, tls)
    const error = await rejection(hosted.context(at('verona.example')))
    assert.equal(error.code, 'S2S_CONFIG')
    assert.equal(error.detail, 'the credentials of verona.example: the private key does not belong to the first certificate')
    store.credentials = { 'verona.example': verona }
    assert.equal(shown(await hosted.context(at('verona.example'))), 'verona')
    const broken: KeyStore = { domains: ['verona.example'], credentialsFor: () => Promise.reject(new Error('no such file')) }
    assert.equal(
      (await rejection(new HostedDomains(broken, tls).context(at('verona.example')))).detail,
      'the credentials of verona.example: the key store failed'
    )
  })
})
