import assert from 'node:assert/strict'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Peer, Policy } from '../../lib/model/policy.ts'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import { complete } from '../../lib/policy/complete.ts'
import { reachesHigherAlone, reversalRefusal, whyOneWay } from '../../lib/rules/reversal.ts'

const peer: Peer = {
  direction: 'outgoing',
  local: domain('a.example'),
  remote: domain('b.example'),
  purpose: 'stanzas',
  ours: 'trusted'
}
const valid: CertificateVerdict = { ...MISSING_CERTIFICATE, valid: true, problems: [], proof: 'pkix' }
const offered = { ...NO_FEATURES, bidi: true }
const asked = { isWanted: true, encrypted: true, use: 'authenticate', features: offered } as const
const book = (policy?: Policy) => ({ policy: complete(policy), guards: [] })

describe('rules/reversal', () => {
  it('[XEP0288-2.2-a] asks inside TLS, where it is offered, of a peer that its certificate authenticates', () => {
    assert.equal(whyOneWay(asked), undefined)
    assert.equal(whyOneWay({ ...asked, isWanted: false })?.code, 'switched-off')
    assert.equal(whyOneWay({ ...asked, encrypted: false })?.code, 'not-encrypted')
    assert.equal(whyOneWay({ ...asked, features: NO_FEATURES })?.code, 'not-offered')
    assert.equal(whyOneWay({ ...asked, use: 'encrypt-only' })?.code, 'certificate-not-valid')
    assert.equal(whyOneWay({ ...asked, use: undefined })?.code, 'certificate-not-valid')
  })

  it('[XEP0288-2.2-b] lets a pair flow back that its own direction would let flow, by whichever proof it comes to', () => {
    const proofs = ['sasl-external', 'dialback'] as const
    const refusal = (policy?: Policy, verdict = valid) => reversalRefusal({ book: book(policy), peer, verdict, proofs })
    assert.equal(refusal(), undefined)
    assert.equal(refusal(undefined, MISSING_CERTIFICATE), 'certificate-not-valid')
    assert.equal(refusal({ certificate: () => 'encrypt-only' }), 'certificate-not-valid')
    assert.equal(refusal({ certificate: () => 'authenticate' }, { ...valid, valid: false, proof: 'none' }), 'certificate-not-valid')
    assert.equal(refusal({ minimumLevel: () => 'sasl-external' }), 'below-floor')
    assert.equal(refusal({ proofs: () => ['sasl-external'] }), 'policy')
    assert.equal(refusal({ tls: () => 'never' }), 'policy')
    assert.equal(reversalRefusal({ book: book(), peer, verdict: valid, proofs: [] }), 'policy')
  })

  it('[XEP0288-2.2-b] dials where a stream of its own might begin with a stronger proof', () => {
    const higher = (policy?: Policy, hasPassword = false, ours: Peer['ours'] = 'trusted') =>
      reachesHigherAlone('dialback', { book: book(policy), peer: { ...peer, ours } }, hasPassword)
    assert.equal(higher(), true)
    assert.equal(higher({ proofs: () => ['dialback'] }), false)
    assert.equal(higher({ proofs: () => ['dialback', 'sasl-external'] }), false, 'it would begin with dialback')
    assert.equal(higher({ proofs: () => ['sasl-external', 'dialback'] }, false, 'missing'), false, 'there is nothing to prove it with')
    assert.equal(higher({ proofs: () => ['sasl-plain', 'dialback'] }), false)
    assert.equal(higher({ proofs: () => ['sasl-plain', 'dialback'] }, true), true)
    assert.equal(reachesHigherAlone('sasl-external', { book: book(), peer }, true), false)
  })
})
