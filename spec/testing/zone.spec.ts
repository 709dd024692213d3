import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import type { DnsAnswer } from '../../lib/model/plugs.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createZone } from '../../lib/testing/zone.ts'
import type { Zone } from '../../lib/testing/zone.ts'

const { signal } = new AbortController()
const SERVICE = '_xmpp-server._tcp.padua.example'
const records = <T>(answer: DnsAnswer<T>): readonly T[] | string => (answer.status === 'found' ? answer.records : answer.status)
const srv = async (zone: Zone, name: string): Promise<unknown> => records(await zone.resolver.srv(name, { signal }))
const addresses = async (zone: Zone, host: string): Promise<unknown> => records(await zone.resolver.addresses(host, { signal }))
const rejectsWith = (code: string) => (error: unknown) => FederationError.is(error) && error.code === code

describe('a zone for specs', () => {
  it('publishes servers of a domain, found by SRV, then by the address of their host', async () => {
    const zone = createZone()
    zone.server('padua.example', { addresses: ['192.0.2.2', '2001:db8::2'] })
    zone.server('padua.example', { host: 'backup.example', addresses: ['192.0.2.3'], priority: 10, weight: 5, port: 7000 })
    zone.server('padua.example', { addresses: ['192.0.2.2'], tls: 'direct' })
    assert.deepEqual(await srv(zone, SERVICE), [
      { target: 'xmpp.padua.example', port: 5269, priority: 0, weight: 0 },
      { target: 'backup.example', port: 7000, priority: 10, weight: 5 }
    ])
    assert.deepEqual(await srv(zone, '_xmpps-server._tcp.padua.example'), [
      { target: 'xmpp.padua.example', port: 5270, priority: 0, weight: 0 }
    ])
    assert.deepEqual(await addresses(zone, 'backup.example'), [{ address: '192.0.2.3', family: 4 }])
  })

  it('keeps the order and the family of addresses', async () => {
    const zone = createZone()
    zone.addresses('xmpp.padua.example', ['2001:db8::2', '192.0.2.2'])
    assert.deepEqual(await addresses(zone, 'xmpp.padua.example'), [
      { address: '2001:db8::2', family: 6 },
      { address: '192.0.2.2', family: 4 }
    ])
  })

  it('takes names in any spelling, and international ones as A-labels', async () => {
    const zone = createZone()
    zone.server('bücher.example', { addresses: ['192.0.2.4'] })
    assert.deepEqual(await srv(zone, '_XMPP-Server._tcp.xn--bcher-kva.example.'), [
      { target: 'xmpp.xn--bcher-kva.example', port: 5269, priority: 0, weight: 0 }
    ])
  })

  it('can say that a service is not offered', async () => {
    const zone = createZone()
    zone.srv(SERVICE, [{ target: '.', port: 0 }])
    assert.deepEqual(await srv(zone, SERVICE), [{ target: '.', port: 0, priority: 0, weight: 0 }])
  })

  it('tells a name without such records from a name that is not there, names above others included', async () => {
    const zone = createZone()
    zone.server('padua.example', { addresses: ['192.0.2.2'] })
    assert.equal(await addresses(zone, SERVICE), 'no-data')
    assert.equal(await addresses(zone, 'padua.example'), 'no-data')
    assert.equal(await srv(zone, 'xmpp.padua.example'), 'no-data')
    assert.equal(await srv(zone, '_xmpp-server._tcp.mantua.example'), 'no-such-domain')
    assert.equal(await addresses(zone, 'adua.example'), 'no-such-domain')
  })

  it('says how long an answer is good for, and whether it is authenticated', async () => {
    const zone = createZone()
    zone.addresses('a.example', ['192.0.2.1'])
    zone.addresses('b.example', ['192.0.2.1'], { ttl: 5, secure: true })
    const facts = async (host: string): Promise<unknown> => {
      const { ttl, secure } = await zone.resolver.addresses(host, { signal })
      return { ttl, secure }
    }
    assert.deepEqual(
      [await facts('a.example'), await facts('b.example')],
      [
        { ttl: 300, secure: false },
        { ttl: 5, secure: true }
      ]
    )
  })

  it('fails lookups of a name, of one kind or of both, until it is removed', async () => {
    const zone = createZone()
    zone.fail('a.example')
    zone.fail('b.example', 'srv')
    await assert.rejects(srv(zone, 'a.example'), rejectsWith('S2S_DNS_FAILED'))
    await assert.rejects(addresses(zone, 'a.example'), rejectsWith('S2S_DNS_FAILED'))
    await assert.rejects(srv(zone, 'b.example'), rejectsWith('S2S_DNS_FAILED'))
    assert.equal(await addresses(zone, 'b.example'), 'no-such-domain')
    zone.remove('a.example')
    assert.equal(await srv(zone, 'a.example'), 'no-such-domain')
  })

  it('leaves lookups unanswered until their signal ends them, with its reason', async () => {
    const zone = createZone()
    zone.silence('a.example')
    const deadline = new AbortController()
    const asked = zone.resolver.srv('a.example', { signal: deadline.signal })
    deadline.abort(new FederationError('S2S_TIMEOUT'))
    await assert.rejects(asked, rejectsWith('S2S_TIMEOUT'))
    await assert.rejects(zone.resolver.srv('b.example', { signal: AbortSignal.abort() }), rejectsWith('S2S_ABORTED'))
  })

  it('takes its time on a clock, which a signal cuts short', async () => {
    const clock = createTestClock(0)
    const zone = createZone(clock)
    zone.latency = 70
    assert.equal(await clock.run(addresses(zone, 'a.example')), 'no-such-domain')
    assert.equal(clock.now(), 70)
    const deadline = new AbortController()
    const asked = zone.resolver.srv('a.example', { signal: deadline.signal })
    deadline.abort()
    await assert.rejects(asked, rejectsWith('S2S_ABORTED'))
    assert.equal(clock.pendingTimers, 0)
  })

  it('remembers what it was asked', async () => {
    const zone = createZone()
    await srv(zone, SERVICE)
    await addresses(zone, 'A.example')
    assert.deepEqual(zone.lookups, [
      { kind: 'srv', name: SERVICE },
      { kind: 'addresses', name: 'a.example' }
    ])
  })

  it('refuses what is no address', () => {
    assert.throws(() => createZone().addresses('a.example', ['localhost']), rejectsWith('S2S_CONFIG'))
  })
})
