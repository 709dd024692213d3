import assert from 'node:assert/strict'
import { X509Certificate, createHash } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { MISSING_CERTIFICATE, isSelfSignedOnly, ownCertificate } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { kinds } from './corpus.ts'
import { HOUR, NOW, PEER, ca, leaf, named } from './world.ts'
import type { Issued } from './world.ts'

const root = ca('Root')
const middle = ca('Middle', root)
const peer = leaf(middle)
const ours = new Judge({ default: [root.pem] })

const ders = (...chain: Issued[]): Buffer[] => chain.map(one => one.der)

/** How many signatures node:crypto checks meanwhile. */
function signaturesChecked(run: () => void): number {
  const { prototype } = X509Certificate
  const verify = Object.getOwnPropertyDescriptor(prototype, 'verify')
  assert.ok(verify !== undefined)
  let checks = 0
  const original: unknown = verify.value
  assert.ok(typeof original === 'function')
  const counting = function (this: X509Certificate, ...args: unknown[]): unknown {
    checks += 1
    return Reflect.apply(original, this, args)
  }
  Object.defineProperty(prototype, 'verify', { ...verify, value: counting })
  try {
    run()
  } finally {
    Object.defineProperty(prototype, 'verify', verify)
  }
  return checks
}

describe('the judge', () => {
  describe('of certificate states', () => {
    const authority = createAuthority({ now: NOW })
    const judge = new Judge({ default: [authority.certificate] })
    const expected = {
      valid: [],
      'server-auth-only': [],
      'self-signed': ['self-signed'],
      expired: ['expired'],
      'not-yet-valid': ['not-yet-valid'],
      'wrong-host': ['wrong-identity'],
      'unknown-ca': ['untrusted-issuer'],
      'broken-chain': ['broken-chain'],
      missing: ['missing']
    } as const
    for (const [state, problems] of Object.entries(expected) as [keyof typeof expected, readonly string[]][]) {
      for (const keyType of ['ec', 'rsa'] as const) {
        it(`finds ${problems.join() || 'nothing'} in ${state} (${keyType})`, () => {
          const credentials = authority.issue(PEER, { state, keyType })
          const chain =
            credentials === undefined ? [] : (String(credentials.cert).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [])
          const verdict = judge.judge(
            chain.map(pem => new X509Certificate(pem).raw),
            PEER,
            NOW,
            undefined
          )
          assert.deepEqual(kinds(verdict), problems)
          assert.equal(verdict.valid, problems.length === 0)
        })
      }
    }
  })

  it('[RFC6120-13.7.2-b] trusts no public authority where others are configured', () => {
    const publicRoot = new X509Certificate(rootCertificates[0] ?? '').raw
    const names = (judge: Judge): string[] => kinds(judge.judge([publicRoot], PEER, NOW, undefined)).filter(kind => kind === 'self-signed')
    assert.deepEqual(names(new Judge()), [])
    assert.deepEqual(names(new Judge({ also: [root.pem] })), [])
    assert.deepEqual(names(ours), ['self-signed'])
  })

  it('[XEP0178-13-a] wants serverAuth and no more, whatever the TLS role of the peer', () => {
    assert.ok(ours.judge(ders(leaf(middle, { extendedKeyUsage: ['serverAuth'] }), middle), PEER, NOW, undefined).valid)
    assert.ok(ours.judge(ders(leaf(middle, { extendedKeyUsage: undefined }), middle), PEER, NOW, undefined).valid)
  })

  it('[XEP0178-13-b] refuses a trusted certificate that is for clients alone', () => {
    const verdict = ours.judge(ders(leaf(middle, { extendedKeyUsage: ['clientAuth'] }), middle), PEER, NOW, undefined)
    assert.deepEqual(verdict.problems, [{ kind: 'wrong-usage', presented: ['1.3.6.1.5.5.7.3.2'] }])
  })

  it("[SEC-EKU-a] sees a victim's self-signed certificate for servers alone as self-signed, which Node hides behind its purpose", () => {
    const verdict = ours.judge(ders(leaf()), PEER, NOW, undefined)
    assert.deepEqual(kinds(verdict), ['self-signed'])
    assert.ok(!verdict.valid && isSelfSignedOnly(verdict))
    assert.equal(ownCertificate(verdict), 'self-signed')
  })

  it('[RFC9525-6.3-c] never takes a common name for an identity', () => {
    const verdict = ours.judge(ders(leaf(middle, { subject: PEER, names: undefined }), middle), PEER, NOW, undefined)
    assert.deepEqual(verdict.problems, [{ kind: 'wrong-identity', expected: PEER, presented: [] }])
  })

  it('reports every problem at once, on both axes', () => {
    const old = ca('Old', root, { notAfter: NOW - 1000 })
    const verdict = ours.judge(
      ders(leaf(old, { ...named({ dns: 'other.example' }), extendedKeyUsage: ['clientAuth'], notAfter: NOW - 1000 }), old),
      PEER,
      NOW,
      undefined
    )
    assert.deepEqual(kinds(verdict), ['expired', 'expired', 'wrong-identity', 'wrong-usage'])
    assert.deepEqual(
      verdict.problems.flatMap(problem => (problem.kind === 'expired' ? [problem.subject] : [])),
      [undefined, 'CN=Old']
    )
  })

  it('says what it saw: fingerprints, names, and the earliest end along the path', () => {
    const verdict = ours.judge(
      ders(
        leaf(middle, { ...named({ dns: PEER }, { srv: '_xmpp-server.x.example' }, { xmpp: 'y.example' }), notAfter: NOW + 2000 * HOUR }),
        middle
      ),
      PEER,
      NOW,
      undefined
    )
    assert.deepEqual(verdict.names, ['peer.example', '_xmpp-server.x.example', 'xmpp:y.example'])
    assert.equal(verdict.notAfter, new Date(Math.floor((NOW + 1000 * HOUR) / 1000) * 1000).toISOString())
    const { fingerprint256, spki256 } = ours.judge(ders(peer, middle), PEER, NOW, undefined)
    assert.equal(fingerprint256, createHash('sha256').update(peer.der).digest('hex'))
    assert.equal(
      spki256,
      createHash('sha256')
        .update(peer.keys.publicKey.export({ type: 'spki', format: 'der' }))
        .digest('hex')
    )
  })

  it('escapes what peers write into their names', () => {
    const verdict = ours.judge(
      ders(leaf(undefined, { subject: 'a\u001b[2J\u202e', ...named({ xmpp: 'b\u001b[2J' }), issuer: 'c\n' })),
      PEER,
      NOW,
      undefined
    )
    assert.ok(!/[\u0000-\u001f\u202e]/.test(JSON.stringify(verdict)) && !verdict.names.some(name => name.includes('\u001b')))
    assert.ok(verdict.problems.some(problem => problem.kind === 'broken-chain' && problem.detail.includes('\\u{1b}')))
  })

  it('judges dates afresh on a path that it has kept', () => {
    const chain = ders(peer, middle)
    const at = (now: number): string[] => kinds(ours.judge(chain, PEER, now, undefined))
    assert.deepEqual(at(NOW), [])
    assert.deepEqual(at(NOW + 1001 * HOUR), ['expired', 'expired', 'expired'])
    assert.deepEqual(at(NOW - 2 * HOUR), ['not-yet-valid', 'not-yet-valid', 'not-yet-valid'])
    assert.deepEqual(at(NOW), [])
  })

  it('holds a certificate valid from its first second on, and no longer in its last', () => {
    const edge = leaf(root, { notBefore: 1_800_000_000_000, notAfter: 1_800_000_010_000 })
    const judge = new Judge({ default: [ca('Other').pem] })
    const dated = (now: number): string[] => kinds(judge.judge([edge.der], PEER, now, undefined)).filter(kind => kind !== 'broken-chain')
    assert.deepEqual(dated(1_799_999_999_999), ['not-yet-valid'])
    assert.deepEqual(dated(1_800_000_000_000), [])
    assert.deepEqual(dated(1_800_000_009_999), [])
    assert.deepEqual(dated(1_800_000_010_000), ['expired'])
  })

  it('takes the presented issuer that is in its dates at that time', () => {
    const first = ca('Turning', root, { notAfter: NOW + HOUR })
    const second = ca('Turning', root, { keys: first.keys, notBefore: NOW + HOUR / 2 })
    const chain = ders(leaf(first), first, second)
    for (const now of [NOW, NOW + HOUR / 2, NOW + HOUR, NOW + 2 * HOUR, NOW]) assert.ok(ours.judge(chain, PEER, now, undefined).valid)
  })

  describe('of certificates that leave a choice of issuers', () => {
    const first = ca('Crowded', root, { notAfter: NOW + HOUR, keyIdentifiers: false })
    const second = ca('Crowded', root, { keys: first.keys, notBefore: NOW + HOUR / 2, keyIdentifiers: false })
    const chain = ders(leaf(first, { keyIdentifiers: false }), first, second)

    it('[SEC-PARSE-b] finds the path once for a stream, whatever names it is asked for and however many chains come in between', () => {
      const judge = new Judge({ default: [root.pem] })
      assert.ok(judge.judge(chain, PEER, NOW, undefined).valid)
      assert.equal(
        signaturesChecked(() => {
          for (let at = 0; at < 200; at++) {
            judge.judge([Buffer.from(`rubbish ${at}`)], PEER, NOW, undefined)
            judge.judge(chain, domain(`x${at}.example`), NOW + at, at % 2 === 0 ? [] : undefined)
          }
        }),
        0
      )
    })

    it('finds the path once for all streams on which the same is presented', () => {
      const judge = new Judge({ default: [root.pem] })
      assert.ok(judge.judge(chain, PEER, NOW, undefined).valid)
      assert.equal(
        signaturesChecked(() => assert.ok(judge.judge([...chain], PEER, NOW, undefined).valid)),
        0
      )
    })

    it('[RFC6120-13.7.2-b] finds it anew when the dates of one of them begin or end, and not before', () => {
      const judge = new Judge({ default: [root.pem] })
      const isFoundAt = (now: number): boolean => {
        let valid = false
        const checks = signaturesChecked(() => (valid = judge.judge(chain, PEER, now, undefined).valid))
        assert.ok(valid)
        return checks > 0
      }
      const [begins, ends] = [second, first].map(one => new X509Certificate(one.der))
      const turns = [Date.parse(begins?.validFrom ?? ''), Date.parse(ends?.validTo ?? '')]
      assert.ok(isFoundAt(NOW))
      for (const turn of turns) {
        assert.ok(!isFoundAt(turn - 1))
        assert.ok(isFoundAt(turn))
        assert.ok(!isFoundAt(turn + 1))
      }
      assert.ok(isFoundAt(NOW), 'a clock that goes back')
    })

    it('[RFC6120-13.7.2-b] finds it anew when others are trusted', () => {
      const judge = new Judge({ default: [root.pem] })
      assert.ok(judge.judge(chain, PEER, NOW, undefined).valid)
      judge.reload({ default: [ca('Stranger').pem] })
      assert.deepEqual(kinds(judge.judge(chain, PEER, NOW, undefined)), ['broken-chain'])
      judge.reload({ default: [root.pem] })
      assert.ok(judge.judge(chain, PEER, NOW, undefined).valid)
    })

    it('[RFC6120-13.7.2-b] keeps what is trusted for one name apart from what is trusted for another', () => {
      const judge = new Judge({ default: [ca('Stranger').pem], forDomains: [{ patterns: [PEER], ca: [root.pem] }] })
      const also = leaf(first, { keyIdentifiers: false, ...named({ dns: PEER }, { dns: 'other.example' }) })
      const both = ders(also, first, second)
      for (let round = 0; round < 2; round++) {
        assert.ok(judge.judge(both, PEER, NOW, undefined).valid)
        assert.deepEqual(kinds(judge.judge(both, domain('other.example'), NOW, undefined)), ['broken-chain'])
      }
    })

    it('gives a verdict with pins and one without from the same path', () => {
      const judge = new Judge({ default: [root.pem] })
      for (let round = 0; round < 2; round++) {
        assert.equal(judge.judge(chain, PEER, NOW, undefined).proof, 'pkix')
        assert.equal(judge.judge(chain, PEER, NOW, []).proof, 'none')
        assert.equal(judge.judge(chain, PEER, NOW, [{ leaf256: judge.judge(chain, PEER, NOW, []).fingerprint256 ?? '' }]).proof, 'pin')
      }
    })
  })

  it('judges the name afresh on a path that it has kept', () => {
    const chain = ders(leaf(middle, named({ dns: 'a.example' }, { dns: '*.b.example' })), middle)
    const other = domain('c.example')
    for (let round = 0; round < 2; round++) {
      assert.ok(ours.judge(chain, domain('a.example'), NOW, undefined).valid)
      assert.ok(ours.judge(chain, domain('x.b.example'), NOW, undefined).valid)
      assert.deepEqual(kinds(ours.judge(chain, other, NOW, undefined)), ['wrong-identity'])
    }
  })

  it('keeps judging when more chains came than it keeps', () => {
    for (let at = 0; at < 300; at++) assert.ok(!ours.judge([Buffer.from(`rubbish ${at}`)], PEER, NOW, undefined).valid)
    assert.ok(ours.judge(ders(peer, middle), PEER, NOW, undefined).valid)
  })

  describe('with pins', () => {
    const chain = ders(peer, middle)
    const verdict = ours.judge(chain, PEER, NOW, undefined)
    const leaf256 = verdict.fingerprint256 ?? ''
    const spki256 = verdict.spki256 ?? ''
    const stranger = new Judge({ default: [ca('Stranger').pem] })

    it('takes a match for chain and name', () => {
      for (const pins of [[{ leaf256 }], [{ spki256 }], [{ leaf256, spki256 }], [{ leaf256: '00' }, { spki256: spki256.toUpperCase() }]]) {
        const pinned = stranger.judge(chain, domain('other.example'), NOW, pins)
        assert.ok(pinned.valid)
        assert.equal(pinned.proof, 'pin')
        assert.deepEqual(kinds(pinned), ['broken-chain', 'wrong-identity'])
      }
    })

    it('takes nothing else than a match, not even what verifies', () => {
      for (const pins of [[], [{}], [{ leaf256: spki256 }], [{ leaf256, spki256: leaf256 }]]) {
        const refused = ours.judge(chain, PEER, NOW, pins)
        assert.ok(!refused.valid)
        assert.deepEqual(refused.problems, [{ kind: 'constraint', detail: 'no pin matches' }])
      }
    })

    it("does not take a match for the certificate's own dates", () => {
      const refused = ours.judge(chain, PEER, NOW + 1001 * HOUR, [{ leaf256 }])
      assert.ok(!refused.valid)
      assert.equal(refused.proof, 'none')
    })

    it('takes a match although an issuer has expired, and counts to the end of the certificate alone', () => {
      const old = ca('Old', root, { notAfter: NOW - 1000 })
      const one = leaf(old)
      const pinned = ours.judge(ders(one, old), PEER, NOW, [{ leaf256: createHash('sha256').update(one.der).digest('hex') }])
      assert.ok(pinned.valid)
      assert.ok(Date.parse(pinned.notAfter ?? '') > NOW)
    })

    it('takes no match for a certificate that cannot be read', () => {
      const rubbish = Buffer.from('rubbish')
      assert.ok(!ours.judge([rubbish], PEER, NOW, [{ leaf256: createHash('sha256').update(rubbish).digest('hex') }]).valid)
    })

    it('finds nothing in nothing', () => {
      assert.deepEqual(ours.judge([], PEER, NOW, [{ leaf256 }]), MISSING_CERTIFICATE)
    })
  })
})
