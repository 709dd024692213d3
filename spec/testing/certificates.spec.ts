import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { FederationError } from '../../lib/errors.ts'
import { isSelfSignedOnly } from '../../lib/model/certificate.ts'
import type { CertificateState, CertificateVerdict } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Credentials } from '../../lib/model/plugs.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { CERTIFICATE_STATES, createAuthority } from '../../lib/testing/certificates.ts'
import type { Authority, IssueOptions, NameKind } from '../../lib/testing/certificates.ts'

const DAY = 86_400_000
const STATES = Object.keys(CERTIFICATE_STATES) as CertificateState[] // the record has exactly these keys

/** The problems that each state is to have, and no others. */
const PROBLEMS: Readonly<Record<CertificateState, readonly string[]>> = {
  valid: [],
  'self-signed': ['self-signed'],
  expired: ['expired'],
  'not-yet-valid': ['not-yet-valid'],
  'wrong-host': ['wrong-identity'],
  'unknown-ca': ['untrusted-issuer'],
  'broken-chain': ['broken-chain'],
  'server-auth-only': [],
  missing: ['missing']
}

const certificates = (credentials: Credentials | undefined): X509Certificate[] =>
  (credentials?.cert.toString().match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []).map(pem => new X509Certificate(pem))

const leafOf = (credentials: Credentials | undefined): X509Certificate => {
  const [leaf] = certificates(credentials)
  assert.ok(leaf)
  return leaf
}

function verdict(authority: Authority, credentials: Credentials | undefined, now: number, identity = 'verona.example'): CertificateVerdict {
  const judge = new Judge({ default: [authority.certificate] })
  return judge.judge(
    certificates(credentials).map(each => each.raw),
    domain(identity),
    now,
    undefined
  )
}

describe('the test authority', () => {
  for (const keyType of ['ec', 'rsa'] as const)
    describe(`with ${keyType} keys`, () => {
      const now = Date.now()
      const authority = createAuthority({ keyType, now })
      for (const state of STATES)
        it(`issues certificates in the state ${state}, whose problems are: ${PROBLEMS[state].join() || 'none'}`, () => {
          const credentials = authority.issue('verona.example', { state })
          const { valid, problems } = verdict(authority, credentials, now)
          assert.deepEqual(
            problems.map(problem => problem.kind),
            PROBLEMS[state]
          )
          assert.equal(valid, PROBLEMS[state].length === 0)
          if (credentials === undefined) return
          const leaf = leafOf(credentials)
          assert.equal(leaf.checkPrivateKey(createPrivateKey(credentials.key)), true)
          assert.equal(leaf.publicKey.asymmetricKeyType, keyType)
        })
    })

  it('a self-signed certificate has no other problem, which is what acceptSelfSigned speaks of', () => {
    const authority = createAuthority()
    assert.equal(isSelfSignedOnly(verdict(authority, authority.issue('verona.example', { state: 'self-signed' }), Date.now())), true)
  })

  it('issues nothing for missing', () => {
    const options: IssueOptions = { state: 'missing' }
    assert.equal(createAuthority().issue('verona.example', options), undefined)
  })

  it('sends the root of an unknown authority along, and no intermediate of a broken chain', () => {
    const authority = createAuthority()
    const sent = (state: CertificateState, intermediate = false): string[] =>
      certificates(authority.issue('verona.example', { state, intermediate })).map(each => each.subject)
    assert.deepEqual(sent('unknown-ca'), ['CN=verona.example', 'CN=Unknown authority'])
    assert.deepEqual(sent('broken-chain'), ['CN=verona.example'])
    assert.deepEqual(sent('broken-chain', true), ['CN=verona.example'])
    assert.deepEqual(sent('valid', true), ['CN=verona.example', 'CN=Test intermediate authority'])
  })

  it('a chain through an intermediate is valid', () => {
    const authority = createAuthority()
    assert.equal(verdict(authority, authority.issue('verona.example', { intermediate: true }), Date.now()).valid, true)
  })

  it('leaves clientAuth out of server-auth-only, and nowhere else', () => {
    const authority = createAuthority()
    for (const state of STATES.filter(each => each !== 'missing'))
      assert.deepEqual(
        leafOf(authority.issue('verona.example', { state })).keyUsage,
        state === 'server-auth-only' ? ['1.3.6.1.5.5.7.3.1'] : ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
        state
      )
  })

  it('names the domain as dNSName and SRVName, and as XmppAddr on request only', () => {
    const authority = createAuthority()
    const shown = (names?: readonly NameKind[]): string | undefined =>
      leafOf(authority.issue('bücher.example', names === undefined ? {} : { names })).subjectAltName
    assert.equal(shown(), 'DNS:xn--bcher-kva.example, othername:SRVName:_xmpp-server.xn--bcher-kva.example')
    assert.equal(shown(['xmpp']), 'othername:XmppAddr:bücher.example')
    assert.equal(verdict(authority, authority.issue('bücher.example', { names: ['xmpp'] }), Date.now(), 'bücher.example').valid, true)
  })

  it('covers further domains on request', () => {
    const authority = createAuthority()
    const credentials = authority.issue('verona.example', { alsoFor: ['mantua.example'] })
    for (const each of ['verona.example', 'mantua.example']) assert.equal(verdict(authority, credentials, Date.now(), each).valid, true)
    assert.equal(verdict(authority, credentials, Date.now(), 'padua.example').valid, false)
  })

  it('takes its dates from the moment it is given, so that nothing expires under a build', () => {
    const now = Date.UTC(2041, 1, 3)
    const authority = createAuthority({ now })
    const kinds = (state: CertificateState, at: number): string[] =>
      verdict(authority, authority.issue('verona.example', { state }), at).problems.map(problem => problem.kind)
    assert.deepEqual(kinds('valid', now), [])
    assert.deepEqual(kinds('expired', now), ['expired'])
    assert.deepEqual(kinds('expired', now - 2 * DAY), [])
    assert.deepEqual(kinds('not-yet-valid', now), ['not-yet-valid'])
    assert.deepEqual(kinds('not-yet-valid', now + 2 * DAY), [])
    assert.deepEqual(kinds('valid', now + 400 * DAY), ['expired'])
    const later = authority.issue('verona.example', { now: now + 400 * DAY })
    assert.equal(verdict(authority, later, now + 400 * DAY).valid, true)
  })

  it('opens again from its certificate and key, and issues under the same root', () => {
    const first = createAuthority({ name: 'Lab authority' })
    const again = createAuthority({ existing: first })
    assert.equal(again.certificate, first.certificate)
    assert.equal(verdict(first, again.issue('verona.example'), Date.now()).valid, true)
  })

  it('refuses to open what is no authority', () => {
    const first = createAuthority()
    const leaf = first.issue('verona.example')
    const refused = (existing: { certificate: string; key: string }, detail: RegExp): void => {
      assert.throws(
        () => createAuthority({ existing }),
        (error: unknown) => FederationError.is(error) && error.code === 'S2S_CONFIG' && detail.test(error.message)
      )
    }
    refused({ certificate: leaf.cert.toString(), key: leaf.key.toString() }, /not one of an authority/)
    refused({ certificate: first.certificate, key: createAuthority().key }, /key is not the key/)
    refused({ certificate: 'rubbish', key: first.key }, /cannot be read/)
  })

  it('two authorities of the same name do not vouch for each other', () => {
    const [ours, theirs] = [createAuthority(), createAuthority()]
    assert.equal(verdict(ours, theirs.issue('verona.example'), Date.now()).valid, false)
  })

  it('refuses what is no domain name', () => {
    assert.throws(
      () => createAuthority().issue('a b'),
      (error: unknown) => FederationError.is(error) && error.code === 'S2S_ADDRESS'
    )
  })

  it('is made with all its EC certificates in no time worth mentioning', () => {
    const began = performance.now()
    const authority = createAuthority()
    for (const state of STATES) authority.issue('verona.example', { state })
    assert.ok(performance.now() - began < 2000)
  })
})
