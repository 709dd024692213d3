import assert from 'node:assert/strict'
import { FederationError } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import { domain } from '../lib/model/domain.ts'
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
    ['options.policy', { ...base, policy: {} }],
    ['options.policy', { ...base, policy: new Map() }],
    ['options.policy', { ...base, policy: { name: 'silent' } }],
    ['options.policy.certificat', { ...base, policy: Object.assign(Object.create(null) as object, { certificat: () => 'reject' }) }],
    ['options.policy.name', { ...base, policy: { name: 5, admit: () => 'admit' } }],
    ['options.policy.kind', { ...base, policy: { kind: 'preset', admit: () => 'admit' } }],
    ['options.policy', { ...base, policy: block(['b.example']) }],
    ['options.policy.certificat', { ...base, policy: { certificat: () => 'reject' } }],
    ['options.policy.tls', { ...base, policy: { tls: 'required' } }],
    ['options.guards', { ...base, guards: block(['b.example']) }],
    ['options.guards[0]', { ...base, guards: [policies.strict()] }],
    ['options.guards[0].pin', { ...base, guards: [{ kind: 'guard', name: 'x', pin: () => [] }] }],
    ['options.guards[0]', { ...base, guards: [null] }],
    ['options.guards[0]', { ...base, guards: [{ kind: 'guard', name: 'silent' }] }],
    [
      'options.guards[0]',
      {
        ...base,
        guards: [
          new (class Silent {
            readonly kind = 'guard'
            readonly name = 'silent'
          })()
        ]
      }
    ],
    ['options.guards[0].name', { ...base, guards: [{ kind: 'guard', admit: () => 'refuse' }] }],
    ['options.allowPrivateAddresses', { ...base, allowPrivateAddresses: 'no' }],
    ['options.trust', { ...base, trust: 'system' }],
    ['options.trust.defualt', { ...base, trust: { defualt: [] } }],
    ['options.trust.default', { ...base, trust: { default: 'bundle' } }],
    ['options.trust.also', { ...base, trust: { also: 'PEM' } }],
    ['options.trust.forDomains[0].onyl', { ...base, trust: { forDomains: [{ patterns: ['b.example'], ca: [], onyl: true }] } }],
    ['options.trust.forDomains[0].patterns[0]', { ...base, trust: { forDomains: [{ patterns: ['*.*'], ca: [] }] } }],
    ['options.trust.forDomains[0].patterns', { ...base, trust: { forDomains: [{ patterns: 'b.example', ca: [] }] } }],
    ['options.trust.forDomains[0].only', { ...base, trust: { forDomains: [{ patterns: ['b.example'], ca: [], only: 'yes' }] } }],
    ['options.trust.forDomains', { ...base, trust: { forDomains: {} } }],
    ['options.resolver.srv', { ...base, resolver: {} }],
    ['options.transport.connect', { ...base, transport: {} }],
    ['options.tls.createContext', { ...base, tls: {} }],
    ['options.clock.now', { ...base, clock: {} }],
    ['what options.clock.now gives', { ...base, clock: { now: () => '12', setTimeout } }],
    ['what options.clock.setTimeout gives', { ...base, clock: { now: () => Date.now(), setTimeout } }],
    ['what options.clock.setTimeout gives', { ...base, clock: { now: () => Date.now(), setTimeout: () => undefined } }],
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
    ['options.coveredSenders[0]', { ...base, coveredSenders: ['*.*'] }],
    ['options.coveredSenders', { ...base, coveredSenders: null }],
    ['options.coveredSenders', { ...base, coveredSenders: 'b.example' }],
    ['options.listen', { ...base, listen: null }],
    ['options.dialbackSecret.accepted', { ...base, dialbackSecret: { current: 'x'.repeat(32), accepted: null } }],
    ['options.limits.depth', { ...base, limits: { depth: 1_001 } }],
    ['options.limits.attributes', { ...base, limits: { attributes: 1_001 } }],
    ['options.listen[0]', { ...base, listen: [null] }],
    ['options.listen[0].host', { ...base, listen: [{ port: 0, host: 127 }] }],
    ['options.listen[0].host', { ...base, listen: [{ port: 0, host: null }] }],
    ['options.listen[0].host', { ...base, listen: [{ port: 0, host: '' }] }],
    ['options.listen[0].tls', { ...base, listen: [{ port: 0, tls: null }] }],
    ['options.domains["a.example"].passphrase', { ...base, domains: { 'a.example': { key: 'x', cert: 'x', passphrase: 5 } } }],
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

  const sentences: readonly (readonly [options: object, sentence: string])[] = [
    [{ listen: [{ port: 0, host: 127 }] }, 'options.listen[0].host has to be text, not 127'],
    [{ listen: [{ port: '5269' }] }, 'options.listen[0].port has to be a whole number from 0 to 65535, not "5269"'],
    [{ listen: true }, 'options.listen has to be a list of { host, port, tls }, or false, not true'],
    [{ overrides: { 'b.example': {} } }, 'options.overrides["b.example"].host has to be text, not nothing'],
    [
      { overrides: { 'b.example': { host: 'x', tls: 'ssl' } } },
      'options.overrides["b.example"].tls has to be "starttls" or "direct", not "ssl"'
    ],
    [{ policy: 'strict' }, 'options.policy has to be a policy, not text'],
    [
      { policy: {} },
      'options.policy answers no question: it has to have at least one of admit, tls, certificate, proofs, afterFailure, minimumLevel'
    ],
    [{ policy: block(['b.example']) }, 'options.policy has to be a policy, not the guard "block": guards have an option of their own'],
    [{ policy: { tls: 'required' } }, 'options.policy.tls has to be a function, not "required"'],
    [{ guards: block(['b.example']) }, 'options.guards has to be a list of guards, not an object'],
    [{ guards: [policies.strict()] }, 'options.guards[0].kind has to be "guard", not "policy"'],
    [
      { guards: [{ kind: 'guard', name: 'silent' }] },
      'options.guards[0] does nothing: it has to have at least one of pins, admit, tls, certificate, plain, minimumLevel, learn'
    ],
    [
      { trust: { forDomains: [{ patterns: ['b.example', '*.*'], ca: [] }] } },
      'options.trust.forDomains[0].patterns[1] is "*.*", which is no domain pattern: a domain, *.domain or *'
    ],
    [{ trust: { default: 'mozilla' } }, 'options.trust.default has to be "bundled" or "system", not "mozilla"'],
    [{ limits: { depth: 7 } }, 'options.limits.depth has to be a whole number from 8 to 1000, not 7'],
    [{ timeouts: { step: 0.5 } }, 'options.timeouts.step has to be a whole number from 1 to 9007199254740991, not 0.5'],
    [{ answerPings: 'no' }, 'options.answerPings has to be true or false, not "no"'],
    [{ random: 5 }, 'options.random has to be a function, not 5'],
    [
      { passwords: { 'b.example': { username: 'a', password: 12345678 } } },
      'options.passwords["b.example"].password has to be text, not a number'
    ],
    [{ dialbackSecret: 'x'.repeat(40) }, 'options.dialbackSecret has to be { current, accepted }, not text'],
    [{ dialbackSecret: { current: 'too short' } }, 'options.dialbackSecret.current has to be at least 32 bytes long, not 9']
  ]
  for (const [options, sentence] of sentences)
    it(`with the sentence: ${sentence}`, () => {
      assert.throws(() => createFederation({ ...base, ...options }), { code: 'S2S_CONFIG', detail: sentence })
    })

  it('at run time too, and then nothing has changed', async () => {
    const engine = createFederation({ ...base, listen: false, guards: [block(['b.example'])] })
    const changes: string[] = []
    engine.on('settings-changed', ({ what }) => changes.push(what))
    const silent = { name: 'silent' }
    const pair = { sender: domain('a.example'), target: domain('b.example') }
    const misspelt: object = { certificat: () => 'reject' }
    for (const [run, sentence] of [
      [() => engine.setPolicy({}), /: policy answers no question: /],
      [() => engine.setPolicy(misspelt), /: policy\.certificat is not known; known are /],
      [() => engine.setGuards([{ kind: 'guard', ...silent }]), /: guards\[0\] does nothing: /],
      [() => engine.reloadTrust({ forDomains: [{ patterns: ['*x'], ca: [] }] }), /: trust\.forDomains\[0\]\.patterns\[0\] is "\*x", /],
      [() => engine.probe(pair, { policy: silent }), /: probe: options\.policy answers no question: /]
    ] as const)
      await assert.rejects(run(), { code: 'S2S_CONFIG', message: sentence })
    assert.deepEqual(changes, [])
    assert.equal((await engine.probe(pair)).error?.code, 'S2S_POLICY')
    await engine.stop()
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
