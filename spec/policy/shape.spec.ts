import assert from 'node:assert/strict'
import type { Policy } from '../../lib/model/policy.ts'
import { allowOnly, block, pin } from '../../lib/policy/guards.ts'
import { forDomains, layer } from '../../lib/policy/layer.ts'
import { predict } from '../../lib/policy/predict.ts'
import { policies } from '../../lib/policy/presets.ts'
import { ratchet } from '../../lib/policy/ratchet.ts'
import { replay } from '../../lib/policy/replay.ts'

const HASH = 'ab'.repeat(32)
const NOTHING = 'answers no question: it has to have at least one of admit, tls, certificate, proofs, afterFailure, minimumLevel'
const KNOWN = 'is not known; known are kind, name, options, admit, tls, certificate, proofs, afterFailure, minimumLevel'

const REPORT = { schema: 1, peer: {}, trace: [], pairs: [], downgrades: [], alternatives: [] }

/** What JavaScript lets through, whatever the types say. */
const given = (value: unknown): never => value as never

describe('policy/shape', () => {
  const patterns = ['b.example']
  const ladder = policies.ladder()
  const misspelt = given({ certificat: () => 'reject' })
  const wrong: readonly (readonly [run: () => unknown, sentence: string])[] = [
    [() => layer(), 'layer: policies is empty: there has to be at least one'],
    [() => layer(given(null)), 'layer: policies[0] has to be a policy, not null'],
    [() => layer(ladder, given(undefined)), 'layer: policies[1] has to be a policy, not nothing'],
    [() => layer(given([ladder])), 'layer: policies[0] has to be a policy, not a list'],
    [() => layer({}), `layer: policies[0] ${NOTHING}`],
    [() => layer({ name: 'silent' }, ladder), `layer: policies[0] ${NOTHING}`],
    [() => layer(misspelt, ladder), `layer: policies[0].certificat ${KNOWN}`],
    [() => layer({ ...ladder, tls: given('required') }), 'layer: policies[0].tls has to be a function, not "required"'],
    [() => layer({ ...ladder, options: given(5) }), 'layer: policies[0].options has to be an object, not a number'],
    [
      () => layer(given(block(patterns))),
      'layer: policies[0] has to be a policy, not the guard "block": guards have an option of their own'
    ],
    [() => forDomains(patterns, given(null)), 'forDomains: policy has to be a policy or a guard, not null'],
    [() => forDomains(patterns, given('strict')), 'forDomains: policy has to be a policy or a guard, not text'],
    [() => forDomains(patterns, {}), `forDomains: policy ${NOTHING}`],
    [() => forDomains(patterns, misspelt), `forDomains: policy.certificat ${KNOWN}`],
    [
      () => forDomains(patterns, given({ kind: 'guard', name: 'x', pin: () => [] })),
      'forDomains: guard.pin is not known; known are kind, name, pins, admit, tls, certificate, plain, minimumLevel, learn'
    ],
    [() => forDomains(given('b.example'), ladder), 'forDomains: patterns has to be a list of domain patterns, not "b.example"'],
    [() => forDomains(given(null), ladder), 'forDomains: patterns has to be a list of domain patterns, not null'],
    [() => block(['*.*']), 'block: patterns[0] is "*.*", which is no domain pattern: a domain, *.domain or *'],
    [() => allowOnly(['a.example', given(5)]), 'allowOnly: patterns[1] is 5, which is no domain pattern: a domain, *.domain or *'],
    [() => pin(['*.*'], [{ leaf256: HASH }]), 'pin: patterns[0] is "*.*", which is no domain pattern: a domain, *.domain or *'],
    [() => pin(patterns, given(null)), 'pin: pins has to be a list of pins, not null'],
    [() => pin(patterns, []), 'pin: pins is empty; to refuse a domain, block it'],
    [() => pin(patterns, [given(null)]), 'pin: pins[0] has to be { leaf256 } or { spki256 }, not null'],
    [() => pin(patterns, [{ leaf256: HASH }, {}]), 'pin: pins[1] has to have leaf256 or spki256'],
    [() => pin(patterns, [given({ sha256: HASH })]), 'pin: pins[0].sha256 is not known; known are leaf256, spki256'],
    [() => pin(patterns, [{ spki256: 'abc' }]), 'pin: pins[0].spki256 has to be a SHA-256 digest, 64 hexadecimal digits, not "abc"'],
    [() => ratchet(given(null)), 'ratchet: options has to be an object, not null'],
    [() => ratchet({ hold: given('tls') }), 'ratchet: options.hold has to be "encryption" or "level", not "tls"'],
    [() => ratchet({ memory: given(null) }), 'ratchet: options.memory has to be an object with get, set, not null'],
    [() => ratchet({ memory: given({ get: () => undefined }) }), 'ratchet: options.memory.set has to be a function, not nothing'],
    [() => predict(given(null), { policy: ladder, certificate: 'valid' }), 'predict: initiator has to be an object, not null'],
    [() => predict({ policy: ladder, certificate: 'valid' }, { policy: {}, certificate: 'valid' }), `predict: receiver.policy ${NOTHING}`],
    [
      () => predict({ policy: ladder, guards: given(block(patterns)), certificate: 'valid' }, { policy: ladder, certificate: 'valid' }),
      'predict: initiator.guards has to be a list of guards, not an object'
    ],
    [() => replay(given(REPORT), {}), `replay: policy ${NOTHING}`],
    [() => replay(given(REPORT), ladder, given(null)), 'replay: guards has to be a list of guards, not null']
  ]
  for (const preset of ['ladder', 'encrypted', 'strict', 'openfire36'] as const) {
    const make: (options: never) => Policy = policies[preset]
    for (const [options, kind] of [
      [null, 'null'],
      ['strict', 'text'],
      [[], 'a list']
    ] as const)
      it(`refuses ${kind} for the options of ${preset}`, () => {
        const detail = `${preset}: options has to be an object, not ${kind}`
        assert.throws(() => make(given(options)), { name: 'FederationError', code: 'S2S_CONFIG', detail })
      })
  }
  for (const [run, sentence] of wrong)
    it(`says: ${sentence}`, () => {
      assert.throws(run, { name: 'FederationError', code: 'S2S_CONFIG', detail: sentence })
    })

  it('takes instances, presets, copies of presets with a question overridden, and a guard that only learns', () => {
    class Wary {
      readonly seen = new Set<string>()
      tls(): 'required' {
        return 'required'
      }
    }
    class Deriving extends Wary {}
    for (const policy of [new Wary(), new Deriving(), ladder, { ...ladder, tls: () => 'never' as const }, layer(new Wary(), ladder)]) {
      assert.equal(layer(policy), policy)
      assert.equal(forDomains(patterns, policy).kind, 'policy')
    }
    assert.equal(forDomains(patterns, { kind: 'guard', name: 'ear', learn: () => undefined }).kind, 'guard')
    assert.equal(layer({ admit: given(undefined), tls: () => 'never' }, ladder).tls?.(given({})), 'never')
  })
})
