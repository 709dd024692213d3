import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain } from '../../lib/model/domain.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Clock, Credentials, Resolver, Tls, Transport } from '../../lib/model/plugs.ts'
import type { Report } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import type { Authority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createZone } from '../../lib/testing/zone.ts'
import type { Zone } from '../../lib/testing/zone.ts'
import { tcpTransport } from '../../lib/transport/tcp.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { narrowedPolicy, narrowedTls } from './narrowed.ts'

/** Where a row of the ladder is played: on real sockets with real TLS, or on a network and a clock of its own. */
export interface Place {
  readonly zone: Zone
  readonly resolver: Resolver
  readonly tls: Tls
  readonly clock: Clock | undefined
  transportFor(address: string): Transport
  addressOf(role: 'initiator' | 'receiver'): string
  run<T>(work: Promise<T>): Promise<T>
}

export function simulatedPlace(): Place {
  const clock = createTestClock()
  const network = createNetwork({ clock })
  const addresses = { initiator: '192.0.2.1', receiver: '192.0.2.2' }
  return {
    zone: network.zone,
    resolver: network.resolver,
    tls: simulatedTls(),
    clock,
    transportFor: address => network.transportFor(address),
    addressOf: role => addresses[role],
    run: work => clock.run(work)
  }
}

export function loopbackPlace(): Place {
  const zone = createZone()
  return {
    zone,
    resolver: zone.resolver,
    tls: nodeTls(),
    clock: undefined,
    transportFor: () => tcpTransport(),
    addressOf: () => '127.0.0.1',
    run: work => work
  }
}

/** What two engines made of each other. */
export interface Meeting {
  /** Where the initiator's report says that it ended. */
  readonly outgoing: SecurityLevel | undefined
  /** What the receiver authenticated the pair at. */
  readonly incoming: SecurityLevel | undefined
  readonly report: Report
}

let authority: Authority | undefined
const issued = new Map<string, Credentials | undefined>()

/** Keys and certificates are dear and the same in every row: each is made once. */
function credentials(name: string, state: CertificateState): Credentials | undefined {
  const key = `${name} ${state}`
  if (!issued.has(key)) issued.set(key, anchor().issue(name, { state }))
  return issued.get(key)
}

export function anchor(): Authority {
  authority ??= createAuthority()
  return authority
}

/** Plays one row: the initiator probes the receiver, both real engines, each found by SRV. */
export async function meet(initiator: Side, receiver: Side, place: Place): Promise<Meeting> {
  const names = { initiator: domain(initiator.domain ?? 'initiator.example'), receiver: domain(receiver.domain ?? 'receiver.example') }
  const ours = await open(names.initiator, initiator, 'initiator', place)
  const theirs = await open(names.receiver, receiver, 'receiver', place)
  let incoming: SecurityLevel | undefined
  theirs.on('pair-authenticated', ({ pair }) => (incoming = pair.flow === 'receive' ? pair.level : incoming))
  try {
    const report = await place.run(ours.probe({ sender: names.initiator, target: names.receiver }))
    return { outgoing: report.level, incoming, report }
  } finally {
    await place.run(Promise.all([ours.stop(), theirs.stop()]))
  }
}

async function open(name: string, side: Side, role: 'initiator' | 'receiver', place: Place): Promise<Federation> {
  if (typeof side.certificate !== 'string') throw new TypeError('a row that is played needs certificates that can be issued')
  const address = place.addressOf(role)
  const engine = createFederation({
    domains: { [name]: credentials(name, side.certificate) },
    policy: narrowedPolicy(side.policy, side.offers),
    guards: side.guards ?? [],
    trust: { default: [anchor().certificate] },
    resolver: place.resolver,
    transport: place.transportFor(address),
    tls: narrowedTls(place.tls, side.offers),
    allowPrivateAddresses: true,
    listen: [{ host: address, port: 0 }],
    onStanza: () => undefined,
    ...(place.clock === undefined ? {} : { clock: place.clock })
  })
  await engine.start()
  for (const { port } of engine.addresses) place.zone.server(name, { addresses: [address], port })
  return engine
}
