import assert from 'node:assert/strict'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { LadderOptions, Peer, Policy } from '../../lib/model/policy.ts'
import { complete } from '../../lib/policy/complete.ts'
import { layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import type { Openfire36Options } from '../../lib/policy/presets.ts'
import { askAfterFailure, askCertificate, askMinimumLevel, askProofs, askTls } from '../../lib/rules/decide.ts'
import { EXPIRED, INCOMING, OUTGOING, SELF_SIGNED, VALID, VERIFICATION, book, failure } from '../rules/peers.ts'

type Name = keyof typeof policies
const NAMES: readonly Name[] = ['ladder', 'openfire36', 'encrypted', 'strict']

describe('policy/presets', () => {
  const use = (policy: Policy, peer: Peer, verdict = VALID): string => askCertificate(book(policy), peer, verdict).answer

  it('have the options of the table', () => {
    const common = { external: true }
    assert.deepEqual(policies.ladder().options, {
      ...common,
      tls: 'when-offered',
      invalidCertificate: 'reconnect-plain',
      acceptSelfSigned: false,
      dialback: 'always',
      verification: 'when-offered',
      minimumLevel: 'plain-dialback'
    })
    assert.deepEqual(policies.encrypted().options, {
      ...common,
      tls: 'required',
      invalidCertificate: 'encrypt-only',
      acceptSelfSigned: true,
      dialback: 'over-tls',
      verification: 'required',
      minimumLevel: 'tls-dialback'
    })
    assert.deepEqual(policies.strict().options, {
      ...common,
      tls: 'required',
      invalidCertificate: 'abort',
      acceptSelfSigned: false,
      dialback: 'never',
      verification: 'required',
      minimumLevel: 'sasl-external'
    })
    assert.deepEqual(policies.openfire36().options, { tls: 'when-offered', dialback: 'always', acceptSelfSigned: false })
  })

  describe('options', () => {
    for (const name of NAMES) {
      it(`of ${name}: an unknown one is named`, () => {
        const make: (options: LadderOptions) => Policy = policies[name]
        assert.throws(() => make({ acceptSelfsigned: true } as LadderOptions), {
          code: 'S2S_CONFIG',
          message: new RegExp(`${name} has no option "acceptSelfsigned"`)
        })
        assert.throws(() => make({ tls: 'sometimes' } as unknown as LadderOptions), {
          code: 'S2S_CONFIG',
          message: new RegExp(`${name}: tls must be one of never, when-offered, required, not "sometimes"`)
        })
        assert.throws(() => make({ acceptSelfSigned: 'yes' } as unknown as LadderOptions), {
          code: 'S2S_CONFIG',
          message: /acceptSelfSigned must be one of true, false, not "yes"/
        })
        assert.equal(make({}).name, name)
      })
    }
    it('of openfire36: what the document leaves no choice about is unknown', () => {
      for (const options of [
        { external: false },
        { invalidCertificate: 'abort' },
        { verification: 'required' },
        { minimumLevel: 'tls-dialback' }
      ]) {
        assert.throws(() => policies.openfire36(options as Openfire36Options), {
          code: 'S2S_CONFIG',
          message: new RegExp(Object.keys(options)[0] ?? '')
        })
      }
    })
    it('an option that is undefined is not given', () => {
      assert.equal(policies.ladder({ tls: undefined } as unknown as LadderOptions).options?.tls, 'when-offered')
    })
  })

  describe('TLS', () => {
    it('is as the option says for stanzas, and as verification says for a verification', () => {
      for (const tls of ['never', 'when-offered', 'required'] as const) {
        for (const verification of ['when-offered', 'required'] as const) {
          const policy = book(policies.ladder({ tls, verification }))
          assert.deepEqual(
            [OUTGOING, INCOMING, VERIFICATION].map(peer => askTls(policy, peer).answer),
            [tls, tls, verification]
          )
        }
      }
    })
    it('is required of an openfire36 receiver without dialback, and of nobody else by it', () => {
      const policy = book(policies.openfire36({ dialback: 'never' }))
      assert.deepEqual(
        [OUTGOING, INCOMING, VERIFICATION].map(peer => askTls(policy, peer).answer),
        ['when-offered', 'required', 'when-offered']
      )
    })
  })

  describe('certificates', () => {
    const rows: readonly [policy: Policy, selfSigned: string, expired: string, missingClient: string, missingServer: string][] = [
      [policies.ladder(), 'reject', 'reject', 'encrypt-only', 'reject'],
      [policies.ladder({ acceptSelfSigned: true }), 'encrypt-only', 'reject', 'encrypt-only', 'reject'],
      [policies.ladder({ invalidCertificate: 'encrypt-only' }), 'encrypt-only', 'encrypt-only', 'encrypt-only', 'encrypt-only'],
      [policies.ladder({ invalidCertificate: 'abort' }), 'reject', 'reject', 'encrypt-only', 'reject'],
      [policies.encrypted(), 'encrypt-only', 'encrypt-only', 'encrypt-only', 'encrypt-only'],
      [policies.strict(), 'reject', 'reject', 'encrypt-only', 'reject'],
      [policies.openfire36(), 'reject', 'reject', 'reject', 'reject'],
      [policies.openfire36({ acceptSelfSigned: true }), 'encrypt-only', 'reject', 'encrypt-only', 'reject']
    ]
    for (const [policy, selfSigned, expired, missingClient, missingServer] of rows) {
      it(`${policy.name ?? ''} ${JSON.stringify(policy.options)}`, () => {
        for (const peer of [OUTGOING, INCOMING]) {
          assert.equal(use(policy, peer), 'authenticate')
          assert.equal(use(policy, peer, SELF_SIGNED), selfSigned)
          assert.equal(use(policy, peer, EXPIRED), expired)
        }
        assert.equal(use(policy, INCOMING, MISSING_CERTIFICATE), missingClient)
        assert.equal(use(policy, OUTGOING, MISSING_CERTIFICATE), missingServer)
        for (const verdict of [SELF_SIGNED, EXPIRED, MISSING_CERTIFICATE]) assert.equal(use(policy, VERIFICATION, verdict), 'encrypt-only')
        assert.equal(use(policy, VERIFICATION), 'authenticate')
      })
    }
    it('take self-signed for nothing else: an expired one is expired', () => {
      const both = { ...SELF_SIGNED, problems: [...SELF_SIGNED.problems, ...EXPIRED.problems] }
      assert.equal(use(policies.ladder({ acceptSelfSigned: true }), OUTGOING, both), 'reject')
    })
  })

  describe('proofs', () => {
    const proofs = (policy: Policy, peer: Peer, encrypted: boolean, of?: 'authenticate' | 'encrypt-only'): readonly string[] =>
      askProofs(book(policy), peer, encrypted, of).answer
    it('are EXTERNAL, then PLAIN, then dialback, as far as TLS, certificate, options and floor let them', () => {
      assert.deepEqual(proofs(policies.ladder(), OUTGOING, true, 'authenticate'), ['sasl-external', 'sasl-plain', 'dialback'])
      assert.deepEqual(proofs(policies.ladder(), OUTGOING, true, 'encrypt-only'), ['dialback'])
      assert.deepEqual(proofs(policies.ladder(), OUTGOING, false), ['dialback'])
      assert.deepEqual(proofs(policies.ladder({ external: false }), OUTGOING, true, 'authenticate'), ['sasl-plain', 'dialback'])
      assert.deepEqual(proofs(policies.ladder({ dialback: 'over-tls' }), INCOMING, false), [])
      assert.deepEqual(proofs(policies.ladder({ dialback: 'never' }), INCOMING, true, 'encrypt-only'), [])
      assert.deepEqual(proofs(policies.encrypted(), INCOMING, true, 'encrypt-only'), ['dialback'])
      assert.deepEqual(proofs(policies.strict(), OUTGOING, true, 'authenticate'), ['sasl-external'])
    })
    it('of openfire36 depend on our own certificate', () => {
      const accepting = policies.openfire36({ acceptSelfSigned: true })
      const ours = (peer: Peer, state: Peer['ours']): Peer => ({ ...peer, ours: state })
      for (const state of ['self-signed', 'missing'] as const) {
        assert.deepEqual(proofs(accepting, ours(OUTGOING, state), true, 'authenticate'), ['sasl-plain', 'dialback'])
      }
      assert.deepEqual(proofs(accepting, ours(OUTGOING, 'invalid'), true, 'authenticate'), ['sasl-external', 'sasl-plain', 'dialback'])
      for (const state of ['trusted', 'invalid'] as const)
        assert.deepEqual(proofs(accepting, ours(INCOMING, state), true, 'authenticate'), ['sasl-external', 'sasl-plain'])
      assert.deepEqual(proofs(accepting, ours(INCOMING, 'self-signed'), true, 'authenticate'), ['sasl-external', 'sasl-plain', 'dialback'])
      assert.deepEqual(proofs(policies.openfire36(), ours(INCOMING, 'self-signed'), true, 'authenticate'), ['sasl-external', 'sasl-plain'])
      assert.deepEqual(
        proofs(policies.openfire36({ acceptSelfSigned: true, dialback: 'never' }), ours(INCOMING, 'self-signed'), true, 'authenticate'),
        ['sasl-external', 'sasl-plain']
      )
    })
  })

  describe('after a failure', () => {
    const after = (policy: Policy, failed: ReturnType<typeof failure>, peer = OUTGOING): string =>
      askAfterFailure(book(policy), peer, failed).answer
    const more = { endpointsLeft: 1 }
    it('go on to the next proof on a stream that lives', () => {
      for (const name of NAMES) {
        assert.equal(
          after(policies[name](), failure('sasl-external', 'S2S_SASL_REFUSED', { encrypted: true, streamLives: true })),
          'next-proof'
        )
        assert.equal(after(policies[name](), failure('dialback', 'S2S_DIALBACK_ERROR', { streamLives: true })), 'next-proof')
      }
    })
    it('connect anew without EXTERNAL after a close that followed <auth/>', () => {
      for (const name of NAMES)
        assert.equal(after(policies[name](), failure('sasl-external', 'S2S_STREAM_CLOSED', { encrypted: true, ...more })), 'reconnect-tls')
    })
    it('come back in clear after TLS failed, and after a certificate only where the preset says so', () => {
      const handshake = failure('negotiate-tls', 'S2S_TLS_HANDSHAKE', more)
      const theirs = failure('check-certificate', 'S2S_CERTIFICATE', { encrypted: true, ...more })
      const ours = failure('open-stream', 'S2S_CERTIFICATE_REFUSED', { encrypted: true, ...more })
      const answers = (policy: Policy): readonly string[] => [handshake, theirs, ours].map(each => after(policy, each))
      assert.deepEqual(answers(policies.ladder()), ['reconnect-plain', 'reconnect-plain', 'reconnect-plain'])
      assert.deepEqual(answers(policies.openfire36()), ['reconnect-plain', 'reconnect-plain', 'reconnect-plain'])
      for (const invalidCertificate of ['abort', 'encrypt-only'] as const) {
        assert.deepEqual(answers(policies.ladder({ invalidCertificate })), ['reconnect-plain', 'next-endpoint', 'next-endpoint'])
      }
      for (const policy of [
        policies.encrypted(),
        policies.strict(),
        policies.ladder({ tls: 'required' }),
        policies.ladder({ dialback: 'over-tls' })
      ]) {
        assert.deepEqual(answers(policy), ['next-endpoint', 'next-endpoint', 'next-endpoint'])
      }
    })
    it('let a verification go on in clear under when-offered alone', () => {
      const handshake = failure('negotiate-tls', 'S2S_TLS_HANDSHAKE', more)
      const ours = failure('open-stream', 'S2S_CERTIFICATE_REFUSED', { encrypted: true, ...more })
      for (const policy of [
        policies.ladder({ invalidCertificate: 'abort' }),
        policies.openfire36({ tls: 'required' }),
        policies.strict({ verification: 'when-offered' })
      ]) {
        assert.deepEqual(
          [handshake, ours].map(each => after(policy, each, VERIFICATION)),
          ['reconnect-plain', 'reconnect-plain']
        )
      }
      for (const policy of [policies.encrypted(), policies.ladder({ verification: 'required' })]) {
        assert.deepEqual(
          [handshake, ours].map(each => after(policy, each, VERIFICATION)),
          ['next-endpoint', 'next-endpoint']
        )
      }
    })
    it('take the next endpoint after anything else, and give up when none is left', () => {
      for (const name of NAMES) {
        for (const failed of [
          failure('connect', 'S2S_CONNECT_FAILED', more),
          failure('dialback', 'S2S_DIALBACK_INVALID', more),
          failure('establish', 'S2S_NO_PROOF_LEFT', more)
        ]) {
          assert.equal(after(policies[name](), failed), 'next-endpoint')
          assert.equal(after(policies[name](), { ...failed, endpointsLeft: 0 }), 'give-up')
        }
      }
    })
  })

  it('have the floor of their options', () => {
    assert.deepEqual(
      NAMES.map(name => askMinimumLevel(book(policies[name]()), INCOMING).answer),
      ['plain-dialback', 'plain-dialback', 'tls-dialback', 'sasl-external']
    )
    assert.equal(askMinimumLevel(book(policies.ladder({ minimumLevel: 'sasl-plain' })), OUTGOING).answer, 'sasl-plain')
  })

  describe('completing', () => {
    it('answers with the default preset what a policy leaves open, and leaves a complete one alone', () => {
      assert.equal(complete(undefined).name, 'ladder')
      for (const name of NAMES) {
        const preset = policies[name]()
        assert.equal(complete(preset), preset)
        const layered = layer({ name: 'own', admit: () => 'admit' }, preset)
        assert.equal(complete(layered), layered)
      }
      const own: Policy = { name: 'own', tls: () => 'never' }
      const completed = complete(own)
      assert.equal(completed.name, 'own over ladder')
      assert.deepEqual([askTls(book(completed), OUTGOING).by, askMinimumLevel(book(completed), OUTGOING).by], ['own', 'ladder'])
    })
  })
})
