import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import type { Peer, Policy } from '../../lib/model/policy.ts'
import type { Report, TraceEntry } from '../../lib/model/report.ts'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import { block } from '../../lib/policy/guards.ts'
import { layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { replay } from '../../lib/policy/replay.ts'
import { alternativesOf } from '../../lib/rules/alternatives.ts'
import { EXPIRED, INCOMING, THEM, US, VALID } from './peers.ts'

const at = { at: 0, attempt: 1, took: 0, outcome: 'ok', code: 'ok' } as const
const pair = { sender: THEM, target: US }

const inClear: TraceEntry = {
  ...at,
  step: 'open-stream',
  facts: { encrypted: false, from: THEM, to: US, version: '1.0', features: { ...NO_FEATURES, starttls: 'offered', dialback: true } }
}
const secured: TraceEntry = {
  ...at,
  step: 'negotiate-tls',
  facts: { requiredByPeer: false, protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }
}
const judged = (verdict = VALID): TraceEntry => ({
  ...at,
  step: 'check-certificate',
  facts: { verdict, use: verdict.valid ? 'authenticate' : 'encrypt-only', ours: 'trusted' }
})
const inTls = (mechanisms: readonly string[]): TraceEntry => ({
  ...at,
  step: 'open-stream',
  facts: { encrypted: true, from: THEM, to: US, version: '1.0', features: { ...NO_FEATURES, mechanisms, dialback: true } }
})
const external: TraceEntry = { ...at, step: 'sasl-external', facts: {} }
const dialback = (encrypted: boolean, more: Partial<Extract<TraceEntry, { step: 'dialback' }>['facts']> = {}): TraceEntry => ({
  ...at,
  step: 'dialback',
  facts: { encrypted, pair, answer: 'valid', verifiedOver: 'tls', ...more }
})

function report(...trace: readonly TraceEntry[]): Report {
  return {
    schema: 1,
    peer: INCOMING,
    policy: { name: 'ladder', options: undefined },
    startedAt: 0,
    endedAt: 0,
    level: undefined,
    endpoint: undefined,
    pairs: [],
    trace,
    downgrades: [],
    error: undefined,
    alternatives: []
  }
}

function end(of: Report, policy: Policy): string {
  const replayed = replay(of, policy)
  return 'unknown' in replayed ? `unknown: ${replayed.unknown}` : (replayed.level ?? 'none')
}

describe('rules/replay, incoming', () => {
  const byExternal = report(inClear, secured, judged(), inTls(['EXTERNAL']), external)
  const byDialback = report(inClear, secured, judged(EXPIRED), inTls([]), dialback(true))
  const plain = report(inClear, dialback(false))
  const vouched = report(inClear, secured, judged(), inTls([]), dialback(true, { withoutDialback: true }))
  const ladder = policies.ladder({ invalidCertificate: 'encrypt-only' })

  const rows: readonly [what: string, of: Report, policy: Policy, end: string][] = [
    ['EXTERNAL stays what it was', byExternal, policies.strict(), 'sasl-external'],
    [
      'EXTERNAL that would not have been offered',
      byExternal,
      policies.ladder({ external: false }),
      'unknown: whether the peer would have used dialback'
    ],
    [
      'EXTERNAL that would not have been offered, nor anything else',
      byExternal,
      policies.ladder({ external: false, dialback: 'never' }),
      'none'
    ],
    [
      'TLS that would not have been offered',
      byExternal,
      policies.ladder({ tls: 'never' }),
      'unknown: what the peer would have done without STARTTLS'
    ],
    ['dialback over TLS stays what it was', byDialback, policies.encrypted(), 'tls-dialback'],
    ['dialback behind a certificate that would have been rejected', byDialback, policies.ladder(), 'none'],
    [
      'dialback that would not have been offered',
      byDialback,
      policies.ladder({ invalidCertificate: 'encrypt-only', dialback: 'never' }),
      'none'
    ],
    ['dialback below a floor', byDialback, policies.ladder({ invalidCertificate: 'encrypt-only', minimumLevel: 'sasl-external' }), 'none'],
    ['dialback in clear stays what it was', plain, policies.ladder(), 'plain-dialback'],
    [
      'dialback in clear where TLS would have been required',
      plain,
      policies.encrypted(),
      'unknown: whether the peer would have used STARTTLS'
    ],
    ['dialback in clear that would not have been taken', plain, policies.ladder({ dialback: 'over-tls' }), 'none'],
    ['a certificate that vouched', vouched, ladder, 'unknown: whether the peer would have used EXTERNAL'],
    ['a certificate that vouched, EXTERNAL off', vouched, policies.ladder({ external: false }), 'tls-dialback'],
    [
      'a certificate that vouched and would not have',
      vouched,
      layer({ certificate: () => 'encrypt-only' }, policies.ladder({ external: false })),
      'unknown: what the authoritative server would have answered'
    ],
    ['a peer that proved nothing', report(inClear), policies.ladder(), 'unknown: how the peer would have proved itself'],
    [
      'a peer that proved nothing, with a certificate that would be rejected',
      report(inClear, secured, judged(EXPIRED)),
      policies.strict(),
      'none'
    ],
    ['an admit that takes its time', plain, layer({ admit: () => Promise.resolve('admit') }, policies.ladder()), 'unknown: admit']
  ]
  for (const [what, of, policy, expected] of rows) it(`${what}: ${expected}`, () => assert.equal(end(of, policy), expected))

  it('is the lowest of its pairs, each asked about by its own name', () => {
    const other = { sender: domain('other.example'), target: US }
    const two = report(inClear, secured, judged(), inTls(['EXTERNAL']), external, judged(EXPIRED), dialback(true, { pair: other }))
    assert.equal(end(two, ladder), 'tls-dialback')
    const asked: Peer[] = []
    const curious: Policy = layer({ name: 'curious', admit: peer => (asked.push(peer), undefined) }, ladder)
    assert.equal(end(two, curious), 'tls-dialback')
    assert.deepEqual(
      asked.map(peer => peer.remote),
      [THEM, 'other.example']
    )
    const replayed = replay(two, ladder, [block(['other.example'])])
    assert.equal('level' in replayed && replayed.level, 'sasl-external')
  })

  it('suggests nothing about what the peer alone decides', () => {
    assert.deepEqual(alternativesOf({ ...plain, level: 'plain-dialback' }, { policy: policies.ladder(), guards: [] }), [])
  })
})
