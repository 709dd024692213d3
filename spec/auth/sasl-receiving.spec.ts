import assert from 'node:assert/strict'
import { SaslReceiver, saslXml } from '../../lib/auth/sasl-receiving.ts'
import type { SaslContext, SaslResult } from '../../lib/auth/sasl-receiving.ts'
import { MISSING_CERTIFICATE } from '../../lib/model/certificate.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'

const VALID: CertificateVerdict = { ...MISSING_CERTIFICATE, valid: true, problems: [], proof: 'pkix' }
const EXPIRED: CertificateVerdict = { ...MISSING_CERTIFICATE, problems: [{ kind: 'expired', notAfter: '2020-01-01T00:00:00.000Z' }] }
const trusted: SaslContext = {
  pair: { sender: domain('capulet.example'), target: domain('montague.example') },
  certificate: { verdict: VALID, use: 'authenticate' },
  proofs: ['sasl-external', 'sasl-plain', 'dialback'],
  password: undefined
}
const withPassword: SaslContext = { ...trusted, password: { username: 'capulet', password: 'pässword' } }
const capulet = 'Y2FwdWxldC5leGFtcGxl'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

function said({ step }: SaslResult): string {
  if (step.kind === 'failure') return step.condition
  return step.kind === 'success' ? `success ${step.evidence.level} by ${step.evidence.peerIdentity}` : step.kind
}

function auth(context: SaslContext, text: string, mechanism = 'EXTERNAL'): string {
  return said(new SaslReceiver(() => context).auth(mechanism, text))
}

describe('auth/sasl-receiving', () => {
  it('[RFC6120-6.4.2-b] takes = and the domain of the stream as authorization identity, and no other', () => {
    assert.equal(auth(trusted, '='), 'success sasl-external by pkix')
    assert.equal(auth(trusted, capulet), 'success sasl-external by pkix')
    for (const authzid of ['montague.example', 'sub.capulet.example', 'user@capulet.example', 'capulet.example/x']) {
      assert.equal(auth(trusted, base64(authzid)), 'invalid-authzid', authzid)
    }
  })

  it('[RFC6120-6.4.2-c] answers incorrect-encoding to what is not strict base64', () => {
    for (const text of ['Y2Fw*dWxldA==', 'Y===', 'YR==', ` ${capulet}`]) assert.equal(auth(trusted, text), 'incorrect-encoding')
  })

  it('[RFC6120-6.5.7-a] answers invalid-mechanism to an unknown mechanism, to none, and to names of the prototype', () => {
    for (const mechanism of ['SCRAM-SHA-1', 'external', '', 'constructor', '__proto__'])
      assert.equal(auth(trusted, '=', mechanism), 'invalid-mechanism')
    assert.equal(said(new SaslReceiver(() => trusted).auth(undefined, '=')), 'invalid-mechanism')
  })

  it('[RFC6120-6.4.2-a] sends an empty challenge to an auth without text, and takes the response', () => {
    const receiver = new SaslReceiver(() => trusted)
    const challenged = receiver.auth('EXTERNAL', '')
    assert.equal(saslXml(challenged.step), "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    assert.equal(said(receiver.response('=')), 'success sasl-external by pkix')
    assert.equal(said(receiver.response('=')), 'malformed-request')
  })

  it('takes a response without text for the empty one, and refuses one of another domain', () => {
    const receiver = new SaslReceiver(() => trusted)
    receiver.auth('EXTERNAL', '')
    assert.equal(said(receiver.response('')), 'success sasl-external by pkix')
    receiver.auth('EXTERNAL', '')
    assert.equal(said(receiver.response(base64('montague.example'))), 'invalid-authzid')
  })

  it('[RFC6120-6.4.4-a] answers aborted to an abort, and forgets the exchange', () => {
    const receiver = new SaslReceiver(() => trusted)
    receiver.auth('EXTERNAL', '')
    assert.equal(said(receiver.abort()), 'aborted')
    assert.equal(said(receiver.response('=')), 'malformed-request')
  })

  it('discards the old exchange for a new auth', () => {
    const receiver = new SaslReceiver(() => trusted)
    receiver.auth('EXTERNAL', '')
    assert.equal(said(receiver.auth('EXTERNAL', 'Y===')), 'incorrect-encoding')
    assert.equal(said(receiver.response('=')), 'malformed-request')
  })

  it('[SEC-EKU-a] refuses EXTERNAL on a certificate that does not authenticate, whatever policy lists', () => {
    assert.equal(auth({ ...trusted, certificate: { verdict: EXPIRED, use: 'authenticate' } }, '='), 'not-authorized')
    assert.equal(auth({ ...trusted, certificate: { verdict: VALID, use: 'encrypt-only' } }, '='), 'not-authorized')
    assert.equal(auth({ ...trusted, certificate: { verdict: MISSING_CERTIFICATE, use: 'reject' } }, '='), 'not-authorized')
  })

  it('refuses EXTERNAL that policy does not accept, and says why in words where the certificate is to blame', () => {
    assert.equal(auth({ ...trusted, proofs: ['dialback'] }, '='), 'not-authorized')
    const { step } = new SaslReceiver(() => ({ ...trusted, certificate: { verdict: EXPIRED, use: 'encrypt-only' } })).auth('EXTERNAL', '=')
    assert.equal(
      saslXml(step),
      "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text xml:lang='en'>" +
        'Your certificate is not accepted for capulet.example: expired on 2020-01-01T00:00:00.000Z</text></failure>'
    )
  })

  it('matches the certificate again when it counts, not only when EXTERNAL was offered', () => {
    let context = trusted
    const receiver = new SaslReceiver(() => context)
    receiver.auth('EXTERNAL', '')
    context = { ...trusted, certificate: { verdict: EXPIRED, use: 'authenticate' } }
    assert.equal(said(receiver.response('=')), 'not-authorized')
  })

  it('takes PLAIN with the password agreed with this very domain', () => {
    assert.equal(auth(withPassword, base64('\0capulet\0pässword'), 'PLAIN'), 'success sasl-plain by pkix')
    assert.equal(auth(withPassword, base64('capulet.example\0capulet\0pässword'), 'PLAIN'), 'success sasl-plain by pkix')
  })

  it('refuses PLAIN with a wrong name, a wrong password, or for another domain', () => {
    for (const message of ['\0capulet\0password', '\0montague\0pässword', '\0capulet\0', '\0capulet\0pässword ']) {
      assert.notEqual(auth(withPassword, base64(message), 'PLAIN').split(' ')[0], 'success', message)
    }
    assert.equal(auth(withPassword, base64('montague.example\0capulet\0pässword'), 'PLAIN'), 'invalid-authzid')
    assert.equal(auth(withPassword, base64('capulet'), 'PLAIN'), 'malformed-request')
  })

  it('knows no PLAIN for a domain without an agreed password, and none on a certificate that does not authenticate', () => {
    assert.equal(auth(trusted, base64('\0capulet\0pässword'), 'PLAIN'), 'invalid-mechanism')
    const untrusted: SaslContext = { ...withPassword, certificate: { verdict: EXPIRED, use: 'encrypt-only' } }
    assert.equal(auth(untrusted, base64('\0capulet\0pässword'), 'PLAIN'), 'not-authorized')
    assert.equal(auth({ ...withPassword, proofs: ['sasl-external'] }, base64('\0capulet\0pässword'), 'PLAIN'), 'not-authorized')
  })
})
