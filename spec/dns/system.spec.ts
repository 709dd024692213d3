import assert from 'node:assert/strict'
import { systemResolver } from '../../lib/dns/system.ts'
import { startDnsServer } from '../../lib/testing/dns-server.ts'
import type { DnsServer } from '../../lib/testing/dns-server.ts'
import { rejection, rejectionCode } from '../transport/connections.ts'

const SERVICE = '_xmpp-server._tcp.shakespeare.example'
const never = { signal: new AbortController().signal }

describe("the system's resolver", () => {
  let dns: DnsServer
  let resolver: ReturnType<typeof systemResolver>

  beforeEach(async () => {
    dns = await startDnsServer()
    resolver = systemResolver({ servers: [`${dns.address}:${dns.port}`] })
  })
  afterEach(() => dns.close())

  it('finds SRV records, and says nothing of how long they live', async () => {
    dns.zone.srv(SERVICE, [{ target: 'XMPP.shakespeare.example', port: 5269, priority: 1, weight: 2 }])
    const records = [{ target: 'xmpp.shakespeare.example', port: 5269, priority: 1, weight: 2 }]
    assert.deepEqual(await resolver.srv(SERVICE, never), { status: 'found', records, ttl: 0, secure: false })
  })

  it('[RFC6120-3.2.1-b] reads the root, which c-ares writes as nothing, as a refused service', async () => {
    dns.zone.srv(SERVICE, [{ target: '.', port: 0 }])
    const answer = await resolver.srv(SERVICE, never)
    assert.deepEqual(answer.status === 'found' && answer.records, [{ target: '.', port: 0, priority: 0, weight: 0 }])
  })

  it('tells absent, and absent with its whole domain, from failed', async () => {
    dns.zone.addresses('xmpp.shakespeare.example', ['192.0.2.7'])
    assert.equal((await resolver.srv('shakespeare.example', never)).status, 'no-data')
    assert.equal((await resolver.srv('nobody.example', never)).status, 'no-such-domain')
    dns.fail('servfail')
    assert.equal(await rejectionCode(resolver.srv(SERVICE, never)), 'S2S_DNS_FAILED')
  })

  it('knows what the host knows', async () => {
    const answer = await resolver.addresses('localhost', never)
    assert.ok(
      answer.status === 'found' &&
        answer.records.some(({ address, family }) => (family === 4 ? address === '127.0.0.1' : address === '::1'))
    )
    assert.equal(dns.queries.length, 0)
  })

  it('passes on no name that DNS does not carry', async () => {
    for (const name of ['a b.example', '', '-f /etc/passwd']) {
      assert.equal(await rejectionCode(resolver.srv(name, never)), 'S2S_DNS_FAILED')
      assert.equal(await rejectionCode(resolver.addresses(name, never)), 'S2S_DNS_FAILED')
    }
  })

  it('stops with its signal', async () => {
    dns.fail('timeout')
    const leaving = new AbortController()
    const left = [
      rejection(resolver.srv(SERVICE, { signal: leaving.signal })),
      rejection(resolver.addresses('localhost', { signal: leaving.signal }))
    ]
    leaving.abort()
    for (const error of await Promise.all(left)) assert.equal(error.code, 'S2S_ABORTED')
    assert.equal(await rejectionCode(resolver.srv(SERVICE, { signal: leaving.signal })), 'S2S_ABORTED')
  })
})
