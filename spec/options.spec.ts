import assert from 'node:assert/strict'
import { FederationError } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import { block } from '../lib/policy/guards.ts'
import { policies } from '../lib/policy/presets.ts'

type Options = Parameters<typeof createFederation>[0]
const base = { domains: { 'a.example': undefined }, onStanza: () => undefined }

describe('an option that would not do what it says is refused, and named', () => {
  const wrong: readonly (readonly [key: string, options: object])[] = [
    ['options.domains', { ...base, domains: {} }],
    ['options.domains', { ...base, domains: null }],
    ['options.domains["a.example"]', { ...base, domains: { 'a.example': 'PEM' } }],
    ['options.domains["a.example"]', { ...base, domains: { 'a.example': null } }],
    ['options.domains["a.example"].cert', { ...base, domains: { 'a.example': { key: 'x' } } }],
    ['options.domains["a.example"].certificate', { ...base, domains: { 'a.example': { key: 'x', cert: 'x', certificate: 'x' } } }],
    ['options.domains.domains', { ...base, domains: { credentialsFor: () => undefined } }],
    ['options.defaultDomain', { ...base, defaultDomain: 1 }],
    ['options.onStanza', { ...base, onStanza: 'x' }],
    ['options.policy', { ...base, policy: 'strict' }],
    ['options.policy', { ...base, policy: null }],
    ['options.policy', { ...base, policy: block(['b.example']) }],
    ['options.policy.certificat', { ...base, policy: { certificat: () => 'reject' } }],
    ['options.policy.tls', { ...base, policy: { tls: 'required' } }],
    ['options.guards', { ...base, guards: block(['b.example']) }],
    ['options.guards[0]', { ...base, guards: [policies.strict()] }],
    ['options.guards[0].pin', { ...base, guards: [{ kind: 'guard', name: 'x', pin: () => [] }] }],
    ['options.guards[0]', { ...base, guards: [null] }],
    ['options.allowPrivateAddresses', { ...base, allowPrivateAddresses: 'no' }],
    ['options.trust', { ...base, trust: 'system' }],
    ['options.trust.defualt', { ...base, trust: { defualt: [] } }],
    ['options.trust.default', { ...base, trust: { default: 'bundle' } }],
    ['options.trust.also', { ...base, trust: { also: 'PEM' } }],
    ['options.trust.forDomains[0].onyl', { ...base, trust: { forDomains: [{ patterns: ['b.example'], ca: [], onyl: true }] } }],
    ['options.trust.forDomains[0].only', { ...base, trust: { forDomains: [{ patterns: ['b.example'], ca: [], only: 'yes' }] } }],
    ['options.trust.forDomains', { ...base, trust: { forDomains: {} } }],
    ['options.resolver.srv', { ...base, resolver: {} }],
    ['options.transport.connect', { ...base, transport: {} }],
    ['options.tls.createContext', { ...base, tls: {} }],
    ['options.clock.now', { ...base, clock: {} }],
    ['options.metrics.count', { ...base, metrics: {} }],
    ['options.logger.debug', { ...base, logger: {} }],
    ['options.random', { ...base, random: 5 }],
    ['options.timeouts', { ...base, timeouts: null }],
    ['options.limits.depth', { ...base, limits: { depth: 2 ** 40 } }],
    ['options.limits.attributes', { ...base, limits: { attributes: 2 ** 31 } }],
    ['options.limits.queuedBytes', { ...base, limits: { queuedBytes: 2 ** 40 } }],
    ['options.extensions.streamManagement', { ...base, extensions: { streamManagement: 'no' } }],
    ['options.extensions.resumption', { ...base, extensions: { streamManagement: false, resumption: true } }],
    ['options.extensions.multiplexing', { ...base, extensions: { multiplexing: 1 } }],
    ['options.extensions.smacks', { ...base, extensions: { smacks: true } }],
    ['options.extensions', { ...base, extensions: null }],
    ['options.coveredSenders', { ...base, coveredSenders: ['*.*'] }],
    ['options.coveredSenders', { ...base, coveredSenders: 'b.example' }],
    ['options.listen', { ...base, listen: null }],
    ['options.dialbackSecret.accepted', { ...base, dialbackSecret: { current: 'x'.repeat(32), accepted: null } }],
    ['options.limits.depth', { ...base, limits: { depth: 1_001 } }],
    ['options.limits.attributes', { ...base, limits: { attributes: 1_001 } }],
    ['options.listen[0]', { ...base, listen: [null] }],
    ['options.listen', { ...base, listen: {} }],
    ['options.overrides["b.example"]', { ...base, overrides: { 'b.example': null } }],
    ['options.overrides', { ...base, overrides: { 'b.example': { host: 'x' }, 'B.example': { host: 'y' } } }],
    ['options.passwords["b.example"]', { ...base, passwords: { 'b.example': null } }],
    ['options.passwords', { ...base, passwords: 'secret' }],
    ['options.dialbackSecret', { ...base, dialbackSecret: {} }],
    ['options.dialbackSecret', { ...base, dialbackSecret: 5 }],
    ['options.dialbackSecret.accepted', { ...base, dialbackSecret: { current: 'x'.repeat(32), accepted: 'x'.repeat(32) } }],
    ['options', Object.assign(Object.create(null) as object, { ...base, tsl: {} })]
  ]
  for (const [key, options] of wrong)
    it(`${key}: ${JSON.stringify({ ...options, onStanza: undefined }).slice(0, 100)}`, () => {
      assert.throws(
        () => createFederation(options as Options),
        (error: unknown) => {
          assert.ok(FederationError.is(error), String(error))
          assert.equal(error.code, 'S2S_CONFIG')
          assert.ok(error.message.includes(`${key} `) || error.message.includes(`${key}.`), error.message)
          assert.doesNotMatch(error.message, /PEM'|secret/)
          return true
        }
      )
    })

  it('takes policies and plugs that are instances of classes, with fields of their own', async () => {
    class Own {
      readonly counted = new Map<string, number>()
      admit(): 'admit' {
        return 'admit'
      }
    }
    const engine = createFederation({ ...base, policy: new Own(), guards: [block(['x.example'])], listen: false })
    await engine.start()
    await engine.stop()
  })
})
