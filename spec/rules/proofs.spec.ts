import assert from 'node:assert/strict'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import { describeNoProof, proofsToTry, untriedProofs } from '../../lib/rules/proofs.ts'
import type { ProofFacts } from '../../lib/rules/proofs.ts'
import { attempt, endpoint } from './peers.ts'

describe('rules/proofs', () => {
  const features = { ...NO_FEATURES, mechanisms: ['EXTERNAL', 'PLAIN'], dialback: true }
  const best: ProofFacts = {
    encrypted: true,
    use: 'authenticate',
    features,
    floor: 'plain-dialback',
    ours: 'trusted',
    hasPassword: true,
    namespaceDialback: true
  }
  const all = ['sasl-external', 'sasl-plain', 'dialback'] as const
  const first = attempt(endpoint('xmpp.example'))

  it('tries every proof that is wanted, offered and allowed, in the order of the policy', () => {
    assert.deepEqual(proofsToTry(all, best, first), all)
    assert.deepEqual(proofsToTry(['dialback', 'sasl-external'], best, first), ['dialback', 'sasl-external'])
    assert.deepEqual(untriedProofs(all, best, first), [])
  })
  it('tries none twice', () => {
    assert.deepEqual(proofsToTry(['dialback', 'dialback'], best, first), ['dialback'])
    assert.deepEqual(proofsToTry(all, best, attempt(endpoint('xmpp.example'), { skipProofs: ['sasl-external'] })), [
      'sasl-plain',
      'dialback'
    ])
  })

  const rows: readonly [why: string, facts: Partial<ProofFacts>, tried: readonly string[], untried: readonly string[]][] = [
    [
      'in clear, dialback only',
      { encrypted: false, use: undefined },
      ['dialback'],
      ['sasl-external skipped not-encrypted', 'sasl-plain skipped not-encrypted']
    ],
    [
      'with a certificate that only encrypts, dialback only',
      { use: 'encrypt-only' },
      ['dialback'],
      ['sasl-external skipped certificate-not-valid', 'sasl-plain skipped certificate-not-valid']
    ],
    [
      'without a certificate of our own, no EXTERNAL',
      { ours: 'missing' },
      ['sasl-plain', 'dialback'],
      ['sasl-external skipped own-certificate']
    ],
    ['without a password, no PLAIN, and nothing to report', { hasPassword: false }, ['sasl-external', 'dialback'], []],
    [
      'what the peer does not offer is absent',
      { features: NO_FEATURES, namespaceDialback: false, hasPassword: false },
      [],
      ['sasl-external absent not-offered', 'dialback absent not-offered']
    ],
    [
      'dialback that only the header declares is offered',
      { features: NO_FEATURES, hasPassword: false },
      ['dialback'],
      ['sasl-external absent not-offered']
    ],
    [
      'nothing below the floor',
      { floor: 'sasl-external' },
      ['sasl-external'],
      ['sasl-plain skipped below-floor', 'dialback skipped below-floor']
    ]
  ]
  for (const [why, facts, tried, untried] of rows) {
    it(why, () => {
      assert.deepEqual(proofsToTry(all, { ...best, ...facts }, first), tried)
      assert.deepEqual(
        untriedProofs(all, { ...best, ...facts }, first).map(({ proof, outcome, code }) => `${proof} ${outcome} ${code}`),
        untried
      )
    })
  }
  it('says of a proof that the policy does not want that it is skipped, and whether our own certificate is why', () => {
    assert.deepEqual(untriedProofs(['dialback'], { ...best, hasPassword: false }, first), [
      { proof: 'sasl-external', outcome: 'skipped', code: 'policy' }
    ])
    assert.deepEqual(untriedProofs(['dialback'], { ...best, hasPassword: false, ours: 'self-signed' }, first), [
      { proof: 'sasl-external', outcome: 'skipped', code: 'own-certificate' }
    ])
  })

  it('says of each proof why it is not left, and what our own certificate has to do with it', () => {
    const facts: ProofFacts = { ...best, features: NO_FEATURES, namespaceDialback: false, hasPassword: false, ours: 'invalid' }
    assert.equal(
      describeNoProof(untriedProofs(all, facts, first), [], { ours: 'invalid', oursBecause: 'expired on 2026-01-01' }),
      'not SASL EXTERNAL (the peer does not offer it, and our own certificate does not verify: expired on 2026-01-01), not dialback (the peer does not offer it)'
    )
    const clear: ProofFacts = { ...best, encrypted: false, use: undefined }
    assert.equal(
      describeNoProof(untriedProofs(['sasl-external'], clear, first), [], { ours: 'trusted' }),
      'not SASL EXTERNAL (the stream is not encrypted), not SASL PLAIN (the stream is not encrypted), not dialback (policy does not want it)'
    )
  })

  it('says of a proof that was tried on the stream that it was refused', () => {
    assert.equal(
      describeNoProof([{ proof: 'sasl-external', outcome: 'absent', code: 'not-offered' }], ['dialback'], { ours: 'trusted' }),
      'not SASL EXTERNAL (the peer does not offer it), not dialback (it was refused)'
    )
    assert.equal(
      describeNoProof([], ['sasl-external', 'dialback'], { ours: 'trusted' }),
      'not SASL EXTERNAL (it was refused), not dialback (it was refused)'
    )
  })
})
