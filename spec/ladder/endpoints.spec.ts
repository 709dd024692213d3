import assert from 'node:assert/strict'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain } from '../../lib/model/domain.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { Policy } from '../../lib/model/policy.ts'
import type { Report } from '../../lib/model/report.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network } from '../../lib/testing/network.ts'
import { anchor } from './meeting.ts'

const OURS = '192.0.2.1'
const FIRST = '192.0.2.11'
const SECOND = '192.0.2.12'
const TARGET = 'receiver.example'

interface Server {
  readonly address: string
  readonly state: CertificateState
  readonly policy?: Policy
  readonly tls?: 'direct'
}

describe('a domain with two servers', () => {
  let network: Network
  let running: Federation[]

  beforeEach(() => {
    network = createNetwork()
    running = []
  })
  afterEach(async () => {
    await Promise.all(running.map(each => each.stop()))
  })

  const start = async (name: string, { address, state, policy, tls }: Server): Promise<Federation> => {
    const port = tls === 'direct' ? 5270 : 5269
    const engine = createFederation({
      domains: { [name]: anchor().issue(name, { state }) },
      trust: { default: [anchor().certificate] },
      resolver: network.resolver,
      transport: network.transportFor(address),
      allowPrivateAddresses: true,
      listen: [{ host: address, port, ...(tls === undefined ? {} : { tls }) }],
      onStanza: () => undefined,
      ...(policy === undefined ? {} : { policy })
    })
    await engine.start()
    running.push(engine)
    return engine
  }

  const probe = async (servers: readonly Server[], policy: Policy = policies.ladder()): Promise<Report> => {
    for (const [index, server] of servers.entries()) {
      await start(TARGET, server)
      network.zone.server(TARGET, {
        addresses: [server.address],
        host: `xmpp${index + 1}.${TARGET}`,
        priority: index,
        ...(server.tls === undefined ? {} : { tls: server.tls, port: 5270 })
      })
    }
    const initiator = await start('initiator.example', { address: OURS, state: 'valid', policy })
    network.zone.server('initiator.example', { addresses: [OURS] })
    return await initiator.probe({ sender: domain('initiator.example'), target: domain(TARGET) })
  }

  const hosts = (report: Report): string[] =>
    report.trace.flatMap(entry => (entry.step === 'connect' ? [`${entry.facts.endpoint.host} ${entry.facts.encryption}`] : []))

  it('ends on the second, encrypted, when the first has a bad certificate', async () => {
    const report = await probe([
      { address: FIRST, state: 'expired' },
      { address: SECOND, state: 'valid' }
    ])
    assert.equal(report.level, 'sasl-external')
    assert.equal(report.endpoint?.host, `xmpp2.${TARGET}`)
    assert.deepEqual(hosts(report), [`xmpp1.${TARGET} per-policy`, `xmpp2.${TARGET} per-policy`])
  })

  it('ends on the second, encrypted, when the first resets the TLS handshake', async () => {
    network.cut({ address: FIRST, port: 5269 }, { how: 'reset', of: 'initiating', before: Buffer.from([0x16, 0x03]) })
    const report = await probe([
      { address: FIRST, state: 'valid' },
      { address: SECOND, state: 'valid' }
    ])
    assert.equal(report.level, 'sasl-external')
    assert.equal(report.endpoint?.host, `xmpp2.${TARGET}`)
    assert.equal(report.trace.find(entry => entry.step === 'negotiate-tls')?.code, 'S2S_TLS_HANDSHAKE')
  })

  it('ends on the second, encrypted, when the first offers no TLS', async () => {
    const report = await probe([
      { address: FIRST, state: 'missing' },
      { address: SECOND, state: 'valid' }
    ])
    assert.equal(report.level, 'sasl-external')
    assert.equal(report.trace.find(entry => entry.step === 'negotiate-tls')?.outcome, 'absent')
  })

  it('tries both encrypted before it goes on in clear, and then the first, once', async () => {
    const report = await probe([
      { address: FIRST, state: 'expired' },
      { address: SECOND, state: 'self-signed' }
    ])
    assert.equal(report.level, 'plain-dialback')
    assert.deepEqual(hosts(report), [`xmpp1.${TARGET} per-policy`, `xmpp2.${TARGET} per-policy`, `xmpp1.${TARGET} none`])
    assert.match(report.downgrades[0]?.because ?? '', /expired/)
  })

  it('never goes on in clear when the second required TLS', async () => {
    const report = await probe([
      { address: FIRST, state: 'expired' },
      { address: SECOND, state: 'expired', policy: policies.encrypted() }
    ])
    assert.equal(report.level, undefined)
    assert.equal(report.error?.code, 'S2S_CERTIFICATE')
    assert.equal(hosts(report).length, 2)
  })

  it('goes on over the last connection in clear when neither offers TLS', async () => {
    const report = await probe([
      { address: FIRST, state: 'missing' },
      { address: SECOND, state: 'missing' }
    ])
    assert.equal(report.level, 'plain-dialback')
    assert.equal(report.endpoint?.host, `xmpp2.${TARGET}`)
    assert.equal(hosts(report).length, 2)
  })

  it('[XEP0368-a] negotiates direct TLS first where its priority is better, with the same steps from there on', async () => {
    const report = await probe([
      { address: FIRST, state: 'valid', tls: 'direct' },
      { address: SECOND, state: 'valid' }
    ])
    assert.equal(report.level, 'sasl-external')
    assert.equal(report.endpoint?.tls, 'direct')
    assert.deepEqual(
      report.trace.filter(entry => entry.step !== 'policy').map(entry => entry.step),
      ['resolve', 'connect', 'negotiate-tls', 'check-certificate', 'open-stream', 'sasl-external', 'open-stream', 'establish']
    )
  })

  it('never dials a direct TLS endpoint in clear', async () => {
    const report = await probe([{ address: FIRST, state: 'expired', tls: 'direct' }])
    assert.equal(report.level, undefined)
    assert.equal(report.error?.code, 'S2S_CERTIFICATE')
    assert.equal(hosts(report).length, 1)
  })

  it('reports the reason of the first that mattered, not that of the last fallback', async () => {
    network.refuse({ address: SECOND })
    const report = await probe(
      [
        { address: FIRST, state: 'expired' },
        { address: SECOND, state: 'valid' }
      ],
      policies.strict()
    )
    assert.equal(report.error?.code, 'S2S_CERTIFICATE')
    assert.match(report.error.message, /expired/)
  })
})
