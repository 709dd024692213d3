import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain } from '../../lib/model/domain.ts'
import { atLeast, LEVELS } from '../../lib/model/level.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { Guard, Policy } from '../../lib/model/policy.ts'
import type { PairStatus, Report, TraceEntry } from '../../lib/model/report.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { anchor } from '../ladder/meeting.ts'
import { anyGuards, anyPolicy, anyState } from './random.ts'

const INITIATOR = 'initiator.example'
const TARGET = 'receiver.example'
const ATTEMPTS_AT_MOST = 3 * 4 + 1

interface Peer {
  readonly policy: Policy
  readonly guards: readonly Guard[]
  readonly state: CertificateState
  readonly tls: 'starttls' | 'direct'
}
const anyPeer: fc.Arbitrary<Peer> = fc.record({
  policy: anyPolicy,
  guards: anyGuards,
  state: anyState,
  tls: fc.constantFrom('starttls' as const, 'starttls' as const, 'starttls' as const, 'direct' as const)
})

interface Played {
  readonly report: Report
  readonly received: readonly PairStatus[]
}

async function play(us: Omit<Peer, 'tls'>, peers: readonly Peer[]): Promise<Played> {
  const clock = createTestClock()
  const network = createNetwork({ clock })
  const running: Federation[] = []
  const received: PairStatus[] = []
  const start = async (name: string, address: string, { policy, guards, state, tls }: Peer): Promise<Federation> => {
    const port = tls === 'direct' ? 5270 : 5269
    const engine = createFederation({
      domains: { [name]: anchor().issue(name, { state, now: clock.now() }) },
      policy,
      guards,
      trust: { default: [anchor().certificate] },
      resolver: network.resolver,
      transport: network.transportFor(address),
      tls: simulatedTls(),
      clock,
      allowPrivateAddresses: true,
      listen: [{ host: address, port, tls }],
      onStanza: () => undefined
    })
    engine.on('pair-authenticated', ({ pair }) => pair.flow === 'receive' && received.push(pair))
    await engine.start()
    running.push(engine)
    return engine
  }
  try {
    for (const [index, peer] of peers.entries()) {
      const address = `192.0.2.${index + 11}`
      await start(TARGET, address, peer)
      network.zone.server(TARGET, { addresses: [address], host: `xmpp${index}.${TARGET}`, priority: index, tls: peer.tls })
    }
    const initiator = await start(INITIATOR, '192.0.2.1', { ...us, tls: 'starttls' })
    network.zone.server(INITIATOR, { addresses: ['192.0.2.1'] })
    const report = await clock.run(initiator.probe({ sender: domain(INITIATOR), target: domain(TARGET) }))
    return { report, received }
  } finally {
    await clock.run(Promise.all(running.map(each => each.stop())))
    assert.equal(clock.pendingTimers, 0, 'a timer is left')
  }
}

const connects = (trace: readonly TraceEntry[]): Extract<TraceEntry, { step: 'connect' }>[] =>
  trace.filter(entry => entry.step === 'connect')
const lowestGuard = (guards: readonly Guard[]): SecurityLevel[] =>
  guards.flatMap(guard => {
    const peer = { direction: 'outgoing', local: domain(INITIATOR), remote: domain(TARGET), purpose: 'stanzas', ours: 'trusted' } as const
    const floor = guard.minimumLevel?.(peer)
    return [
      ...(floor === undefined ? [] : [floor]),
      ...(guard.plain?.(peer) === 'refuse' || guard.tls?.(peer) === 'required' ? (['tls-dialback'] as const) : [])
    ]
  })

function checkLevel(level: SecurityLevel, trace: readonly TraceEntry[]): void {
  const last = trace.at(-1)?.attempt
  const offered = trace.some(
    entry => entry.step === 'open-stream' && entry.attempt === last && entry.facts.features?.starttls === 'required'
  )
  assert.ok(level !== 'plain-dialback' || !offered, 'in clear where the peer requires TLS')
  const judged = trace.findLast(entry => entry.step === 'check-certificate' && entry.attempt === last)
  if (level === 'sasl-external' || level === 'sasl-plain') {
    assert.ok(
      judged?.step === 'check-certificate' && judged.facts.verdict.valid && judged.facts.use === 'authenticate',
      'SASL without a valid certificate'
    )
  }
  if (level !== 'plain-dialback') assert.ok(judged?.step === 'check-certificate' && judged.facts.use !== 'reject', 'TLS that was rejected')
  const floor = trace.findLast(entry => entry.step === 'policy' && entry.facts.question === 'minimumLevel')
  if (floor?.step === 'policy') assert.ok(atLeast(level, floor.facts.answer as SecurityLevel), `${level} is below ${floor.facts.answer}`)
}

function checkAttempts({ trace }: Report, endpoints: number): void {
  const made = connects(trace)
  assert.ok(made.length <= ATTEMPTS_AT_MOST, `${made.length} attempts`)
  const plain = made.findIndex(entry => entry.facts.encryption === 'none')
  if (plain >= 0) {
    assert.equal(plain, made.length - 1, 'an attempt follows the plain one')
    const tried = new Set(made.slice(0, plain).map(entry => entry.facts.endpoint.host))
    assert.equal(tried.size, endpoints, 'in clear before every endpoint was tried encrypted')
    const last = made[plain]?.attempt ?? 0
    const required = trace.some(
      entry => entry.step === 'open-stream' && entry.attempt < last && entry.facts.features?.starttls === 'required'
    )
    assert.ok(!required, 'in clear although the peer had required TLS')
  }
  const order = made.filter(entry => entry.facts.encryption === 'per-policy').map(entry => entry.facts.endpoint.host)
  assert.deepEqual([...order].sort(), order, 'back to an endpoint that was left')
}

describe('whatever policies, guards and peers are, on real engines', function () {
  this.timeout(180_000)

  it('no clamp is broken, no floor is passed under, attempts are monotone, and every negotiation ends', async () => {
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(
        fc.record({ policy: anyPolicy, guards: anyGuards, state: anyState }),
        fc.array(anyPeer, { minLength: 1, maxLength: 3 }),
        async (us, peers) => {
          const { report, received } = await play(us, peers)
          const { level, trace } = report
          seen.set(level ?? 'none', (seen.get(level ?? 'none') ?? 0) + 1)
          checkAttempts(report, peers.length)
          if (level === undefined) {
            assert.ok(report.error !== undefined, 'neither a level nor a reason')
            return
          }
          checkLevel(level, trace)
          for (const floor of lowestGuard(us.guards)) assert.ok(atLeast(level, floor), `${level} is below the guard's ${floor}`)
          assert.equal(received.filter(pair => pair.level === level).length, 1, 'the two sides do not agree on the level')
        }
      ),
      { numRuns: 400 }
    )
    for (const level of ['none', ...LEVELS.filter(each => each !== 'sasl-plain')])
      assert.ok((seen.get(level) ?? 0) >= 1, `no meeting ended at ${level}`)
    console.log(`      ${[...seen].map(([level, count]) => `${level} ${count}`).join(', ')}`)
  })
})
