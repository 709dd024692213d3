import assert from 'node:assert/strict'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { Policy } from '../../lib/model/policy.ts'
import type { Report, TraceEntry } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { predict } from '../../lib/policy/predict.ts'
import { policies } from '../../lib/policy/presets.ts'
import { replay } from '../../lib/policy/replay.ts'
import { meet, simulatedPlace } from '../ladder/meeting.ts'

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

  it('suggest alternatives that hold', () => {
    const plain = played.filter(({ report }) => report.level === 'plain-dialback' && report.policy.name === 'ladder')
    assert.ok(plain.length > 0)
    for (const { report, receiver, initiator } of plain) {
      const suggested = report.alternatives.map(each => `${each.change}: ${each.level}`)
      const wanted: Partial<Record<string, readonly string[]>> = {
        'self-signed': ['acceptSelfSigned: tls-dialback', 'invalidCertificate: encrypt-only: tls-dialback'],
        expired: ['invalidCertificate: encrypt-only: tls-dialback']
      }
      const certificate = typeof receiver.certificate === 'string' ? receiver.certificate : ''
      assert.deepEqual(suggested, initiator.certificate === 'valid' ? (wanted[certificate] ?? []) : [], certificate)
    }
  })
})
