import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import type { DnsAnswer, Resolver, SrvRecord } from '../../lib/model/plugs.ts'
import { dnsResolver } from '../../lib/dns/resolver.ts'
import type { DnsResolverOptions } from '../../lib/dns/resolver.ts'
import { readServers } from '../../lib/dns/servers.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { startDnsServer } from '../../lib/testing/dns-server.ts'
import type { DnsFailure, DnsServer } from '../../lib/testing/dns-server.ts'
import { rejection } from '../transport/connections.ts'

const SERVICE = '_xmpp-server._tcp.shakespeare.example'
const HOST = 'xmpp.shakespeare.example'
const never = { signal: new AbortController().signal }

const at = ({ address, port }: DnsServer): string => `${address}:${port}`

describe('the DNS resolver', () => {
  let dns: DnsServer
  let clock: TestClock
  let resolver: Resolver

  beforeEach(async () => {
    dns = await startDnsServer()
    dns.zone.server('shakespeare.example', { addresses: ['192.0.2.7', '2001:db8::7'], priority: 5, weight: 30 })
    clock = createTestClock()
    resolver = resolverOver({ servers: [at(dns)] })
  })
  afterEach(() => dns.close())

  const resolverOver = (options: DnsResolverOptions): Resolver => dnsResolver({ clock, ...options })
  const srv = (name = SERVICE): Promise<DnsAnswer<SrvRecord>> => resolver.srv(name, never)
  const record: SrvRecord = { target: HOST, port: 5269, priority: 5, weight: 30 }

  describe('answers', () => {
    it('with what was found, and for how long', async () => {
      assert.deepEqual(await srv(), { status: 'found', records: [record], ttl: 300, secure: false })
      assert.deepEqual(await resolver.addresses(HOST, never), {
        status: 'found',
        records: [
          { address: '2001:db8::7', family: 6 },
          { address: '192.0.2.7', family: 4 }
        ],
        ttl: 300,
        secure: false
      })
    })

    it('with no data for a name that exists, and no such domain for one that does not', async () => {
      assert.equal((await srv('_tcp.shakespeare.example')).status, 'no-data')
      assert.equal((await srv('_xmpp-server._tcp.nobody.example')).status, 'no-such-domain')
      dns.zone.addresses('four.example', ['192.0.2.1'])
      const only = await resolver.addresses('four.example', never)
      assert.deepEqual(only.status === 'found' && only.records, [{ address: '192.0.2.1', family: 4 }])
      assert.equal((await resolver.addresses(SERVICE, never)).status, 'no-data')
      assert.equal((await resolver.addresses('nobody.example', never)).status, 'no-such-domain')
    })

    it('with a "." as it is', async () => {
      dns.zone.srv(SERVICE, [{ target: '.', port: 0 }])
      const answer = await srv()
      assert.deepEqual(answer.status === 'found' && answer.records, [{ target: '.', port: 0, priority: 0, weight: 0 }])
    })

    it('through aliases, in the answer or leading out of it, for as long as the shortest of them lives', async () => {
      dns.alias('_xmpp-server._tcp.alias.example', SERVICE, 30)
      assert.deepEqual(await srv('_xmpp-server._tcp.alias.example'), { status: 'found', records: [record], ttl: 30, secure: false })
      dns.alias('_xmpp-server._tcp.far.example', SERVICE, 20)
      dns.fail('alias-only', { name: '_xmpp-server._tcp.far.example' })
      assert.deepEqual(await srv('_xmpp-server._tcp.far.example'), { status: 'found', records: [record], ttl: 20, secure: false })
      dns.alias('_xmpp-server._tcp.lost.example', 'nowhere.example')
      assert.equal((await srv('_xmpp-server._tcp.lost.example')).status, 'no-such-domain')
    })

    it('to no aliases that lead in a circle, inside an answer or over several', async () => {
      dns.alias('a.example', 'b.example')
      dns.alias('b.example', 'a.example')
      assert.match((await rejection(srv('a.example'))).message, /circle/)
      dns.fail('alias-only')
      assert.match((await rejection(srv('b.example'))).message, /lead nowhere/)
      assert.ok(dns.queries.length < 15)
    })

    it('that DNSSEC authenticated them only when a server on loopback says so, or one that is trusted', async () => {
      dns.zone.srv(SERVICE, [{ target: HOST }], { secure: true })
      assert.equal((await srv()).secure, true)
      // The same server by an address that is not loopback's own.
      const distant = `0.0.0.0:${dns.port}`
      assert.equal((await resolverOver({ servers: [distant] }).srv(SERVICE, never)).secure, false)
      assert.equal((await resolverOver({ servers: [distant], trustAd: true }).srv(SERVICE, never)).secure, true)
    })
  })

  describe('keeps', () => {
    it('answers for as long as they live', async () => {
      await srv()
      await clock.advance(100_000)
      assert.equal((await srv()).ttl, 200)
      await clock.advance(199_000)
      await srv()
      assert.equal(dns.queries.length, 1)
      await clock.advance(1000)
      await srv()
      assert.equal(dns.queries.length, 2)
    })

    it('[SEC-PARSE-b] no more than 64 records of an answer', async () => {
      const many = Array.from({ length: 300 }, (_, index) => `192.0.${index >> 8}.${index & 255}`)
      dns.zone.addresses('many.example', many)
      const answer = await resolver.addresses('many.example', never)
      assert.equal(answer.status === 'found' && answer.records.length, 64)
    })

    it('nothing that lives no time', async () => {
      dns.zone.srv(SERVICE, [{ target: HOST }], { ttl: 0 })
      await srv()
      await srv()
      assert.equal(dns.queries.length, 2)
    })

    it('negative answers for what the SOA says, in bounds of one and five minutes', async () => {
      for (const [negativeTtl, ttl] of [
        [5, 60],
        [120, 120],
        [3600, 300],
        [undefined, 60]
      ] as const) {
        const server = await startDnsServer({ negativeTtl })
        const answer = await resolverOver({ servers: [at(server)] }).srv(SERVICE, never)
        assert.deepEqual(answer, { status: 'no-such-domain', ttl, secure: false })
        await server.close()
      }
    })

    it('one lookup per name and type in the air, however many ask, in whatever letters', async () => {
      const answers = await Promise.all([SERVICE, SERVICE, SERVICE.toUpperCase()].map(name => srv(name)))
      assert.equal(answers.length, 3)
      assert.equal(dns.queries.length, 1)
    })

    it('a lookup going for those who still wait when another leaves', async () => {
      dns.fail({ delay: 30 }, { times: 1 })
      const leaving = new AbortController()
      const left = rejection(resolver.srv(SERVICE, { signal: leaving.signal }))
      const staying = srv()
      leaving.abort(new FederationError('S2S_TIMEOUT'))
      assert.equal((await left).code, 'S2S_TIMEOUT')
      assert.equal((await staying).status, 'found')
      assert.equal(dns.queries.length, 1)
    })

    it('nothing going when nobody waits', async () => {
      dns.fail('timeout')
      const leaving = new AbortController()
      const left = rejection(resolver.srv(SERVICE, { signal: leaving.signal }))
      await clock.settle()
      assert.equal(clock.pendingTimers, 1)
      leaving.abort()
      assert.equal((await left).code, 'S2S_ABORTED')
      await clock.settle()
      assert.equal(clock.pendingTimers, 0)
      dns.heal()
      assert.equal((await srv()).status, 'found')
      assert.equal(
        (
          await rejection(
            resolver.srv(SERVICE, { signal: leaving.signal }).then(() => resolver.srv('other.example', { signal: leaving.signal }))
          )
        ).code,
        'S2S_ABORTED'
      )
    })
  })

  describe('fails, which is never "none",', () => {
    for (const failure of ['servfail', 'refused', 'referral'] as const)
      it(`after ${failure}`, async () => {
        dns.fail(failure)
        const error = await rejection(srv())
        assert.equal(error.code, 'S2S_DNS_FAILED')
        assert.equal(error.temporary, true)
        assert.match(error.detail ?? '', new RegExp(`^SRV ${SERVICE}: 127\\.0\\.0\\.1:${dns.port}: (SERVFAIL|REFUSED|a referral)`))
      })

    it('after three rounds of silence', async () => {
      dns.fail('timeout')
      const start = clock.now()
      const error = await clock.run(rejection(srv()))
      assert.equal(error.code, 'S2S_DNS_FAILED')
      assert.equal(clock.now() - start, 8000)
      assert.equal(dns.queries.length, 3)
    })

    it('when nobody serves DNS there', async () => {
      await dns.close()
      assert.equal((await rejection(srv())).code, 'S2S_DNS_FAILED')
    })

    it('when one family of addresses failed and the other is absent', async () => {
      dns.fail('servfail', { type: 'AAAA' })
      assert.equal((await rejection(resolver.addresses(SERVICE, never))).code, 'S2S_DNS_FAILED')
      const found = await resolver.addresses(HOST, never)
      assert.deepEqual(found.status === 'found' && found.records, [{ address: '192.0.2.7', family: 4 }])
    })

    it('and asks again the next time', async () => {
      dns.fail('servfail', { times: 1 })
      await rejection(srv())
      assert.equal((await srv()).status, 'found')
    })
  })

  describe('asks', () => {
    it('the next server when one fails or says nothing', async () => {
      const other = await startDnsServer({ zone: dns.zone })
      resolver = resolverOver({ servers: [at(dns), at(other)] })
      for (const [failure, waited] of [
        ['servfail', 0],
        ['referral', 0],
        ['timeout', 1500]
      ] as const) {
        dns.fail(failure)
        const start = clock.now()
        const name = `_xmpp-server._tcp.${failure}.example`
        dns.zone.srv(name, [{ target: HOST }])
        assert.equal((await clock.run(srv(name))).status, 'found')
        assert.equal(clock.now() - start, waited)
      }
      await other.close()
    })

    it('over TCP when the answer does not fit, and when it cannot be read', async () => {
      for (const failure of ['truncated', 'garbled'] as const) {
        dns.fail(failure, { name: SERVICE })
        assert.equal((await resolverOver({ servers: [at(dns)] }).srv(SERVICE, never)).status, 'found')
        assert.deepEqual(
          dns.queries.slice(-2).map(({ via }) => via),
          ['udp', 'tcp']
        )
      }
      dns.heal()
      dns.zone.srv(
        SERVICE,
        Array.from({ length: 200 }, (_, index) => ({ target: `h${index}.example` }))
      )
      const many = await srv()
      assert.equal(many.status === 'found' && many.records.length, 64)
      assert.equal(dns.queries.at(-1)?.via, 'tcp')
    })

    it('in vain where there is no TCP and the answer does not fit', async () => {
      dns.fail('no-tcp')
      dns.fail('truncated')
      assert.equal((await rejection(srv())).code, 'S2S_DNS_FAILED')
      assert.equal(dns.queries.length, 1)
    })

    it('again without EDNS where that is not known', async () => {
      dns.fail('no-edns')
      assert.equal((await srv()).status, 'found')
      assert.deepEqual(
        dns.queries.map(({ edns }) => edns),
        [true, false]
      )
    })

    it('past forged answers: the id and the question must be those of the query', async () => {
      for (const failure of ['wrong-id', 'wrong-question'] as const) {
        dns.fail(failure)
        const answer = await resolverOver({ servers: [at(dns)] }).srv(SERVICE, never)
        assert.deepEqual(answer.status === 'found' && answer.records, [record])
      }
    })

    it('with an id, a port and letters that cannot be foreseen', async () => {
      const names = Array.from({ length: 60 }, (_, index) => `n${index}.shakespeare.example`)
      await Promise.all(names.map(name => resolver.srv(name, { signal: new AbortController().signal })))
      for (const seen of [dns.queries.map(({ id }) => id), dns.queries.map(({ port }) => port)]) assert.ok(new Set(seen).size > 50)
      const spellings = dns.queries.map(({ name }) => name.replace(/^\w+\./, ''))
      assert.ok(new Set(spellings).size > 50)
      assert.ok(spellings.every(each => each.toLowerCase() === 'shakespeare.example'))
    })

    it('over TCP where the letters come back changed, and plainly where there is no TCP', async () => {
      dns.fail('lower-case')
      assert.equal((await srv()).status, 'found')
      assert.deepEqual(
        dns.queries.map(({ via }) => via),
        ['udp', 'tcp']
      )
      dns.heal()
      dns.fail('no-tcp')
      dns.fail('lower-case')
      assert.equal((await resolverOver({ servers: [at(dns)] }).srv(SERVICE, never)).status, 'found')
      assert.equal(dns.queries.at(-1)?.name, SERVICE)
    })

    it('nothing about names that DNS does not carry, or that cannot exist', async () => {
      for (const name of [
        '',
        '.',
        'a..b',
        '-..-',
        'exa mple.example',
        'bücher.example',
        'a\u0000.example',
        `${'a'.repeat(64)}.example`,
        'a.example.'
      ])
        assert.deepEqual(
          [(await rejection(srv(name))).code, (await rejection(srv(name))).temporary],
          ['S2S_DNS_FAILED', false],
          JSON.stringify(name)
        )
      const long = `_xmpp-server._tcp.${Array.from({ length: 24 }, () => 'a'.repeat(9)).join('.')}.example`
      assert.equal((await srv(long)).status, 'no-such-domain')
      assert.equal(dns.queries.length, 0)
    })
  })
})

describe('the servers of the DNS resolver', () => {
  it('are addresses, with or without a port', () => {
    assert.deepEqual(readServers(['198.51.100.53', '127.0.0.53:5353', '2001:db8::53', '[::1]:5353']), [
      { address: '198.51.100.53', port: 53, loopback: false },
      { address: '127.0.0.53', port: 5353, loopback: true },
      { address: '2001:db8::53', port: 53, loopback: false },
      { address: '::1', port: 5353, loopback: true }
    ])
  })

  it('are those of the operating system unless told otherwise', () => {
    assert.ok(readServers().length > 0)
  })

  it('are named when they are none', () => {
    for (const server of ['localhost:53', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:', '[127.0.0.1', 'dns://127.0.0.1'])
      assert.throws(
        () => dnsResolver({ servers: [server] }),
        (error: unknown) => FederationError.is(error) && error.code === 'S2S_CONFIG' && error.message.includes(server)
      )
    assert.throws(() => dnsResolver({ servers: [] }), /there is no DNS server/)
    for (const [options, sentence] of [
      [null, 'options has to be an object, not null'],
      [{ server: [] }, 'options.server is not known; known are servers, trustAd, clock'],
      [{ servers: '127.0.0.1' }, 'options.servers has to be a list of texts, not "127.0.0.1"'],
      [{ trustAd: 'yes' }, 'options.trustAd has to be true or false, not "yes"'],
      [{ clock: {} }, 'options.clock.now has to be a function, not nothing']
    ] as const) {
      const given = options as unknown as DnsResolverOptions
      assert.throws(() => dnsResolver(given), { code: 'S2S_CONFIG', detail: `dnsResolver: ${sentence}` })
    }
  })
})

const everyFailure: readonly DnsFailure[] = [
  'servfail',
  'refused',
  'timeout',
  'truncated',
  'garbled',
  'wrong-id',
  'wrong-question',
  'no-edns',
  'lower-case',
  'alias-only',
  'referral'
]

describe('a DNS server in trouble', () => {
  it('never makes a service look absent', async () => {
    const dns = await startDnsServer()
    dns.zone.srv(SERVICE, [{ target: HOST }])
    for (const failure of everyFailure) {
      dns.heal()
      dns.fail(failure)
      const clock = createTestClock()
      const resolver = dnsResolver({ servers: [at(dns)], clock })
      const outcome = await clock.run(resolver.srv(SERVICE, never)).then(
        answer => answer.status,
        (error: unknown) => (FederationError.is(error) ? error.code : String(error))
      )
      assert.ok(outcome === 'found' || outcome === 'S2S_DNS_FAILED', `${JSON.stringify(failure)}: ${outcome}`)
    }
    await dns.close()
  })
})
