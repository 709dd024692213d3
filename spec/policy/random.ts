import fc from 'fast-check'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { LEVELS } from '../../lib/model/level.ts'
import type { Admission, AfterFailure, Guard, Policy, TlsWish } from '../../lib/model/policy.ts'
import type { CertificateUse, Proof } from '../../lib/model/level.ts'
import { policies } from '../../lib/policy/presets.ts'

/** Policies that answer anything to anything, sometimes nothing, sometimes by throwing; and presets with any options. */

const TLS: readonly TlsWish[] = ['never', 'when-offered', 'required']
const USES: readonly CertificateUse[] = ['authenticate', 'encrypt-only', 'reject']
const AFTER: readonly AfterFailure[] = ['next-proof', 'reconnect-tls', 'next-endpoint', 'reconnect-plain', 'give-up']
const ADMISSIONS: readonly Admission[] = ['admit', 'admit', 'admit', 'refuse']
const PROOFS: readonly Proof[] = ['sasl-external', 'sasl-plain', 'dialback']
const STATES: readonly CertificateState[] = [
  'valid',
  'valid',
  'valid',
  'valid',
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

/** A fixed list of answers, given out in turn: the same policy asked twice may say two things. */
function answers<T>(values: readonly T[]): fc.Arbitrary<readonly (T | undefined)[]> {
  return fc.array(fc.option(fc.constantFrom(...values), { nil: undefined, freq: 6 }), { minLength: 1, maxLength: 5 })
}

function inTurn<T>(values: readonly (T | undefined)[]): () => T | undefined {
  let asked = 0
  return () => values[asked++ % values.length]
}

const erratic: fc.Arbitrary<Policy> = fc
  .record({
    admit: answers(ADMISSIONS),
    tls: answers(TLS),
    certificate: answers(USES),
    proofs: answers([
      PROOFS,
      ['dialback'],
      ['sasl-external'],
      [],
      ['sasl-external', 'dialback'],
      ['dialback', 'sasl-external', 'dialback']
    ] as readonly (readonly Proof[])[]),
    afterFailure: answers(AFTER),
    minimumLevel: answers(LEVELS),
    throws: fc.constantFrom<keyof Policy | undefined>(undefined, undefined, undefined, 'tls', 'certificate', 'proofs', 'afterFailure')
  })
  .map(given => {
    const policy: Policy = {
      name: 'erratic',
      admit: inTurn(given.admit),
      tls: inTurn(given.tls),
      certificate: inTurn(given.certificate),
      proofs: inTurn(given.proofs),
      afterFailure: inTurn(given.afterFailure),
      minimumLevel: inTurn(given.minimumLevel)
    }
    const { throws } = given
    if (throws === undefined) return policy
    return {
      ...policy,
      [throws]: () => {
        throw new Error('a policy with a fault')
      }
    }
  })

const preset: fc.Arbitrary<Policy> = fc
  .record({
    name: fc.constantFrom('ladder' as const, 'encrypted' as const, 'strict' as const),
    tls: fc.constantFrom(...TLS),
    invalidCertificate: fc.constantFrom('abort' as const, 'encrypt-only' as const, 'reconnect-plain' as const),
    acceptSelfSigned: fc.boolean(),
    external: fc.boolean(),
    dialback: fc.constantFrom('never' as const, 'over-tls' as const, 'always' as const, 'always' as const),
    verification: fc.constantFrom('when-offered' as const, 'required' as const),
    minimumLevel: fc.constantFrom(...LEVELS, 'plain-dialback' as const)
  })
  .map(({ name, ...options }) => policies[name](options))

/** What people run: without these nearly every random meeting would end before it began. */
const usual: fc.Arbitrary<Policy> = fc
  .record({
    tls: fc.constantFrom<TlsWish>('when-offered', 'when-offered', 'required', 'never'),
    invalidCertificate: fc.constantFrom('encrypt-only' as const, 'reconnect-plain' as const),
    acceptSelfSigned: fc.boolean(),
    external: fc.constantFrom(true, true, false)
  })
  .map(options => policies.ladder(options))

export const anyPolicy: fc.Arbitrary<Policy> = fc.oneof(
  { weight: 5, arbitrary: usual },
  { weight: 2, arbitrary: preset },
  { weight: 2, arbitrary: erratic }
)

const anyGuard: fc.Arbitrary<Guard> = fc
  .record({
    refuses: fc.constantFrom(false, false, false, false, true),
    tls: fc.boolean(),
    certificate: fc.constantFrom<'reject' | 'encrypt-only' | undefined>(undefined, undefined, undefined, 'reject', 'encrypt-only'),
    plain: fc.boolean(),
    minimumLevel: fc.option(fc.constantFrom(...LEVELS), { nil: undefined })
  })
  .map(({ refuses, tls, certificate, plain, minimumLevel }) => ({
    kind: 'guard',
    name: 'random',
    admit: () => (refuses ? 'refuse' : undefined),
    tls: () => (tls ? 'required' : undefined),
    certificate: () => certificate,
    plain: () => (plain ? 'refuse' : undefined),
    minimumLevel: () => minimumLevel
  }))

export const anyGuards: fc.Arbitrary<readonly Guard[]> = fc.oneof(
  { weight: 8, arbitrary: fc.constant([]) },
  { weight: 2, arbitrary: fc.array(anyGuard, { minLength: 1, maxLength: 2 }) }
)

export const anyState: fc.Arbitrary<CertificateState> = fc.constantFrom(...STATES)
