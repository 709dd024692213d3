import assert from 'node:assert/strict'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Policy } from '../../lib/model/policy.ts'
import type { Report, TraceEntry } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { predict } from '../../lib/policy/predict.ts'
import { policies } from '../../lib/policy/presets.ts'
import { explain } from '../../lib/rules/explain.ts'
import { replay } from '../../lib/policy/replay.ts'
import { anchor, meet, simulatedPlace } from '../ladder/meeting.ts'
import type { Place } from '../ladder/meeting.ts'

const PRESETS: readonly Policy[] = [
  policies.ladder(),
  policies.encrypted(),
  policies.strict(),
  policies.openfire36({ acceptSelfSigned: true })
]
const STATES: readonly CertificateState[] = ['valid', 'self-signed', 'expired', 'missing']

/** What happened, without times and names. */
function course(trace: readonly TraceEntry[]): readonly string[] {
  return trace.map(({ attempt, step, outcome, code, facts }) =>
    step === 'policy' && 'question' in facts ? `${attempt} ${facts.question}: ${facts.answer}` : `${attempt} ${step} ${outcome} ${code}`
  )
}

/** The reports that a receiver makes of an initiator's streams. */
async function receivedReports(initiator: Played, receiver: Played): Promise<readonly Report[]> {
  const place = simulatedPlace()
  const ours = await open('initiator', initiator, place)
  const theirs = await open('receiver', receiver, place)
  const reports: Report[] = []
  theirs.on('negotiation-ended', ({ report }) => report.peer.direction === 'incoming' && reports.push(report))
  await place.run(ours.probe({ sender: domain('initiator.example'), target: domain('receiver.example') }))
  await place.run(Promise.all([ours.stop(), theirs.stop()]))
  return reports
}

interface Played {
  readonly policy: Policy
  readonly certificate: CertificateState
}

async function open(role: 'initiator' | 'receiver', { policy, certificate }: Played, place: Place): Promise<Federation> {
  const name = `${role}.example`
  const address = place.addressOf(role)
  const { clock, resolver, tls, zone } = place
  assert.ok(clock !== undefined)
  const engine = createFederation({
    domains: { [name]: anchor().issue(name, { state: certificate, now: clock.now() }) },
    policy,
    trust: { default: [anchor().certificate] },
    resolver,
    transport: place.transportFor(address),
    tls,
    clock,
    allowPrivateAddresses: true,
    listen: [{ host: address, port: 0 }],
    onStanza: () => undefined
  })
  await engine.start()
  for (const { port } of engine.addresses) zone.server(name, { addresses: [address], port })
  return engine
}

describe('the reports of real engines', function () {
  this.timeout(120_000)
  const played: { readonly initiator: Side; readonly receiver: Side; readonly report: Report }[] = []

  before(async () => {
    for (const policy of PRESETS) {
      for (const ours of STATES) {
        for (const theirs of STATES) {
          const initiator: Side = { policy, certificate: ours }
          const receiver: Side = { policy: policies.ladder({ acceptSelfSigned: ours === 'self-signed' }), certificate: theirs }
          played.push({ initiator, receiver, report: (await meet(initiator, receiver, simulatedPlace())).report })
        }
      }
    }
  })

  it('tell the course that was predicted, question by question and step by step', () => {
    for (const { initiator, receiver, report } of played) {
      assert.deepEqual(
        course(report.trace),
        course(predict(initiator, receiver).steps),
        `${report.policy.name} ${JSON.stringify([initiator.certificate, receiver.certificate])}`
      )
    }
  })

  it('come to the same end again under the same policy', () => {
    for (const { initiator, report } of played) {
      const replayed = replay(JSON.parse(JSON.stringify(report)) as Report, initiator.policy)
      assert.ok(!('unknown' in replayed), JSON.stringify(replayed))
      assert.equal(replayed.level, report.level)
      assert.deepEqual(course(replayed.steps), course(report.trace))
    }
  })

  it('suggest alternatives that hold', async () => {
    const plain = played.filter(({ report }) => report.level === 'plain-dialback' && report.policy.name === 'ladder')
    assert.ok(plain.length > 0)
    for (const { report, receiver, initiator } of plain) {
      const suggested = report.alternatives.map(each => `${each.change}: ${each.level}`)
      const wanted: Partial<Record<string, readonly string[]>> = {
        'self-signed': ['acceptSelfSigned: tls-dialback', 'invalidCertificate: encrypt-only: tls-dialback'],
        expired: ['invalidCertificate: encrypt-only: tls-dialback']
      }
      const certificate = typeof receiver.certificate === 'string' ? receiver.certificate : ''
      // A certificate of ours that the peer may reject in turn leaves open what it would have said.
      const isKnown = initiator.certificate === 'valid' || initiator.certificate === 'missing'
      assert.deepEqual(suggested, isKnown ? (wanted[certificate] ?? []) : [], certificate)
      for (const { change, level } of report.alternatives) {
        const [, option = change, value = true] = /^(\w+): (.+)$/.exec(change) ?? []
        const changed: Side = { ...initiator, policy: policies.ladder({ [option]: value }) }
        assert.equal((await meet(changed, receiver, simulatedPlace())).report.level, level, change)
      }
      if (isKnown || wanted[certificate] === undefined) continue
      assert.match(
        explain(report),
        /NOT encrypted\. It would take a policy that accepts the certificate of the peer; whether the peer accepts/u
      )
    }
  })

  it('come to the same end again, incoming, or name what only the peer knows', async () => {
    const initiating = policies.ladder({ invalidCertificate: 'encrypt-only' })
    for (const policy of PRESETS) {
      for (const ours of STATES) {
        for (const theirs of STATES) {
          for (const report of await receivedReports({ policy: initiating, certificate: ours }, { policy, certificate: theirs })) {
            const replayed = replay(JSON.parse(JSON.stringify(report)) as Report, policy)
            if ('unknown' in replayed)
              assert.deepEqual([replayed.unknown, report.level], ['how the peer would have proved itself', undefined])
            else assert.equal(replayed.level, report.level)
          }
        }
      }
    }
  })
})
