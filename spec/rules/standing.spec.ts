import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import type { Peer, Policy, Rulebook } from '../../lib/model/policy.ts'
import type { PairStatus } from '../../lib/model/report.ts'
import { complete } from '../../lib/policy/complete.ts'
import { judgeStanding } from '../../lib/rules/standing.ts'
import { book, EXPIRED, guard, OUTGOING, THEM, US, VALID } from './peers.ts'

const status = (
  level: PairStatus['level'],
  peerIdentity: PairStatus['peerIdentity'] = level === 'sasl-external' ? 'pkix' : 'dns'
): PairStatus => ({
  pair: { sender: US, target: THEM },
  flow: 'send',
  level,
  peerIdentity
})

interface Case {
  readonly policy?: Policy
  readonly on?: PairStatus
  /** undefined: in clear. */
  readonly verdict?: CertificateVerdict | undefined
  readonly peer?: Peer
  readonly rules?: Rulebook
}

/** What a pair falls for: code, clause, stream error. undefined: it stands. */
async function falls({ policy, on = status('sasl-external'), peer = OUTGOING, ...more }: Case): Promise<readonly unknown[] | undefined> {
  const verdict = 'verdict' in more ? more.verdict : VALID
  const rules = more.rules ?? book(complete(policy))
  const error = await judgeStanding(rules, { peer, status: on, encrypted: verdict !== undefined, verdict })
  return error === undefined ? undefined : [error.code, error.detail, error.streamCondition, error.pair]
}
const policyError = (detail: string): readonly unknown[] => ['S2S_POLICY', detail, 'reset', status('sasl-external').pair]

describe('rules/standing', () => {
  const STANDS: readonly (readonly [string, Case])[] = [
    ['what it was authenticated under', {}],
    [
      'dialback inside TLS, where the certificate counts for encryption only',
      { on: status('tls-dialback'), verdict: EXPIRED, policy: { certificate: () => 'encrypt-only' } }
    ],
    ['an encrypted stream, where TLS is not wanted any more', { policy: { tls: () => 'never', proofs: () => ['sasl-external'] } }],
    ['a stream in clear', { on: status('plain-dialback'), verdict: undefined }]
  ]
  for (const [what, facts] of STANDS)
    it(`lets a pair go on: ${what}`, async () => {
      assert.equal(await falls(facts), undefined)
    })

  const FALLS: readonly (readonly [string, Case, readonly unknown[]])[] = [
    ['the peer is not admitted', { policy: { admit: () => 'refuse' } }, policyError('the peer is not admitted any more')],
    [
      'a guard does not admit it, and says why',
      { rules: book(complete(undefined), guard('g', { admit: () => ({ answer: 'refuse', because: 'enough of it' }) })) },
      policyError('enough of it')
    ],
    [
      'it is not admitted after a while',
      { policy: { admit: () => Promise.resolve('refuse' as const) } },
      policyError('the peer is not admitted any more')
    ],
    [
      'TLS is required of a stream in clear',
      { on: status('plain-dialback'), verdict: undefined, policy: { tls: () => 'required' } },
      policyError('TLS is required now')
    ],
    [
      'its certificate has expired, and it is known by it',
      { verdict: EXPIRED, policy: { certificate: () => 'encrypt-only' } },
      ['S2S_CERTIFICATE', 'expired on 2020-01-01T00:00:00.000Z', 'reset', status('sasl-external').pair]
    ],
    [
      'its certificate was what proved it, whatever is said of who it is',
      { on: status('sasl-external', 'dns'), policy: { certificate: () => 'encrypt-only' } },
      ['S2S_CERTIFICATE', 'policy does not accept it any more', 'reset', status('sasl-external').pair]
    ],
    [
      'its certificate was what it is known by, though dialback proved it',
      { on: status('tls-dialback', 'pkix'), policy: { certificate: () => 'encrypt-only' } },
      ['S2S_CERTIFICATE', 'policy does not accept it any more', 'reset', status('sasl-external').pair]
    ],
    [
      'its certificate is rejected, though nothing depends on it',
      { on: status('tls-dialback'), policy: { certificate: () => ({ answer: 'reject', because: 'not that one' }) } },
      ['S2S_CERTIFICATE', 'not that one', 'reset', status('sasl-external').pair]
    ],
    [
      'its proof is not accepted',
      { on: status('tls-dialback'), policy: { proofs: () => ['sasl-external'] } },
      policyError('dialback is not accepted any more')
    ],
    [
      'its level is below the floor',
      { on: status('tls-dialback'), policy: { minimumLevel: () => 'sasl-external', proofs: () => ['dialback', 'sasl-external'] } },
      policyError('tls-dialback is below sasl-external, the floor of now')
    ]
  ]
  for (const [what, facts, error] of FALLS)
    it(`ends it with reset when ${what}`, async () => {
      assert.deepEqual(await falls(facts), error)
    })

  it('answers at once where policy does', () => {
    const standing = { peer: OUTGOING, status: status('sasl-external'), encrypted: true, verdict: VALID }
    assert.equal(judgeStanding(book(complete(undefined)), standing), undefined)
    assert.ok(FederationError.is(judgeStanding(book(complete({ admit: () => 'refuse' })), standing)))
  })
})
