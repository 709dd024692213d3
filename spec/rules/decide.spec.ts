import assert from 'node:assert/strict'
import type { AfterFailure, Guard, Policy } from '../../lib/model/policy.ts'
import { policies } from '../../lib/policy/presets.ts'
import { layer } from '../../lib/policy/layer.ts'
import {
  askAdmit,
  askAfterFailure,
  askCertificate,
  askMinimumLevel,
  askProofs,
  askRejection,
  askTls,
  pinsFor
} from '../../lib/rules/decide.ts'
import { EXPIRED, INCOMING, OUTGOING, SELF_SIGNED, VALID, VERIFICATION, book, failure, guard } from './peers.ts'

/** Rubbish that a policy written without types may answer. */
const RUBBISH: readonly unknown[] = [
  'perhaps',
  '',
  null,
  0,
  true,
  {},
  [],
  { answer: 'sure' },
  { because: 'x' },
  'toString',
  '__proto__',
  NaN
]

function answering(answers: Readonly<Record<string, (...args: never[]) => unknown>>): Policy {
  // The types forbid what this is here to try.
  return { name: 'rubbish', ...answers }
}

describe('rules/decide', () => {
  const ladder = policies.ladder()

  describe('policies that fail', () => {
    const throwing = (): never => {
      throw new Error('no \u001b[31midea')
    }
    const later = (): Promise<string> => Promise.reject(new Error('too late'))
    const strictest: readonly [question: keyof Policy, ask: (policy: Policy) => unknown, answer: unknown][] = [
      ['tls', policy => askTls(book(policy), OUTGOING), 'required'],
      ['certificate', policy => askCertificate(book(policy), OUTGOING, VALID), 'reject'],
      ['proofs', policy => askProofs(book(policy), OUTGOING, true, 'authenticate'), []],
      ['afterFailure', policy => askAfterFailure(book(policy), OUTGOING, failure('connect', 'S2S_CONNECT_FAILED')), 'give-up'],
      ['minimumLevel', policy => askMinimumLevel(book(policy), OUTGOING), 'sasl-external'],
      ['admit', policy => askAdmit(book(policy), OUTGOING), 'refuse']
    ]
    for (const [question, ask, answer] of strictest) {
      it(`takes a ${question} that throws for the strictest answer, and says so`, async () => {
        const decision = await Promise.resolve(ask(layer(answering({ [question]: throwing }), ladder)))
        assert.deepEqual(decision, { answer, by: 'rubbish', because: 'it failed: no \\u{1b}[31midea' })
      })
      it(`takes a ${question} that answers rubbish for the strictest answer`, async () => {
        const wrong =
          question === 'proofs' ? [...RUBBISH.filter(each => !Array.isArray(each)), ['dialback', 'faith'], [undefined]] : RUBBISH
        for (const value of wrong) {
          const decision = await Promise.resolve(ask(layer(answering({ [question]: () => value }), ladder)))
          assert.deepEqual(decision, { answer, by: 'rubbish', because: 'its answer is not one of the known words' }, String(value))
        }
      })
      if (question === 'admit') continue
      it(`takes a ${question} that answers with a promise for the strictest answer, and handles its rejection`, async () => {
        let handled = false
        const promise = Object.assign(later(), {
          catch(onRejected: (reason: unknown) => unknown) {
            handled = true
            return Promise.prototype.catch.call(this, onRejected)
          }
        })
        const decision = ask(layer(answering({ [question]: () => promise }), ladder))
        assert.deepEqual(decision, { answer, by: 'rubbish', because: 'it answered with a promise, which only admit may' })
        await new Promise(resolve => setImmediate(resolve))
        assert.ok(handled)
      })
      it(`takes a ${question} that nobody answers for the strictest answer`, async () => {
        assert.deepEqual(await Promise.resolve(ask({})), { answer, by: 'clamp', because: 'no policy answered' })
      })
    }

    it('does not ask the layer below one that failed', () => {
      const decision = askTls(book(layer(answering({ tls: throwing }), { tls: () => 'never' })), OUTGOING)
      assert.equal(decision.answer, 'required')
    })

    it('asks an overridden copy of a preset itself', () => {
      const copy: Policy = { ...layer({ tls: () => 'required' }, ladder), tls: () => 'never' }
      assert.equal(askTls(book(copy), OUTGOING).answer, 'never')
    })
  })

  describe('reasons', () => {
    it('carries the reason and the name of the layer that answered', () => {
      const first: Policy = { name: 'partners', tls: () => ({ answer: 'required', because: 'they\u0007 asked for it' }) }
      const decision = askTls(book(layer({ name: 'silent', tls: () => undefined }, first, ladder)), OUTGOING)
      assert.deepEqual(decision, { answer: 'required', by: 'partners', because: 'they\\u{7} asked for it' })
    })
    it('names a policy without a name policy', () => {
      assert.equal(askTls(book({ tls: () => 'never' }), OUTGOING).by, 'policy')
    })
  })

  describe('guards', () => {
    it('lets the strictest answer win over the policy, whatever the order', () => {
      const first = guard('first', { certificate: () => 'encrypt-only', minimumLevel: () => 'tls-dialback' })
      const second = guard('second', {
        certificate: () => ({ answer: 'reject', because: 'not them' }),
        minimumLevel: () => 'sasl-external'
      })
      for (const guards of [
        [first, second],
        [second, first]
      ]) {
        assert.deepEqual(askCertificate(book(ladder, ...guards), OUTGOING, VALID), {
          answer: 'reject',
          asked: 'authenticate',
          by: 'second',
          because: 'not them'
        })
        assert.equal(askMinimumLevel(book(ladder, ...guards), OUTGOING).answer, 'sasl-external')
      }
    })
    it('cannot loosen', () => {
      // A guard written without types may say what guards cannot.
      const loose = guard('loose', {
        admit: () => 'admit',
        tls: () => 'never',
        certificate: () => 'authenticate',
        minimumLevel: () => 'plain-dialback'
      } as unknown as Partial<Guard>)
      const strict = book(policies.strict(), loose)
      assert.equal(askTls(strict, OUTGOING).answer, 'required')
      assert.equal(askCertificate(strict, OUTGOING, EXPIRED).answer, 'reject')
      assert.equal(askMinimumLevel(strict, OUTGOING).answer, 'sasl-external')
      const refusing = layer({ admit: () => 'refuse' }, ladder)
      assert.deepEqual(askAdmit(book(refusing, loose), OUTGOING), { answer: 'refuse', by: 'policy', because: undefined })
    })
    it('makes one that refuses every unencrypted rung require TLS and raise the floor', () => {
      const noPlain = book(ladder, guard('no-plain', { plain: () => 'refuse' }))
      assert.deepEqual(askTls(noPlain, OUTGOING), { answer: 'required', asked: 'when-offered', by: 'no-plain', because: undefined })
      assert.deepEqual(askMinimumLevel(noPlain, INCOMING), {
        answer: 'tls-dialback',
        asked: 'plain-dialback',
        by: 'no-plain',
        because: undefined
      })
      assert.deepEqual(askProofs(noPlain, INCOMING, false, undefined).answer, [])
    })
    it('takes one that fails for its strictest word', async () => {
      const failing = (): never => {
        throw new Error('broken')
      }
      const broken = book(
        ladder,
        guard('broken', { admit: failing, tls: failing, certificate: failing, plain: failing, minimumLevel: failing, pins: failing })
      )
      assert.equal((await Promise.resolve(askAdmit(broken, OUTGOING))).answer, 'refuse')
      assert.equal(askTls(broken, OUTGOING).answer, 'required')
      assert.equal(askCertificate(broken, OUTGOING, VALID).answer, 'reject')
      assert.equal(askMinimumLevel(broken, OUTGOING).answer, 'sasl-external')
      assert.deepEqual(pinsFor(broken, OUTGOING), [])
    })
    it('rejects what none of a guard’s own pins matches, however many guards pin', () => {
      const leaf = guard('leaf', { pins: () => [{ leaf256: 'aa'.repeat(32) }] })
      const other = guard('other', { pins: () => [{ leaf256: 'cc'.repeat(32) }] })
      assert.equal(askCertificate(book(ladder, leaf), OUTGOING, VALID).answer, 'authenticate')
      assert.deepEqual(askCertificate(book(ladder, leaf, other), OUTGOING, VALID), {
        answer: 'reject',
        asked: 'authenticate',
        by: 'other',
        because: 'no pin matches'
      })
      assert.equal(pinsFor(book(ladder, leaf, other), OUTGOING)?.length, 2)
      assert.equal(pinsFor(book(ladder, guard('none', { pins: () => undefined })), OUTGOING), undefined)
    })
    it('takes pins that are no pins for pins that match nothing', () => {
      const odd = guard('odd', { pins: () => ['aa', { leaf256: 7 }] as unknown as [] })
      assert.deepEqual(pinsFor(book(ladder, odd), OUTGOING), [])
      assert.equal(askCertificate(book(ladder, odd), OUTGOING, VALID).answer, 'reject')
    })
  })

  describe('admit', () => {
    it('waits for everyone who takes time, and lets one refusal count', async () => {
      const slow = (answer: 'admit' | 'refuse'): Policy => ({ name: answer, admit: () => Promise.resolve(answer) })
      assert.deepEqual(await askAdmit(book(slow('admit')), OUTGOING), { answer: 'admit', by: 'admit', because: undefined })
      assert.equal((await askAdmit(book(slow('refuse')), OUTGOING)).answer, 'refuse')
      const late = guard('late', { admit: () => Promise.resolve({ answer: 'refuse', because: 'on the list' }) })
      assert.deepEqual(await askAdmit(book(ladder, late), OUTGOING), {
        answer: 'refuse',
        asked: 'admit',
        by: 'late',
        because: 'on the list'
      })
    })
    it('goes on to the next layer when one that took its time has no answer', async () => {
      const silent: Policy = { admit: () => Promise.resolve(undefined) }
      assert.equal((await askAdmit(book(layer(silent, { name: 'last', admit: () => 'refuse' })), OUTGOING)).by, 'last')
    })
    it('takes a rejection for a refusal', async () => {
      const failing: Policy = { name: 'database', admit: () => Promise.reject(new Error('is down')) }
      assert.deepEqual(await askAdmit(book(failing), OUTGOING), { answer: 'refuse', by: 'database', because: 'it failed: is down' })
    })
    it('does not ask the policy about whom a guard refuses at once', () => {
      let asked = 0
      const policy: Policy = {
        admit() {
          asked += 1
          return 'admit'
        }
      }
      const decision = askAdmit(book(policy, guard('block', { admit: () => 'refuse' })), OUTGOING)
      assert.deepEqual(decision, { answer: 'refuse', by: 'block', because: undefined })
      assert.equal(asked, 0)
    })
  })

  describe('clamps', () => {
    const trusting: Policy = layer({ certificate: () => 'authenticate', proofs: () => ['sasl-external', 'sasl-plain', 'dialback'] }, ladder)

    it('makes authenticate count only for a certificate that is valid', () => {
      for (const verdict of [SELF_SIGNED, EXPIRED]) {
        assert.deepEqual(askCertificate(book(trusting), OUTGOING, verdict), {
          answer: 'encrypt-only',
          asked: 'authenticate',
          by: 'clamp',
          because: 'a certificate with problems proves no identity'
        })
      }
      assert.equal(askCertificate(book(trusting), OUTGOING, VALID).answer, 'authenticate')
    })
    it('[RFC6120-5.3.4-a] allows SASL over TLS only, and with a certificate that authenticates', () => {
      assert.deepEqual(askProofs(book(trusting), OUTGOING, false, undefined).answer, ['dialback'])
      assert.deepEqual(askProofs(book(trusting), OUTGOING, true, 'encrypt-only').answer, ['dialback'])
      assert.deepEqual(askProofs(book(trusting), OUTGOING, true, 'authenticate').answer, ['sasl-external', 'sasl-plain', 'dialback'])
      assert.deepEqual(askProofs(book(trusting), OUTGOING, true, 'reject').answer, [])
    })
    it('allows no proof below the floor, and none in clear where TLS is required', () => {
      const floors: Policy = layer({ minimumLevel: () => 'sasl-plain' }, trusting)
      assert.deepEqual(askProofs(book(floors), INCOMING, true, 'authenticate'), {
        answer: ['sasl-external', 'sasl-plain'],
        asked: ['sasl-external', 'sasl-plain', 'dialback'],
        by: 'clamp',
        because: 'tls-dialback is below the minimum level sasl-plain'
      })
      assert.deepEqual(askProofs(book(layer({ tls: () => 'required' }, trusting)), INCOMING, false, undefined).answer, [])
    })

    const plain: Policy = layer({ name: 'plain', afterFailure: () => 'reconnect-plain' }, ladder)
    const answerTo = (policy: Policy, failed: Parameters<typeof failure>, ...guards: readonly Guard[]): AfterFailure =>
      askAfterFailure(book(policy, ...guards), OUTGOING, failure(...failed)).answer
    it('lets reconnect-plain count after a failure of TLS or of a certificate, and after nothing else', () => {
      for (const code of ['S2S_TLS_NOT_OFFERED', 'S2S_TLS_REFUSED', 'S2S_TLS_HANDSHAKE', 'S2S_TIMEOUT', 'S2S_STREAM_CLOSED'] as const) {
        assert.equal(answerTo(plain, ['negotiate-tls', code]), 'reconnect-plain', code)
      }
      assert.equal(answerTo(plain, ['check-certificate', 'S2S_CERTIFICATE', { encrypted: true }]), 'reconnect-plain')
      assert.equal(answerTo(plain, ['open-stream', 'S2S_CERTIFICATE_REFUSED', { encrypted: true }]), 'reconnect-plain')
      assert.equal(answerTo(plain, ['connect', 'S2S_CONNECT_FAILED']), 'give-up')
      assert.equal(answerTo(plain, ['open-stream', 'S2S_STREAM_CLOSED', { encrypted: true, endpointsLeft: 1 }]), 'next-endpoint')
      assert.equal(answerTo(plain, ['sasl-external', 'S2S_SASL_REFUSED', { encrypted: true }]), 'give-up')
      assert.equal(answerTo(plain, ['dialback', 'S2S_DIALBACK_INVALID']), 'give-up')
      assert.equal(answerTo(plain, ['negotiate-tls', 'S2S_TLS_INJECTION']), 'give-up')
      assert.equal(answerTo(plain, ['negotiate-tls', 'S2S_POLICY']), 'give-up')
    })
    it('[RFC7590-3.1-b] lets reconnect-plain count only if neither side requires TLS, down to the lowest floor, with no guard against it', () => {
      const handshake = ['negotiate-tls', 'S2S_TLS_HANDSHAKE'] as const
      assert.equal(answerTo(plain, [...handshake, { tlsRequiredByPeer: true }]), 'give-up')
      assert.equal(answerTo(layer({ tls: () => 'required' }, plain), [...handshake]), 'give-up')
      assert.equal(answerTo(layer({ minimumLevel: () => 'tls-dialback' }, plain), [...handshake]), 'give-up')
      assert.equal(answerTo(plain, [...handshake], guard('g', { plain: () => 'refuse' })), 'give-up')
      assert.equal(answerTo(plain, [...handshake], guard('g', { tls: () => 'required' })), 'give-up')
      assert.equal(answerTo(plain, [...handshake], guard('g', { minimumLevel: () => 'sasl-external' })), 'give-up')
      assert.equal(answerTo(plain, [...handshake, { endpointsLeft: 2, tlsRequiredByPeer: true }]), 'next-endpoint')
    })
    it('says what the policy had said, and why it does not count', () => {
      const failed = failure('negotiate-tls', 'S2S_TLS_HANDSHAKE', { tlsRequiredByPeer: true })
      assert.deepEqual(askAfterFailure(book(plain), OUTGOING, failed), {
        answer: 'give-up',
        asked: 'reconnect-plain',
        by: 'clamp',
        because: 'the peer requires TLS'
      })
    })
    it('asks for no floor where no pair is accepted, and still keeps a verification out of the clear where a guard says so', () => {
      assert.equal(askMinimumLevel(book(policies.strict()), VERIFICATION).answer, 'plain-dialback')
      assert.equal(askTls(book(ladder, guard('g', { plain: () => 'refuse' })), VERIFICATION).answer, 'required')
    })
  })

  describe('how a receiver ends a stream whose certificate it rejects', () => {
    it('ends TLS where the policy would let the peer come back in clear, and says not-authorized otherwise', () => {
      assert.equal(askRejection(book(ladder), INCOMING).answer, 'end-tls')
      assert.equal(askRejection(book(policies.openfire36()), INCOMING).answer, 'end-tls')
      assert.equal(askRejection(book(policies.ladder({ invalidCertificate: 'abort' })), INCOMING).answer, 'not-authorized')
      assert.equal(askRejection(book(policies.strict()), INCOMING).answer, 'not-authorized')
      assert.equal(askRejection(book(policies.ladder({ tls: 'required' })), INCOMING).answer, 'not-authorized')
      assert.equal(askRejection(book(ladder, guard('g', { plain: () => 'refuse' })), INCOMING).answer, 'not-authorized')
    })
  })
})
