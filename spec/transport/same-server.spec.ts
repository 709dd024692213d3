import assert from 'node:assert/strict'
import type { Endpoint } from '../../lib/model/endpoint.ts'
import { createZone } from '../../lib/testing/zone.ts'
import { serverKey, serversOf } from '../../lib/transport/same-server.ts'

const endpoint = (host: string, more: Partial<Endpoint> = {}): Endpoint => ({ host, port: 5269, tls: 'starttls', source: 'srv', ...more })

describe('transport/same-server', () => {
  it('[XEP0220-2.6.2-a] takes a server for another only where address, port and kind of TLS are the same', () => {
    const here = { endpoint: endpoint('a.example'), address: '2001:db8::7' }
    const key = serverKey(here)
    assert.equal(serverKey({ ...here, endpoint: endpoint('b.example', { source: 'override' }) }), key)
    assert.equal(serverKey({ ...here, address: '2001:DB8:0:0::0007' }), key)
    assert.notEqual(serverKey({ ...here, address: '2001:db8::8' }), key)
    assert.notEqual(serverKey({ ...here, address: '192.0.2.7' }), key)
    assert.notEqual(serverKey({ ...here, endpoint: endpoint('a.example', { port: 5270 }) }), key)
    assert.notEqual(serverKey({ ...here, endpoint: endpoint('a.example', { tls: 'direct' }) }), key)
    assert.notEqual(serverKey({ ...here, address: 'fe80::1%eth0' }), serverKey({ ...here, address: 'fe80::1%eth1' }))
  })

  it('finds every server that may be dialled, and none at a host that fails, has no address, or points where nothing is dialled', async () => {
    const zone = createZone()
    zone.addresses('two.example', ['198.51.100.1', '2001:db8::1'])
    zone.addresses('inside.example', ['10.0.0.1'])
    zone.addresses('ours.example', ['198.51.100.9'])
    zone.fail('broken.example')
    const endpoints = ['broken.example', 'none.example', 'inside.example', 'ours.example', 'two.example', '198.51.100.5'].map(host =>
      endpoint(host)
    )
    const options = {
      resolver: zone.resolver,
      signal: new AbortController().signal,
      allowPrivate: false,
      isOwnListener: ({ address }: { readonly address: string }) => address === '198.51.100.9'
    }
    const found = await serversOf([...endpoints, endpoint('inside.example', { source: 'override' })], options)
    assert.deepEqual(
      found.map(({ endpoint: { host, source }, address }) => `${host} ${source} ${address}`).sort(),
      [
        '198.51.100.5 srv 198.51.100.5',
        'inside.example override 10.0.0.1',
        'two.example srv 198.51.100.1',
        'two.example srv 2001:db8::1'
      ].sort()
    )
  })
})
