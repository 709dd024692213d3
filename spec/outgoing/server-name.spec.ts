import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { createFederation, domain, type Endpoint } from '../../lib/index.ts'
import { createAuthority, createZone } from '../../lib/testing/index.ts'

const PAIR = { sender: domain('verona.example'), target: domain('bücher.example') }
const TARGET = 'xmpp1.hosting.example'

describe('the name asked for in direct TLS', () => {
  it('[XEP0368-b] is the XMPP domain as A-labels, whatever host DNS named, and the protocol xmpp-server', async () => {
    const authority = createAuthority()
    const { key, cert } = authority.issue(PAIR.target)
    const server = createServer({ key, cert, ALPNProtocols: ['h2', 'xmpp-server'] }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const asked = once(server, 'secureConnection') as Promise<[TLSSocket]>

    const zone = createZone()
    zone.srv('_xmpps-server._tcp.xn--bcher-kva.example', [{ target: TARGET, port: (server.address() as AddressInfo).port }])
    zone.addresses(TARGET, ['127.0.0.1'])
    const engine = createFederation({
      domains: { [PAIR.sender]: authority.issue(PAIR.sender) },
      trust: { default: [authority.certificate] },
      resolver: zone.resolver,
      allowPrivateAddresses: true,
      listen: false,
      onStanza: () => undefined
    })

    const probing = engine.probe(PAIR)
    const [socket] = await asked
    assert.deepEqual([socket.servername, socket.alpnProtocol], ['xn--bcher-kva.example', 'xmpp-server'])
    socket.on('error', () => undefined).destroy()
    const { endpoint } = (await probing).trace.flatMap(({ facts }) => ('endpoint' in facts ? [facts] : []))[0] ?? {}
    assert.deepEqual(endpoint satisfies Endpoint | undefined, { host: TARGET, port: endpoint?.port, tls: 'direct', source: 'srv' })
    await engine.stop()
    server.close()
  })
})
