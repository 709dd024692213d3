import assert from 'node:assert/strict'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Tls } from '../../lib/model/plugs.ts'
import type { Policy, Step } from '../../lib/model/policy.ts'
import type { Report } from '../../lib/model/report.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { CutKind, CutPlace, End } from '../../lib/testing/cut.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { CutOptions, Network } from '../../lib/testing/network.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { anchor } from '../ladder/meeting.ts'

const INITIATOR = 'initiator.example'
const TARGET = 'receiver.example'
const OURS = '192.0.2.1'
const THEIRS = '192.0.2.2'
type Kind = 'starttls' | 'direct'

interface Outcome {
  readonly outgoing: Report
  readonly incoming: Report | undefined
}

const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)

/** One negotiation on a network with one fault; afterwards nothing may be left of it. */
async function play(
  policy: Policy,
  kind: Kind,
  tls: Tls,
  cut: CutOptions & CutPlace,
  at: string = THEIRS,
  state: CertificateState = 'valid'
): Promise<Outcome> {
  const clock = createTestClock()
  const network = createNetwork({ clock })
  const start = async (name: string, address: string, own: CertificateState): Promise<Federation> => {
    const engine = createFederation({
      domains: { [name]: anchor().issue(name, { state: own, now: clock.now() }) },
      policy,
      tls,
      clock,
      trust: { default: [anchor().certificate] },
      resolver: network.resolver,
      transport: network.transportFor(address),
      allowPrivateAddresses: true,
      listen: [{ host: address, port: 5269, tls: kind }],
      onStanza: () => undefined
    })
    await engine.start()
    network.zone.server(name, { addresses: [address], port: 5269, tls: kind })
    return engine
  }
  const initiator = await start(INITIATOR, OURS, state)
  const receiver = await start(TARGET, THEIRS, 'valid')
  const reports: Report[] = []
  receiver.on('negotiation-ended', ({ report }) => reports.push(report))
  network.cut({ address: at, port: 5269 }, cut)
  const outgoing = await clock.run(initiator.probe({ sender: domain(INITIATOR), target: domain(TARGET) }))
  await clock.run(Promise.all([initiator.stop(), receiver.stop()]))
  await clock.settle()
  assert.equal(clock.pendingTimers, 0, 'timers are left')
  assertNothingOpen(network)
  return { outgoing, incoming: reports.find(report => report.peer.direction === 'incoming') }
}

function assertNothingOpen(network: Network): void {
  assert.equal(network.wires.length, 0, 'connections are left')
  assert.equal(network.listening.length, 0, 'listeners are left')
}

/** A place in the negotiation: whose bytes end there, what they would have been, and the step that either side is in. */
interface Place {
  readonly name: string
  readonly of: End
  readonly before: string
  readonly nth?: number
  readonly step: Step
  readonly codes?: readonly ErrorCode[]
}

const HEADER = '<stream:stream'
const inClear: readonly Place[] = [
  { name: 'our header in clear', of: 'initiating', before: HEADER, step: 'open-stream' },
  { name: 'their header in clear', of: 'receiving', before: HEADER, step: 'open-stream' },
  { name: 'their features in clear', of: 'receiving', before: '<stream:features', step: 'open-stream' },
  { name: '<starttls/>', of: 'initiating', before: '<starttls', step: 'negotiate-tls' },
  { name: '<proceed/>', of: 'receiving', before: '<proceed', step: 'negotiate-tls' }
]
const handshake = (nth: number): readonly Place[] => [
  { name: 'the ClientHello', of: 'initiating', before: '\u0016\u0003', nth, step: 'negotiate-tls' },
  { name: 'the ServerHello', of: 'receiving', before: '\u0016\u0003', nth, step: 'negotiate-tls' }
]
const refused: readonly ErrorCode[] = ['S2S_CERTIFICATE_REFUSED', 'S2S_STREAM_CLOSED']
const inTls = (nth: number): readonly Place[] => [
  { name: 'our header inside TLS', of: 'initiating', before: HEADER, nth, step: 'open-stream', codes: refused },
  { name: 'their header inside TLS', of: 'receiving', before: HEADER, nth, step: 'open-stream', codes: refused },
  { name: 'their features inside TLS', of: 'receiving', before: '<stream:features', nth, step: 'open-stream', codes: refused }
]
const external = (nth: number): readonly Place[] => [
  { name: '<auth/>', of: 'initiating', before: '<auth', step: 'sasl-external' },
  { name: '<success/>', of: 'receiving', before: '<success', step: 'sasl-external' },
  { name: 'our header after SASL', of: 'initiating', before: HEADER, nth: nth + 1, step: 'open-stream' },
  { name: 'their header after SASL', of: 'receiving', before: HEADER, nth: nth + 1, step: 'open-stream' },
  { name: 'their features after SASL', of: 'receiving', before: '<stream:features', nth: nth + 1, step: 'open-stream' }
]
const dialback: readonly Place[] = [
  { name: 'the dialback key', of: 'initiating', before: '<db:result', step: 'dialback' },
  { name: 'the answer to the key', of: 'receiving', before: '<db:result', step: 'dialback' }
]

const CASES: readonly { readonly name: string; readonly kind: Kind; readonly policy: () => Policy; readonly places: readonly Place[] }[] = [
  {
    name: 'EXTERNAL after STARTTLS',
    kind: 'starttls',
    policy: policies.strict,
    places: [...inClear, ...handshake(1), ...inTls(2), ...external(2)]
  },
  { name: 'EXTERNAL on direct TLS', kind: 'direct', policy: policies.strict, places: [...handshake(1), ...inTls(1), ...external(1)] },
  {
    name: 'dialback after STARTTLS',
    kind: 'starttls',
    policy: () => policies.encrypted({ external: false }),
    places: [...inTls(2), ...dialback]
  },
  {
    name: 'dialback on direct TLS',
    kind: 'direct',
    policy: () => policies.encrypted({ external: false }),
    places: [...inTls(1), ...dialback]
  },
  {
    name: 'dialback in clear',
    kind: 'starttls',
    policy: () => policies.ladder({ tls: 'never' }),
    places: [...inClear.slice(0, 3), ...dialback]
  }
]

describe('a connection that ends or stalls at any step', function () {
  this.timeout(120_000)
  before(() => process.on('unhandledRejection', note))
  after(() => process.off('unhandledRejection', note))
  afterEach(() => assert.deepEqual(unhandled, []))

  for (const { name, kind, policy, places } of CASES) {
    describe(name, () => {
      for (const place of places) {
        for (const how of ['reset', 'fin', 'stall'] as const) {
          it(`${how} before ${place.name}: the report names ${place.step}`, async () => {
            const { of, before, nth } = place
            const { outgoing, incoming } = await play(policy(), kind, simulatedTls(), {
              how,
              of,
              before: Buffer.from(before, 'latin1'),
              ...(nth === undefined ? {} : { nth })
            })
            assert.equal(outgoing.level, undefined, 'it ended with a level')
            assert.equal(outgoing.error?.step, place.step, outgoing.error?.message)
            assert.ok(expectedCodes(how, place).includes(outgoing.error.code), `${outgoing.error.code}: ${outgoing.error.message}`)
            assert.ok(incoming !== undefined, 'the receiving side has no report')
            // The peer may have seen all that it needed before the place of the fault.
            if (incoming.level === undefined) assert.ok(incoming.error?.step !== undefined, 'the receiving side names no step')
          })
        }
      }
    })
  }

  for (const how of ['reset', 'fin', 'stall'] as const) {
    it(`${how} on the connection to the authoritative server: the peer is told, and the report says dialback`, async () => {
      const policy = policies.encrypted({ external: false })
      const { outgoing } = await play(
        policy,
        'starttls',
        simulatedTls(),
        { how, of: 'receiving', before: '<db:verify' },
        OURS,
        'self-signed'
      )
      assert.equal(outgoing.level, undefined)
      assert.equal(outgoing.error?.step, 'dialback', outgoing.error?.message)
    })
  }

  for (const kind of ['starttls', 'direct'] as const) {
    for (const of of ['initiating', 'receiving'] as const) {
      it(`leaves nothing behind when real TLS over ${kind} is cut after any number of the ${of} side's bytes`, async () => {
        for (let bytes = 1; bytes < 4200; bytes += 173) {
          for (const how of ['reset', 'fin'] as const) {
            const { outgoing } = await play(policies.strict(), kind, nodeTls(), { how, of, after: bytes })
            if (outgoing.level === undefined) assert.ok(outgoing.error?.step !== undefined, `${bytes} bytes: no step`)
          }
        }
      })
    }
  }
})

function expectedCodes(how: CutKind, place: Place): readonly ErrorCode[] {
  // Either side's deadline may be the first.
  if (how === 'stall') return ['S2S_TIMEOUT', 'S2S_STREAM_ERROR_RECEIVED']
  if (place.codes !== undefined) return place.codes
  return place.step === 'negotiate-tls'
    ? ['S2S_TLS_HANDSHAKE', 'S2S_TLS_REFUSED', 'S2S_STREAM_CLOSED']
    : ['S2S_STREAM_CLOSED', 'S2S_DIALBACK_ERROR']
}
