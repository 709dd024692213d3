import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readServeConfig } from '../../lib/cli/serve-config.ts'
import { FederationError } from '../../lib/errors.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'

const HASH = 'ab'.repeat(32)

describe('the config file of serve', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'xmpp-federation-'))
  })
  const authority = createAuthority()
  const [own, other] = [authority.issue('a.example'), authority.issue('b.example')]
  const hosted = { cert: 'a.pem', key: 'a.key' }

  before(() => {
    const files = {
      'a.pem': own.cert,
      'a.key': own.key,
      'b.key': other.key,
      'ca.pem': authority.certificate,
      'empty.pem': '',
      now: `${'n'.repeat(32)}\n`,
      then: 't'.repeat(32),
      tiny: 'four'
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  })

  after(() => rmSync(folder, { recursive: true }))

  const read = (config: unknown) => readServeConfig(config, folder)

  it('needs nothing but a domain, and leaves every default to the library', () => {
    assert.deepEqual(read({ domains: { 'a.example': null } }), { echo: false, federation: { domains: { 'a.example': undefined } } })
  })

  it('covers domains with certificates, listeners, resolver, trust, policy with layers, guards, overrides, secrets, deadlines and limits', () => {
    const { federation, echo } = read({
      domains: { 'a.example': hosted, 'b.example': null },
      listen: [
        { host: '127.0.0.1', port: 0 },
        { port: 5270, tls: 'direct' }
      ],
      resolver: { servers: ['127.0.0.1:5353'], allowPrivateAddresses: true },
      trust: { default: ['ca.pem'], forDomains: [{ patterns: ['*.partner.example'], ca: ['ca.pem'], only: true }] },
      policy: { preset: 'encrypted', options: { acceptSelfSigned: false }, forDomains: [{ patterns: ['old.example'], preset: 'ladder' }] },
      guards: [
        { kind: 'block', patterns: ['bad.example'] },
        { kind: 'pin', patterns: ['a.example'], pins: [{ leaf256: HASH }] },
        { kind: 'ratchet', patterns: ['*.example'], hold: 'level' }
      ],
      overrides: { 'c.example': { host: '127.0.0.1', port: 5299, tls: 'direct' } },
      dialbackSecret: { current: 'now', accepted: ['then'] },
      timeouts: { idle: 60_000 },
      limits: { stanzaBytes: 20_000 },
      echo: true
    })
    assert.equal(echo, true)
    assert.deepEqual(federation.domains, { 'a.example': { cert: own.cert, key: own.key }, 'b.example': undefined })
    assert.deepEqual(federation.listen, [
      { host: '127.0.0.1', port: 0 },
      { port: 5270, tls: 'direct' }
    ])
    assert.equal(typeof federation.resolver?.srv, 'function')
    assert.equal(federation.allowPrivateAddresses, true)
    assert.deepEqual(federation.trust?.forDomains, [{ patterns: ['*.partner.example'], ca: [authority.certificate], only: true }])
    assert.equal(federation.policy?.name, 'ladder over encrypted')
    assert.deepEqual(
      federation.guards?.map(({ name }) => name),
      ['block', 'pin', 'ratchet']
    )
    assert.deepEqual(federation.overrides, { 'c.example': { host: '127.0.0.1', port: 5299, tls: 'direct' } })
    assert.deepEqual(federation.dialbackSecret, { current: 'n'.repeat(32), accepted: ['t'.repeat(32)] })
    assert.deepEqual(federation.timeouts, { idle: 60_000 })
    assert.deepEqual(federation.limits, { stanzaBytes: 20_000 })
  })

  describe('as docs/serve.md shows it', () => {
    const page = readFileSync(new URL('../../docs/serve.md', import.meta.url), 'utf8')

    it('can be read', () => {
      const config: unknown = JSON.parse(/^```json\n([^]*?)^```/m.exec(page)?.[1] ?? '')
      writeFileSync(join(folder, 'verona.example.pem'), own.cert)
      writeFileSync(join(folder, 'verona.example.key'), own.key)
      assert.deepEqual(Object.keys(read(config).federation.domains), ['verona.example', 'plain.example'])
    })

    it('has every key', () => {
      const known = detailOf({ nonsense: true }).split('known are ')[1]?.split(', ')
      assert.deepEqual(
        [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key),
        known
      )
    })
  })

  const detailOf = (config: unknown): string => {
    try {
      read(config)
    } catch (error) {
      if (FederationError.is(error) && error.code === 'S2S_CONFIG') return error.detail ?? ''
      throw error
    }
    throw new Error('the config was accepted')
  }

  const base = { domains: { 'a.example': null } }
  const wrongs: readonly (readonly [config: unknown, sentence: RegExp])[] = [
    [[], /^the file has to be an object, not \[\]$/],
    [{}, /^domains is missing$/],
    [{ domains: {} }, /^domains names no domain$/],
    [{ ...base, domain: 1 }, /^domain is not known; known are domains, listen, /],
    [{ domains: { 'a.example': 'x' } }, /^domains\["a\.example"\] has to be an object, not "x"$/],
    [{ domains: { 'not a domain': null } }, /^domains\["not a domain"\]: .*is not a domain name$/],
    [{ domains: { 'a.example': { key: 'a.key' } } }, /^domains\["a\.example"\]\.cert is missing$/],
    [
      { domains: { 'a.example': { ...hosted, cert: 'gone.pem' } } },
      /^domains\["a\.example"\]\.cert cannot be read: no such file or directory: .*gone\.pem$/
    ],
    [{ domains: { 'a.example': { ...hosted, key: 5 } } }, /^domains\["a\.example"\]\.key has to be text, not 5$/],
    [
      { domains: { 'a.example': { ...hosted, key: 'b.key' } } },
      /^domains\["a\.example"\]: the private key does not belong to the first certificate$/
    ],
    [{ domains: { 'a.example': { ...hosted, cert: 'empty.pem' } } }, /^domains\["a\.example"\]: there is no PEM certificate/],
    [{ domains: { 'a.example': { ...hosted, chain: 'x' } } }, /^domains\["a\.example"\]\.chain is not known/],
    [{ ...base, listen: true }, /^listen has to be a list, not true$/],
    [{ ...base, listen: [{ port: 5269 }, { port: '5270' }] }, /^listen\[1\]\.port has to be a whole number from 0 to 65535, not "5270"$/],
    [{ ...base, listen: [{ port: 1, tls: 'ssl' }] }, /^listen\[0\]\.tls has to be one of starttls, direct, not "ssl"$/],
    [{ ...base, resolver: { servers: ['::1'] } }, /^resolver\.servers\[0\] has to be HOST:PORT/],
    [{ ...base, resolver: { system: true, trustAd: true } }, /^resolver\.system leaves no room for trustAd$/],
    [{ ...base, trust: { default: 'mozilla' } }, /^trust\.default has to be one of bundled, system, not "mozilla"$/],
    [{ ...base, trust: { forDomains: [{ patterns: ['x'] }] } }, /^trust\.forDomains\[0\]\.ca is missing$/],
    [{ ...base, policy: 'strict' }, /^policy has to be an object, not "strict"$/],
    [{ ...base, policy: { preset: 'lenient' } }, /^policy\.preset has to be one of ladder, openfire36, encrypted, strict, not "lenient"$/],
    [{ ...base, policy: { preset: 'ladder', options: { tsl: 'required' } } }, /^policy\.options\.tsl is not known; known are tls, /],
    [
      { ...base, policy: { preset: 'ladder', options: { acceptSelfSigned: 'yes' } } },
      /^policy\.options\.acceptSelfSigned has to be true or false, not "yes"$/
    ],
    [{ ...base, policy: { preset: 'openfire36', options: { external: true } } }, /^policy\.options: openfire36 has no option "external"/],
    [
      { ...base, policy: { preset: 'ladder', forDomains: [{ patterns: ['*.*'], preset: 'strict' }] } },
      /^policy\.forDomains\[0\]\.patterns\[0\] is "\*\.\*", which is no domain pattern/
    ],
    [
      { ...base, guards: [{ kind: 'allow', patterns: [] }] },
      /^guards\[0\]\.kind has to be one of pin, block, allowOnly, ratchet, not "allow"$/
    ],
    [{ ...base, guards: [{ kind: 'pin', patterns: ['x.example'] }] }, /^guards\[0\]\.pins is missing$/],
    [
      { ...base, guards: [{ kind: 'pin', patterns: [], pins: [{ leaf256: 'abc' }] }] },
      /^guards\[0\]\.pins\[0\]\.leaf256 has to be a SHA-256 digest/
    ],
    [{ ...base, guards: [{ kind: 'block', patterns: [], pins: [] }] }, /^guards\[0\]\.pins belongs to a guard of the kind pin$/],
    [{ ...base, overrides: { 'b.example': { port: 1 } } }, /^overrides\["b\.example"\]\.host is missing$/],
    [{ ...base, overrides: { 'b..example': { host: 'x' } } }, /^overrides\["b\.\.example"\]: .*is not a domain name$/],
    [{ ...base, guards: [{ kind: 'block', patterns: [], hold: 'level' }] }, /^guards\[0\]\.hold belongs to a guard of the kind ratchet$/],
    [
      { ...base, guards: [{ kind: 'ratchet', patterns: [], hold: 'all' }] },
      /^guards\[0\]\.hold has to be one of encryption, level, not "all"$/
    ],
    [{ ...base, timeouts: { idle: 0 } }, /^timeouts\.idle has to be a whole number from 1 to \d+, not 0$/],
    [{ ...base, dialbackSecret: { current: 'short' } }, /^dialbackSecret\.current cannot be read: no such file/],
    [{ ...base, dialbackSecret: { current: 'tiny' } }, /^dialbackSecret\.current has to be at least 32 bytes long, not 4$/],
    [{ ...base, limits: { stanzas: 1 } }, /^limits\.stanzas is not known; known are stanzaBytes, /],
    [{ ...base, limits: { depth: 7 } }, /^limits\.depth has to be a whole number from 8 to 1000, not 7$/],
    [{ ...base, limits: { attributes: 1_001 } }, /^limits\.attributes has to be a whole number from 16 to 1000, not 1001$/],
    [{ ...base, limits: { stanzaBytes: 9_999 } }, /^limits\.stanzaBytes has to be a whole number from 10000 to 2147483647, not 9999$/],
    [{ ...base, limits: { endpoints: 2 ** 31 } }, /^limits\.endpoints has to be a whole number from 1 to 2147483647, not 2147483648$/],
    [{ ...base, trust: { forDomains: [{ patterns: ['*x'], ca: ['ca.pem'] }] } }, /^trust\.forDomains\[0\]\.patterns\[0\] is "\*x", which /],
    [{ ...base, echo: 'yes' }, /^echo has to be true or false, not "yes"$/]
  ]

  for (const [config, sentence] of wrongs) {
    it(`is told of ${JSON.stringify(config).slice(0, 110)}`, () => {
      assert.match(detailOf(config), sentence)
    })
  }
})
