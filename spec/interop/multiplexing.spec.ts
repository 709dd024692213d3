import assert from 'node:assert/strict'
import { createElement } from 'ltx'
import { createFederation, dnsResolver, domain, policies, type Federation, type SocketAddress } from '../../lib/index.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { startDnsServer, type DnsServer } from '../../lib/testing/dns-server.ts'
import { startProsody, type Prosody } from './prosody.ts'
import { DOMAIN, needs } from './server.ts'

const PROSODY = DOMAIN.prosody

const SENDERS = ['one.test', 'two.test', 'three.test']

describe('several of our domains and one Prosody', () => {
  let dns: DnsServer
  let prosody: Prosody
  let federation: Federation
  const heard = new Map<string, () => void>()

  before(async function () {
    needs('prosody', this)
    const authority = createAuthority()
    dns = await startDnsServer()
    prosody = await startProsody({
      variant: 'default',
      hosts: { [PROSODY]: authority.issue(PROSODY) },
      authority: authority.certificate,
      dns,
      names: {}
    })
    federation = createFederation({
      // Without a certificate that counts there is no EXTERNAL, and dialback is all that a connection of one's own would have.
      domains: Object.fromEntries(SENDERS.map(name => [name, authority.issue(name, { state: 'self-signed' })])),
      trust: { default: [authority.certificate] },
      policy: policies.ladder(),
      resolver: dnsResolver({ servers: [`${dns.address}:${dns.port}`] }),
      allowPrivateAddresses: true,
      listen: [{ host: '127.0.0.1', port: 0 }],
      onStanza: ({ to, type }) => {
        if (type === 'result') heard.get(to.domain)?.()
      }
    })
    await federation.start()
    publish(PROSODY, prosody)
    for (const name of SENDERS) publish(name, federation.addresses[0] ?? assert.fail('it listens'))
  })

  after(async () => {
    await federation.stop()
    await prosody.stop()
    await dns.close()
  })

  function publish(name: string, { address, port }: SocketAddress): void {
    dns.zone.srv(`_xmpp-server._tcp.${name}`, [{ target: `host.${name}`, port }])
    dns.zone.addresses(`host.${name}`, [address])
  }

  // Prosody 0.12 answers what comes on a stream over its own stream to the first sender of that stream, whoever asked.
  it('have a stream each, for it knows no dialback errors, and each is answered', async () => {
    for (const name of SENDERS) {
      const answer = new Promise<void>(resolve => heard.set(name, resolve))
      const ping = createElement('ping', { xmlns: 'urn:xmpp:ping' })
      await federation.send(createElement('iq', { from: name, to: PROSODY, id: name, type: 'get' }, ping))
      await answer
    }
    const links = federation.links().filter(({ direction }) => direction === 'outgoing')
    assert.deepEqual(
      links.map(({ level, pairs }) => [level, pairs.flatMap(({ pair, flow }) => (flow === 'send' ? pair.sender : []))]),
      SENDERS.map(name => ['tls-dialback', [domain(name)]])
    )
  })
})
