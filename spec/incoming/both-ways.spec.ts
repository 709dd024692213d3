import assert from 'node:assert/strict'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network } from '../../lib/testing/network.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { anchor, certificate, START } from './scene.ts'

const CAPULET = domain('capulet.example')
const MONTAGUE = domain('montague.example')

async function engine(
  name: string,
  address: string,
  state: CertificateState,
  world: { network: Network; clock: TestClock }
): Promise<Federation> {
  const { network, clock } = world
  network.zone.server(name, { addresses: [address] })
  const federation = createFederation({
    domains: { [name]: certificate(name, state) },
    onStanza: () => undefined,
    policy: policies.ladder({ invalidCertificate: 'encrypt-only', acceptSelfSigned: true }),
    trust: { default: [anchor] },
    tls: simulatedTls(),
    resolver: network.resolver,
    transport: network.transportFor(address),
    allowPrivateAddresses: true,
    clock
  })
  await federation.start()
  return federation
}

describe('incoming/two engines', () => {
  for (const [state, level] of [
    ['missing', 'plain-dialback'],
    ['self-signed', 'tls-dialback'],
    ['valid', 'sasl-external']
  ] as const) {
    it(`[ENG-DB-b] both reach ${level} when they call each other at the same moment with ${state} certificates`, async () => {
      const clock = createTestClock(START)
      const network = createNetwork({ clock })
      const world = { network, clock }
      const engines = [await engine(CAPULET, '192.0.2.10', state, world), await engine(MONTAGUE, '192.0.2.20', state, world)] as const
      const began = clock.now()
      const links = await clock.run(
        Promise.all([engines[0].connect({ sender: CAPULET, target: MONTAGUE }), engines[1].connect({ sender: MONTAGUE, target: CAPULET })])
      )
      assert.deepEqual(
        links.map(link => link.level),
        [level, level]
      )
      assert.ok(clock.now() - began < 1_000, 'nobody waited for a deadline')
      for (const federation of engines) {
        const found = federation.links().map(link => `${link.direction} ${link.level}`)
        assert.deepEqual(found.sort(), [`incoming ${level}`, `outgoing ${level}`])
      }
      await clock.run(Promise.all(engines.map(federation => federation.stop())))
      assert.equal(network.wires.length, 0)
      assert.equal(clock.pendingTimers, 0)
    })
  }
})
