import assert from 'node:assert/strict'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Peer, Pin } from '../../lib/model/policy.ts'
import { allowOnly, block, pin } from '../../lib/policy/guards.ts'
import { policies } from '../../lib/policy/presets.ts'
import { predict } from '../../lib/policy/predict.ts'
import { askAdmit, askCertificate, askMinimumLevel, askTls, pinsFor } from '../../lib/rules/decide.ts'
import { applyPins } from '../../lib/rules/pins.ts'
import { EXPIRED, INCOMING, OUTGOING, SELF_SIGNED, VALID, VERIFICATION, book } from '../rules/peers.ts'

const about = (name: string | undefined, peer = OUTGOING): Peer => ({ ...peer, remote: name === undefined ? undefined : domain(name) })

describe('policy/guards', () => {
  const ladder = policies.ladder()

  describe('block and allowOnly', () => {
    const admits = (guard: ReturnType<typeof block>, name: string | undefined): readonly unknown[] =>
      [OUTGOING, INCOMING].map(peer => {
        const decision = askAdmit(book(ladder, guard), about(name, peer))
        return 'answer' in decision ? decision.answer : decision
      })
    it('refuse and admit in both directions', () => {
      const blocking = block(['evil.example', '*.evil.example'])
      assert.deepEqual(admits(blocking, 'evil.example'), ['refuse', 'refuse'])
      assert.deepEqual(admits(blocking, 'a.evil.example'), ['refuse', 'refuse'])
      assert.deepEqual(admits(blocking, 'good.example'), ['admit', 'admit'])
      const allowing = allowOnly(['good.example'])
      assert.deepEqual(admits(allowing, 'good.example'), ['admit', 'admit'])
      assert.deepEqual(admits(allowing, 'evil.example'), ['refuse', 'refuse'])
      assert.deepEqual(admits(allowOnly([]), 'good.example'), ['refuse', 'refuse'])
    })
    it('let a peer in that has not named itself, to do so', () => {
      assert.deepEqual(admits(block(['evil.example']), undefined), ['admit', 'admit'])
      assert.deepEqual(admits(allowOnly(['good.example']), undefined), ['admit', 'admit'])
      assert.deepEqual(admits(block(['*']), undefined), ['refuse', 'refuse'])
    })
    it('give their reason', () => {
      assert.deepEqual(askAdmit(book(ladder, block(['evil.example'])), about('evil.example')), {
        answer: 'refuse',
        by: 'block',
        because: 'the domain is blocked'
      })
      assert.deepEqual(askAdmit(book(ladder, allowOnly(['good.example'])), about('evil.example')), {
        answer: 'refuse',
        by: 'allow-only',
        because: 'the domain is not on the list'
      })
    })
    it('name a bad pattern at once', () => {
      assert.throws(() => block(['']), { code: 'S2S_CONFIG' })
      assert.throws(() => allowOnly(['*.']), { code: 'S2S_CONFIG' })
    })
  })

  describe('pin', () => {
    const pinned = book(ladder, pin(['shakespeare.example'], [{ leaf256: 'AA:'.repeat(31) + 'AA' }]))
    it('requires TLS, raises the floor out of the clear, and tells the judge', () => {
      for (const peer of [OUTGOING, INCOMING, VERIFICATION]) assert.equal(askTls(pinned, peer).answer, 'required')
      assert.equal(askMinimumLevel(pinned, OUTGOING).answer, 'tls-dialback')
      assert.deepEqual(pinsFor(pinned, OUTGOING), [{ leaf256: 'aa'.repeat(32) }])
      assert.equal(pinsFor(pinned, about('other.example')), undefined)
    })
    it('accepts the pinned certificate whoever issued it, and no other, even one that verifies', () => {
      const lax = book(policies.ladder({ invalidCertificate: 'encrypt-only' }), ...pinned.guards)
      const use = (verdict: typeof VALID): unknown => askCertificate(lax, OUTGOING, applyPins(verdict, pinsFor(lax, OUTGOING)))
      const rejected = { answer: 'reject', asked: 'encrypt-only', by: 'pin', because: 'no pin matches' }
      assert.deepEqual(use(SELF_SIGNED), { answer: 'authenticate', by: 'ladder', because: undefined })
      assert.deepEqual(use({ ...VALID, fingerprint256: 'dd'.repeat(32) }), rejected)
      assert.deepEqual(use(MISSING_CERTIFICATE), rejected)
    })
    it('rejects the pinned certificate out of date under a policy that would go on, and for a verification too', () => {
      const lax = book(policies.ladder({ invalidCertificate: 'encrypt-only' }), pin(['*'], [{ spki256: 'bb'.repeat(32) }]))
      assert.deepEqual(askCertificate(lax, OUTGOING, applyPins(EXPIRED, pinsFor(lax, OUTGOING))), {
        answer: 'reject',
        asked: 'encrypt-only',
        by: 'pin',
        because: 'the pinned certificate is out of date'
      })
      assert.equal(
        askCertificate(lax, VERIFICATION, applyPins({ ...VALID, spki256: 'ee'.repeat(32) }, pinsFor(lax, VERIFICATION))).answer,
        'reject'
      )
    })
    it('lets two sides that pin each other’s self-signed certificate end at EXTERNAL, and a third certificate nowhere', () => {
      const certificate = { ...SELF_SIGNED, fingerprint256: 'ab'.repeat(32) }
      const guards = [pin(['*'], [{ leaf256: 'ab'.repeat(32) }])]
      const side = { policy: ladder, guards, certificate }
      assert.equal(predict(side, side).level, 'sasl-external')
      assert.equal(predict(side, { ...side, certificate: { ...certificate, fingerprint256: 'cd'.repeat(32) } }).level, undefined)
      assert.equal(predict(side, { ...side, certificate: 'valid' }).level, undefined)
    })
    it('refuses what is no pin', () => {
      const bad: readonly unknown[] = [
        [],
        [{}],
        [{ leaf256: 'aa' }],
        [{ leaf256: 'zz'.repeat(32) }],
        [{ spki256: 7 }],
        [{ sha256: 'aa'.repeat(32) }],
        [{ leaf256: undefined }]
      ]
      for (const pins of bad) assert.throws(() => pin(['a.example'], pins as readonly Pin[]), { code: 'S2S_CONFIG' }, JSON.stringify(pins))
      assert.throws(() => pin(['a..example'], [{ leaf256: 'aa'.repeat(32) }]), { code: 'S2S_CONFIG' })
    })
  })
})
