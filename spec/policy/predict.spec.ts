import assert from 'node:assert/strict'
import type { Policy } from '../../lib/model/policy.ts'
import type { Prediction } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { allowOnly, block } from '../../lib/policy/guards.ts'
import { layer } from '../../lib/policy/layer.ts'
import { predict } from '../../lib/policy/predict.ts'
import { policies } from '../../lib/policy/presets.ts'
import { SELF_SIGNED, VALID, guard } from '../rules/peers.ts'

function ends({ steps }: Prediction, step: string): readonly string[] {
  return steps.flatMap(entry => (entry.step === step ? [`${entry.outcome} ${entry.code}`] : []))
}

function verification({ steps }: Prediction): unknown {
  const entry = steps.find(each => each.step === 'dialback' && each.outcome === 'ok')
  return entry?.step === 'dialback' ? (entry.facts.withoutDialback ?? entry.facts.verifiedOver) : undefined
}

describe('policy/predict', () => {
  const ladder: Side = { policy: policies.ladder(), certificate: 'valid' }
  const noExternal: Side = { policy: policies.ladder({ external: false }), certificate: 'valid' }

  it('completes policies over the default preset, and takes verdicts as well as states', () => {
    const open: Side = { policy: { admit: () => 'admit' }, certificate: VALID }
    assert.equal(predict(open, open).level, 'sasl-external')
    assert.equal(predict(open, { ...open, certificate: SELF_SIGNED }).level, 'plain-dialback')
  })

  it('takes a certificate for servers alone for a valid one, in either role', () => {
    assert.equal(
      predict({ ...ladder, certificate: 'server-auth-only' }, { ...ladder, certificate: 'server-auth-only' }).level,
      'sasl-external'
    )
  })

  it('gives the domains of the two sides to policies and guards', () => {
    const romeo: Side = { ...ladder, domain: 'montague.example', guards: [allowOnly(['capulet.example'])] }
    assert.equal(predict(romeo, { ...ladder, domain: 'capulet.example' }).level, 'sasl-external')
    assert.equal(predict(romeo, ladder).level, undefined)
    assert.throws(() => predict({ ...ladder, domain: 'no domain' }, ladder), { code: 'S2S_ADDRESS' })
  })

  it('takes an admit that answers with a promise for admit, once noted for each side', () => {
    const slow: Policy = layer({ admit: () => Promise.reject(new Error('never read')) }, policies.ladder())
    const { level, notes } = predict({ ...ladder, policy: slow }, { ...ladder, policy: slow })
    assert.equal(level, 'sasl-external')
    assert.deepEqual(notes, [
      'initiator.example answers admit with a promise: taken as admit',
      'receiver.example answers admit with a promise: taken as admit'
    ])
    assert.deepEqual(predict(ladder, ladder).notes, [])
  })

  it('ends before a connection where the initiator does not admit, and with a stream error where the receiver does not', () => {
    const refused = predict({ ...ladder, guards: [block(['*'])] }, ladder)
    assert.deepEqual([refused.level, ends(refused, 'resolve'), ends(refused, 'connect')], [undefined, ['refused S2S_POLICY'], []])
    const turnedAway = predict(ladder, { ...ladder, guards: [block(['initiator.example'])] })
    assert.deepEqual([turnedAway.level, ends(turnedAway, 'open-stream')], [undefined, ['failed S2S_STREAM_ERROR_RECEIVED']])
  })

  it('[XEP0178-3-a] goes on to dialback on the same stream after EXTERNAL was refused', () => {
    const predicted = predict(ladder, { ...ladder, offers: { external: 'refused' } })
    assert.equal(predicted.level, 'tls-dialback')
    assert.deepEqual(
      [ends(predicted, 'connect'), ends(predicted, 'sasl-external'), ends(predicted, 'dialback')],
      [['ok ok'], ['refused S2S_SASL_REFUSED'], ['ok ok']]
    )
  })

  it('has the story begin anew after SASL, and not after dialback', () => {
    assert.equal(ends(predict(ladder, ladder), 'open-stream').length, 3)
    assert.equal(ends(predict(noExternal, ladder), 'open-stream').length, 2)
  })

  describe('verification', () => {
    it('is not needed where the certificate of the initiator authenticates it', () => {
      const encrypted: Side = { policy: policies.encrypted(), certificate: 'valid' }
      const predicted = predict({ ...encrypted, offers: { starttls: false } }, { ...encrypted, certificate: 'self-signed' })
      assert.deepEqual([predicted.level, verification(predicted)], ['tls-dialback', true])
    })
    it('goes over TLS where the listener of the initiator offers it, verified where its certificate is', () => {
      const trusting = layer({ certificate: ({ purpose }) => (purpose === 'stanzas' ? 'encrypt-only' : undefined) }, policies.ladder())
      assert.equal(verification(predict(noExternal, { policy: trusting, certificate: 'valid' })), 'verified-tls')
      const lax = policies.ladder({ invalidCertificate: 'encrypt-only' })
      assert.equal(verification(predict({ policy: lax, certificate: 'expired' }, { policy: lax, certificate: 'valid' })), 'tls')
      assert.equal(verification(predict({ policy: lax, certificate: 'missing' }, { policy: lax, certificate: 'valid' })), 'clear')
    })
    it('goes on in clear after a handshake that failed, unless TLS is required of it', () => {
      const failing: Side = { policy: policies.ladder(), certificate: 'missing', offers: { starttls: 'fails' } }
      assert.equal(
        predict({ ...failing, certificate: 'expired', policy: policies.ladder({ tls: 'never' }) }, ladder).level,
        'plain-dialback'
      )
      const demanding: Side = { policy: policies.ladder({ verification: 'required' }), certificate: 'valid' }
      const predicted = predict(failing, demanding)
      assert.deepEqual([predicted.level, ends(predicted, 'dialback')], [undefined, ['refused S2S_DIALBACK_ERROR']])
    })
    it('is answered in clear by a listener that requires TLS and has no certificate', () => {
      assert.equal(predict({ policy: policies.encrypted(), certificate: 'missing' }, ladder).level, 'tls-dialback')
    })
    it('is under the guards of the receiver, and under the admission of the initiator', () => {
      const expired: Side = { policy: policies.ladder({ invalidCertificate: 'encrypt-only' }), certificate: 'missing' }
      const noPlain = guard('no-plain', { plain: () => 'refuse' })
      assert.equal(predict(expired, ladder).level, 'tls-dialback')
      assert.equal(predict(expired, { ...ladder, guards: [noPlain] }).level, undefined)
      const deaf = guard('deaf', { admit: ({ direction }) => (direction === 'incoming' ? 'refuse' : undefined) })
      assert.equal(predict({ ...expired, guards: [deaf] }, ladder).level, undefined)
    })
  })

  it('[RFC7590-3.1-b] never goes on in clear where TLS was required and refused', () => {
    for (const offers of [{ starttls: false }, { starttls: 'fails' }] as const) {
      const predicted = predict({ policy: policies.ladder({ tls: 'required' }), certificate: 'valid' }, { ...ladder, offers })
      assert.equal(predicted.level, undefined)
      assert.deepEqual(ends(predicted, 'dialback'), [])
      assert.equal(ends(predicted, 'connect').length, 1)
    }
  })
})
