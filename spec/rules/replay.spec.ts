import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { Peer, Policy } from '../../lib/model/policy.ts'
import type { Report } from '../../lib/model/report.ts'
import type { Offers, Side } from '../../lib/model/side.ts'
import { block, pin } from '../../lib/policy/guards.ts'
import { layer } from '../../lib/policy/layer.ts'
import { predict } from '../../lib/policy/predict.ts'
import { policies } from '../../lib/policy/presets.ts'
import { replay } from '../../lib/policy/replay.ts'
import { readTable } from '../../lib/policy/table.ts'
import { alternativesOf } from '../../lib/rules/alternatives.ts'
import { reportOf } from './reports.ts'

const states: readonly CertificateState[] = [
  'valid',
  'self-signed',
  'expired',
  'not-yet-valid',
  'wrong-host',
  'unknown-ca',
  'broken-chain',
  'server-auth-only',
  'missing'
]

const options = fc.record(
  {
    tls: fc.constantFrom('never', 'when-offered', 'required'),
    invalidCertificate: fc.constantFrom('abort', 'encrypt-only', 'reconnect-plain'),
    acceptSelfSigned: fc.boolean(),
    external: fc.boolean(),
    dialback: fc.constantFrom('never', 'over-tls', 'always'),
    verification: fc.constantFrom('when-offered', 'required'),
    minimumLevel: fc.constantFrom('sasl-external', 'sasl-plain', 'tls-dialback', 'plain-dialback')
  },
  { requiredKeys: [] }
)
const policy: fc.Arbitrary<Policy> = fc.oneof(
  options.map(given => policies.ladder(given)),
  options.map(given => policies.encrypted(given)),
  options.map(given => policies.strict(given)),
  options.map(({ tls, dialback, acceptSelfSigned }) =>
    policies.openfire36({
      ...(tls === undefined ? {} : { tls }),
      ...(dialback === undefined ? {} : { dialback }),
      ...(acceptSelfSigned === undefined ? {} : { acceptSelfSigned })
    })
  )
)
const offers: fc.Arbitrary<Offers> = fc.record(
  {
    starttls: fc.constantFrom<boolean | 'fails'>(true, false, 'fails'),
    external: fc.constantFrom<boolean | 'refused'>(true, false, 'refused'),
    dialback: fc.boolean()
  },
  { requiredKeys: [] }
)
const side: fc.Arbitrary<Side> = fc.record({ policy, certificate: fc.constantFrom(...states), offers })

/** Another policy for what we initiate; the listener that answered as authoritative server is the one of then. */
function initiatingBy(other: Policy, before: Policy): Policy {
  const isOurs = ({ direction, purpose }: Peer): boolean => direction === 'outgoing' && purpose === 'stanzas'
  const answers: Policy = {
    name: 'other',
    tls: peer => (isOurs(peer) ? other.tls?.(peer) : undefined),
    certificate: (peer, verdict) => (isOurs(peer) ? other.certificate?.(peer, verdict) : undefined),
    proofs: (peer, encrypted, use) => (isOurs(peer) ? other.proofs?.(peer, encrypted, use) : undefined),
    afterFailure: (peer, failed) => (isOurs(peer) ? other.afterFailure?.(peer, failed) : undefined),
    minimumLevel: peer => (isOurs(peer) ? other.minimumLevel?.(peer) : undefined)
  }
  return layer(answers, before)
}

function recorded(initiator: Side, receiver: Side): Report {
  return reportOf(predict(initiator, receiver), initiator, receiver)
}

describe('rules/replay', () => {
  it('comes to the same end by the same steps under the same policy, for every row of every table', () => {
    for (const name of ['openfire-table', 'presets-table', 'openfire36-table']) {
      for (const { initiator, receiver, text } of readTable(
        JSON.parse(readFileSync(new URL(`../../fixtures/${name}.json`, import.meta.url), 'utf8'))
      )) {
        const predicted = predict(initiator, receiver)
        const replayed = replay(reportOf(predicted, initiator, receiver), initiator.policy)
        assert.deepEqual(replayed, predicted, text)
      }
    }
  })

  it('comes to what would have been predicted under any other policy, or names the fact that was never learned', () => {
    let told = 0
    fc.assert(
      fc.property(side, side, policy, (initiator, receiver, other) => {
        const replayed = replay(recorded(initiator, receiver), other)
        if ('unknown' in replayed) {
          assert.match(replayed.unknown, /\w/)
          return
        }
        told += 1
        if (replayed.notes.length > 0) return
        assert.equal(replayed.level, predict({ ...initiator, policy: initiatingBy(other, initiator.policy) }, receiver).level)
      }),
      { numRuns: 2000 }
    )
    assert.ok(told > 300, `${told} replays of 2000 had an answer`)
  })

  it('survives a report that was stored as JSON', () => {
    const initiator: Side = { policy: policies.ladder(), certificate: 'valid' }
    const report = recorded(initiator, { policy: policies.ladder(), certificate: 'self-signed' })
    const stored = JSON.parse(JSON.stringify(report)) as Report
    assert.equal(JSON.stringify(replay(stored, policies.strict())), JSON.stringify(replay(report, policies.strict())))
    assert.equal((replay(stored, policies.ladder()) as { level: string }).level, 'plain-dialback')
  })

  describe('unknown', () => {
    const initiator: Side = { policy: policies.ladder(), certificate: 'valid' }
    const unknown = (report: Report, other: Policy): unknown => {
      const replayed = replay(report, other)
      return 'unknown' in replayed ? replayed.unknown : replayed.level
    }
    it('is admit, where it answers with a promise', () => {
      const report = recorded(initiator, { policy: policies.ladder(), certificate: 'valid' })
      assert.equal(unknown(report, layer({ admit: () => Promise.resolve('admit') }, policies.ladder())), 'admit')
    })
    it('is the answer in clear, where only TLS was tried', () => {
      const report = recorded(initiator, {
        policy: policies.ladder(),
        certificate: 'valid',
        offers: { external: 'refused', dialback: false }
      })
      assert.equal(unknown(report, policies.ladder()), undefined)
      const abort = recorded(
        { ...initiator, policy: policies.ladder({ invalidCertificate: 'abort' }) },
        { policy: policies.ladder(), certificate: 'expired' }
      )
      assert.equal(unknown(abort, policies.ladder()), 'the answer to dialback in clear, at receiver.example:5269')
      assert.equal(unknown(abort, policies.encrypted()), 'the features inside TLS, at receiver.example:5269')
    })
    it('is how TLS would have gone, where it was not tried', () => {
      const never = recorded(
        { ...initiator, policy: policies.ladder({ tls: 'never' }) },
        { policy: policies.ladder(), certificate: 'valid' }
      )
      assert.equal(unknown(never, policies.ladder()), 'how TLS would have gone, at receiver.example:5269')
      assert.equal(unknown(never, policies.ladder({ tls: 'never', dialback: 'never' })), undefined)
    })
    it('is what is inside TLS, where the peer may not take us there, or may offer EXTERNAL', () => {
      const plain: Side = { policy: policies.ladder(), certificate: 'self-signed' }
      const encrypting = policies.ladder({ acceptSelfSigned: true })
      assert.equal(unknown(recorded(initiator, plain), encrypting), 'tls-dialback')
      assert.equal(
        unknown(recorded({ ...initiator, certificate: 'self-signed' }, plain), encrypting),
        'the features inside TLS, at receiver.example:5269'
      )
      const wary = layer({ certificate: () => 'reject' }, policies.ladder())
      assert.equal(
        unknown(recorded({ ...initiator, policy: wary }, { ...plain, certificate: 'valid' }), policies.ladder()),
        'the features inside TLS, at receiver.example:5269'
      )
    })
    it('is who the servers are, where nobody was resolved', () => {
      const blocked: Side = { ...initiator, guards: [block(['*'])] }
      assert.equal(unknown(recorded(blocked, initiator), policies.ladder()), 'the servers of the domain')
    })
  })

  it('keeps guards in force that are given', () => {
    const initiator: Side = { policy: policies.ladder(), certificate: 'valid' }
    const report = recorded(initiator, { policy: policies.ladder(), certificate: 'self-signed' })
    const replayed = replay(report, policies.ladder(), [pin(['*'], [{ leaf256: 'aa'.repeat(32) }])])
    assert.equal('level' in replayed && replayed.level, undefined)
  })
})

describe('rules/alternatives', () => {
  const initiator: Side = { policy: policies.ladder(), certificate: 'valid' }
  const alternatives = (us: Side, them: Side): readonly string[] =>
    alternativesOf(recorded(us, them), { policy: us.policy, guards: us.guards ?? [] }).map(({ change, level }) => `${change}: ${level}`)

  it('are the single options that would have kept a link encrypted', () => {
    assert.deepEqual(alternatives(initiator, { policy: policies.ladder(), certificate: 'self-signed' }), [
      'acceptSelfSigned: tls-dialback',
      'invalidCertificate: encrypt-only: tls-dialback'
    ])
    assert.deepEqual(alternatives(initiator, { policy: policies.ladder(), certificate: 'expired' }), [
      'invalidCertificate: encrypt-only: tls-dialback'
    ])
  })
  it('are found for what was refused for an option of our own', () => {
    const them: Side = { policy: policies.ladder(), certificate: 'valid', offers: { external: 'refused' } }
    const cautious: Side = { ...initiator, policy: policies.ladder({ minimumLevel: 'sasl-external' }) }
    assert.deepEqual(alternatives(cautious, them), [])
    assert.deepEqual(
      alternatives({ ...initiator, policy: policies.ladder({ external: false }) }, { policy: policies.ladder(), certificate: 'valid' }),
      []
    )
  })
  it('are none at the top of the ladder, none for a policy without a preset, and none that a guard forbids', () => {
    assert.deepEqual(alternatives(initiator, { policy: policies.ladder(), certificate: 'valid' }), [])
    const them: Side = { policy: policies.ladder(), certificate: 'self-signed' }
    const report = recorded(initiator, them)
    assert.deepEqual(alternativesOf(report, { policy: { ...policies.ladder() }, guards: [] }), [])
    assert.deepEqual(
      alternativesOf(report, { policy: policies.ladder(), guards: [{ kind: 'guard', name: 'valid only', certificate: () => 'reject' }] }),
      []
    )
  })
  it('go through layers to the preset below', () => {
    const layered: Side = { ...initiator, policy: layer({ name: 'own', admit: () => 'admit' }, policies.ladder()) }
    assert.ok(alternatives(layered, { policy: policies.ladder(), certificate: 'self-signed' }).includes('acceptSelfSigned: tls-dialback'))
  })
  it('hold: whatever is found is what would have been predicted', () => {
    fc.assert(
      fc.property(side, side, (us, them) => {
        const report = recorded(us, them)
        for (const { change, level } of alternativesOf(report, { policy: us.policy, guards: [] })) {
          const [key = '', value = 'true'] = change.split(': ')
          const changed = { ...us.policy.options, [key]: value === 'true' ? true : value }
          const name = us.policy.name as keyof typeof policies
          // What dialback in clear confirmed is assumed to be confirmed inside TLS, where the peer may yet object to our certificate.
          const predicted = predict({ ...us, policy: initiatingBy(policies[name](changed), us.policy) }, them).level
          assert.ok(predicted === level || report.level === 'plain-dialback', `${change}: ${level}, but ${String(predicted)}`)
        }
      }),
      { numRuns: 400 }
    )
  })
})
