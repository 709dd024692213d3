import assert from 'node:assert/strict'
import { discoverEndpoints } from '../../lib/dns/discover.ts'
import { dnsResolver } from '../../lib/dns/resolver.ts'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Endpoint } from '../../lib/model/endpoint.ts'
import type { DnsAnswer, Resolver, SrvRecord } from '../../lib/model/plugs.ts'
import type { Override } from '../../lib/model/settings.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { startDnsServer } from '../../lib/testing/dns-server.ts'
import type { DnsServer } from '../../lib/testing/dns-server.ts'
import { rejection, rejectionCode } from '../transport/connections.ts'

const DIRECT = '_xmpps-server._tcp.shakespeare.example'
const STARTTLS = '_xmpp-server._tcp.shakespeare.example'

describe('discovering a domain', () => {
  let dns: DnsServer
  let resolver: Resolver

  beforeEach(async () => {
    dns = await startDnsServer()
    resolver = dnsResolver({ servers: [`${dns.address}:${dns.port}`], clock: createTestClock() })
  })
  afterEach(() => dns.close())

  const discover = (
    name = 'shakespeare.example',
    wishes: { override?: Override; signal?: AbortSignal } = {}
  ): ReturnType<typeof discoverEndpoints> =>
    discoverEndpoints(domain(name), { resolver, random: Math.random, signal: new AbortController().signal, limit: 16, ...wishes })
  const asked = (): readonly string[] => dns.queries.map(({ name }) => name.toLowerCase()).sort()

  it('asks for both services at once, and merges them', async () => {
    dns.zone.srv(DIRECT, [{ target: 'a.example', port: 5270, priority: 1 }])
    dns.zone.srv(STARTTLS, [{ target: 'a.example', port: 5269, priority: 2 }])
    const { endpoints, failures } = await discover()
    const expected: Endpoint[] = [
      { host: 'a.example', port: 5270, tls: 'direct', source: 'srv' },
      { host: 'a.example', port: 5269, tls: 'starttls', source: 'srv' }
    ]
    assert.deepEqual([endpoints, failures], [expected, []])
    assert.deepEqual(asked(), [STARTTLS, DIRECT].sort())
  })

  it('[RFC6120-3.2.2-a] falls back to the domain at 5269 when neither service exists', async () => {
    dns.zone.addresses('shakespeare.example', ['192.0.2.7'])
    assert.deepEqual((await discover()).endpoints, [{ host: 'shakespeare.example', port: 5269, tls: 'starttls', source: 'fallback' }])
  })

  it('[RFC6120-3.2.1-b] reports a refused service as that, and asks for no address', async () => {
    dns.zone.srv(STARTTLS, [{ target: '.', port: 0 }])
    dns.zone.addresses('shakespeare.example', ['192.0.2.7'])
    const error = await rejection(discover())
    assert.deepEqual([error.code, error.stanzaCondition], ['S2S_DNS_SERVICE_REFUSED', 'remote-server-not-found'])
    assert.deepEqual(asked(), [STARTTLS, DIRECT].sort())
    dns.zone.srv(DIRECT, [{ target: 'a.example', port: 5270 }])
    resolver = dnsResolver({ servers: [`${dns.address}:${dns.port}`] })
    assert.deepEqual(
      (await discover()).endpoints.map(({ tls }) => tls),
      ['direct']
    )
  })

  const records: readonly unknown[] = [
    null,
    {},
    { target: 'a.example', port: 5269 },
    { target: 'a.example', port: '5269', priority: 0, weight: 0 }
  ]
  for (const answer of [undefined, ...records.map(each => ({ status: 'found', ttl: 1, secure: false, records: [each] }))])
    it(`says that the lookup failed, not that there is nothing, when a resolver answers ${JSON.stringify(answer)}`, async () => {
      resolver = { ...resolver, srv: () => Promise.resolve(answer as DnsAnswer<SrvRecord>) }
      assert.equal(await rejectionCode(discover()), 'S2S_DNS_FAILED')
    })

  it('uses one service when the lookup of the other fails, and says so', async () => {
    dns.zone.srv(STARTTLS, [{ target: 'a.example', port: 5269 }])
    dns.zone.fail(DIRECT)
    const { endpoints, failures } = await discover()
    assert.equal(endpoints.length, 1)
    assert.match(failures.join(), /^SRV _xmpps-server\._tcp\.shakespeare\.example: .*SERVFAIL$/)
  })

  it('takes no failed lookup for an absent service', async () => {
    dns.zone.fail(DIRECT)
    assert.equal(await rejectionCode(discover()), 'S2S_DNS_FAILED')
  })

  it('[RFC6120-3.2.4-a] looks every domain up by its own name', async () => {
    dns.zone.srv('_xmpp-server._tcp.b.example', [{ target: 'a.example' }])
    assert.deepEqual((await discover('rooms.b.example')).endpoints[0]?.source, 'fallback')
    assert.deepEqual(asked(), ['_xmpp-server._tcp.rooms.b.example', '_xmpps-server._tcp.rooms.b.example'])
  })

  it('asks by A-labels', async () => {
    dns.zone.srv('_xmpp-server._tcp.xn--bcher-kva.example', [{ target: 'a.example' }])
    assert.equal((await discover('bücher.example')).endpoints[0]?.host, 'a.example')
  })

  it("goes by the operator's word instead, and asks nothing", async () => {
    const cases: readonly (readonly [Override, Endpoint])[] = [
      [{ host: '127.0.0.1' }, { host: '127.0.0.1', port: 5269, tls: 'starttls', source: 'override' }],
      [
        { host: 'a.example', tls: 'direct' },
        { host: 'a.example', port: 5270, tls: 'direct', source: 'override' }
      ],
      [
        { host: 'a.example', port: 443, tls: 'direct' },
        { host: 'a.example', port: 443, tls: 'direct', source: 'override' }
      ]
    ]
    for (const [override, endpoint] of cases)
      assert.deepEqual(await discover('shakespeare.example', { override }), { endpoints: [endpoint], failures: [] })
    assert.equal(dns.queries.length, 0)
  })

  it('ends with its signal', async () => {
    dns.fail('timeout')
    const deadline = new AbortController()
    const failed = rejection(discover('shakespeare.example', { signal: deadline.signal }))
    deadline.abort(new FederationError('S2S_TIMEOUT'))
    assert.equal((await failed).code, 'S2S_TIMEOUT')
  })

  it("makes a stranger's resolver fail as DNS does", async () => {
    resolver = { srv: () => Promise.reject(new Error('no cable')), addresses: () => Promise.reject(new Error('no cable')) }
    assert.match((await rejection(discover())).message, /no cable/)
    resolver = { ...resolver, srv: () => Promise.resolve({ status: 'found', records: [], ttl: 1, secure: false }) }
    assert.equal((await discover()).endpoints[0]?.source, 'fallback')
  })
})
