import assert from 'node:assert/strict'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { Report } from '../../lib/model/report.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { readRedirect } from '../../lib/rules/redirect.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PAIR = pairOf('a.example', 'b.example')
const ERROR = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"

describe('see-other-host', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  /** A server of b.example at .200 that sends everybody elsewhere, and a real one at .201. */
  async function sent(
    elsewhere: string | readonly string[],
    {
      state = 'valid',
      inClear = false,
      named = 'b.example',
      next,
      ...options
    }: Partial<FederationOptions> & {
      readonly state?: CertificateState
      readonly inClear?: boolean
      /** Whom the certificate of the real one is for. */
      readonly named?: string
      /** The target of another SRV record, of less priority. */
      readonly next?: string
    } = {}
  ): Promise<{ readonly report: Report; readonly dialled: readonly (string | undefined)[]; readonly names: readonly string[] }> {
    const other = ['192.0.2.201', 5269] as const
    const b = await world.engine('b.example', {
      transport: world.network.transportFor(other[0]),
      listen: [{ host: other[0], port: other[1] }],
      domains: { 'b.example': world.authority.issue(named, { now: world.clock.now() }) }
    })
    world.network.zone.srv('_xmpp-server._tcp.b.example', [
      { target: 'old.b.example', port: 5269 },
      ...(next === undefined ? [] : [{ target: next, port: 5269, priority: 9 }])
    ])
    world.network.zone.addresses('old.b.example', ['192.0.2.200'])
    world.network.zone.addresses('new.b.example', [other[0]])
    const places = [elsewhere].flat()
    const credentials = inClear ? undefined : world.authority.issue('b.example', { state, now: world.clock.now() })
    const listener = await listenForPeers(
      world.network.transportFor('192.0.2.200'),
      { host: '192.0.2.200', port: 5269 },
      { tls: simulatedTls(), credentials }
    )
    listener.serve(async peer => {
      const place = places.length > 1 ? (places.shift() ?? '') : (places[0] ?? '')
      await peer.expectHeader({ to: 'b.example' })
      peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
      if (!inClear) {
        peer.sendFeatures({ starttls: 'required' })
        await peer.acceptStartTls()
        await peer.expectHeader({ to: 'b.example' })
        peer.sendHeader({ from: 'b.example', to: 'a.example', id: '2' })
      }
      peer.send(`<stream:error><see-other-host ${ERROR}>${place}</see-other-host></stream:error></stream:stream>`)
      await peer.next()
      peer.close()
      await peer.expectEnd()
    })
    const names: string[] = []
    const tls = simulatedTls()
    const a = await world.engine('a.example', {
      policy: policies.ladder({ invalidCertificate: 'encrypt-only' }),
      tls: {
        ...tls,
        client: (connection, wishes) => {
          names.push(wishes.servername)
          return tls.client(connection, wishes)
        }
      },
      ...options
    })
    const report = await world.run(a.probe(PAIR))
    await world.run(Promise.all([a.stop(), b.stop()]))
    await listener.close()
    return { report, names, dialled: report.trace.flatMap(entry => (entry.step === 'connect' ? [entry.facts.address] : [])) }
  }

  it('[RFC6120-4.9.3.19-a] is followed from a peer whose certificate authenticates it; domain and names stay what they were', async () => {
    const { report, dialled, names } = await sent('new.b.example')
    assert.deepEqual(dialled, ['192.0.2.200', '192.0.2.201'])
    assert.deepEqual(names, ['b.example', 'b.example'])
    assert.equal(report.level, 'sasl-external')
    assert.deepEqual([report.endpoint?.host, report.endpoint?.source], ['new.b.example', 'redirect'])
  })

  it('[RFC6120-4.9.3.19-a] leads to nobody whose certificate is for the place instead of the domain', async () => {
    const { report, dialled } = await sent('new.b.example', { named: 'new.b.example' })
    assert.deepEqual(dialled, ['192.0.2.200', '192.0.2.201'])
    assert.equal(report.level, 'tls-dialback')
    assert.deepEqual(
      report.pairs.map(each => each.peerIdentity),
      ['dns']
    )
    assert.match(report.downgrades[0]?.because ?? '', /b\.example/)
  })

  it('is followed to an address and a port as well', async () => {
    assert.equal((await sent('192.0.2.201:5269')).report.level, 'sasl-external')
  })

  for (const [who, options] of [
    ['whose certificate does not authenticate it', { state: 'expired' }],
    ['in clear', { inClear: true }]
  ] as const)
    it(`[RFC6120-4.9.3.19-a] is not followed from a peer ${who}`, async () => {
      const { report, dialled } = await sent('new.b.example', options)
      assert.deepEqual(dialled, ['192.0.2.200'])
      assert.deepEqual([report.level, report.error?.code], [undefined, 'S2S_STREAM_ERROR_RECEIVED'])
    })

  it('ends when it leads back, and when it leads on for ever', async () => {
    assert.deepEqual((await sent('192.0.2.200:5269')).dialled, ['192.0.2.200', '192.0.2.200'], 'by its name, and once by its address')
    await world.stop()
    world = createWorld()
    const { dialled, report } = await sent(['192.0.2.200:5269', 'old.b.example:5269', '192.0.2.200', 'old.b.example'])
    assert.ok(dialled.length <= 4, dialled.join())
    assert.equal(report.level, undefined)
  })

  it('[RFC6120-4.9.3.19-a] is followed three times, however many places there are', async () => {
    const places = [1, 2, 3, 4, 5, 6].map(n => `n${n}.b.example`)
    for (const place of places) world.network.zone.addresses(place, ['192.0.2.200'])
    const { report, dialled } = await sent(places)
    assert.equal(dialled.length, 4)
    assert.deepEqual([report.level, report.error?.code], [undefined, 'S2S_STREAM_ERROR_RECEIVED'])
  })

  it('is followed before the next of the records', async () => {
    world.network.zone.addresses('next.b.example', ['192.0.2.202'])
    const { report, dialled } = await sent('new.b.example', { next: 'next.b.example' })
    assert.deepEqual([report.level, dialled], ['sasl-external', ['192.0.2.200', '192.0.2.201']])
  })

  it('leads nowhere that DNS may not lead', async () => {
    const overrides = { 'b.example': { host: '192.0.2.200' } }
    const { report } = await sent('127.0.0.1:5269', { allowPrivateAddresses: false, overrides })
    assert.equal(report.level, undefined)
    assert.deepEqual(
      report.trace.flatMap(entry => (entry.step === 'connect' ? [`${entry.facts.endpoint.source} ${entry.code}`] : [])),
      ['override ok', 'redirect S2S_DNS_FORBIDDEN_ADDRESS']
    )
  })

  it('is a domain, an IPv4 address, or an IPv6 address in brackets, with a port or without', () => {
    const read = (text: string): string | undefined => {
      const endpoint = readRedirect(text, 'starttls')
      return endpoint === undefined ? undefined : `${endpoint.host} ${endpoint.port}`
    }
    assert.deepEqual(['b.example', ' b.example:5270 ', '192.0.2.1:1', '[2001:db8::1]', '[2001:db8::1]:5270'].map(read), [
      'b.example 5269',
      'b.example 5270',
      '192.0.2.1 1',
      '2001:db8::1 5269',
      '2001:db8::1 5270'
    ])
    for (const text of [
      '',
      ':5269',
      'b.example:',
      'b.example:0',
      'b.example:65536',
      'b.example:5269:1',
      'a@b.example',
      'b.example/x',
      'b example',
      '[b.example]',
      '2001:db8::1',
      'x'.repeat(300)
    ])
      assert.equal(read(text), undefined, text)
  })
})
