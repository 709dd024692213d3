import assert from 'node:assert/strict'
import { kindOf, permitted } from '../../lib/rules/permitted.ts'
import type { ElementKind, IncomingState } from '../../lib/rules/permitted.ts'

const SERVER = 'jabber:server'
const DB = 'jabber:server:dialback'
const TLS = 'urn:ietf:params:xml:ns:xmpp-tls'
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl'
const KINDS: readonly ElementKind[] = [
  'starttls',
  'auth',
  'sasl-reply',
  'dialback-key',
  'dialback-verify',
  'dialback-answer',
  'stanza',
  'prefixed-stanza',
  'stream-management',
  'unknown'
]

function said(kind: ElementKind, state: IncomingState): string {
  const permission = permitted(kind, state)
  return 'condition' in permission ? `${permission.kind} ${permission.condition}` : permission.kind
}

describe('rules/permitted', () => {
  const elements: readonly [namespace: string, name: string, type: string | undefined, prefix: string, kind: ElementKind][] = [
    [SERVER, 'message', 'chat', '', 'stanza'],
    [SERVER, 'presence', undefined, '', 'stanza'],
    [SERVER, 'iq', 'get', '', 'stanza'],
    [SERVER, 'message', undefined, 'x', 'prefixed-stanza'],
    [SERVER, 'query', undefined, '', 'unknown'],
    ['jabber:client', 'message', undefined, '', 'unknown'],
    [DB, 'result', undefined, 'db', 'dialback-key'],
    [DB, 'result', undefined, 'other', 'dialback-key'],
    [DB, 'result', 'valid', 'db', 'dialback-answer'],
    [DB, 'result', '', 'db', 'dialback-answer'],
    [DB, 'verify', undefined, 'db', 'dialback-verify'],
    [DB, 'verify', 'valid', 'db', 'dialback-answer'],
    [SERVER, 'result', undefined, 'db', 'unknown'],
    [TLS, 'starttls', undefined, '', 'starttls'],
    [TLS, 'proceed', undefined, '', 'unknown'],
    [SASL, 'auth', undefined, '', 'auth'],
    [SASL, 'response', undefined, '', 'sasl-reply'],
    [SASL, 'abort', undefined, '', 'sasl-reply'],
    [SASL, 'success', undefined, '', 'unknown'],
    ['urn:xmpp:bidi', 'bidi', undefined, '', 'bidi'],
    ['urn:xmpp:features:bidi', 'bidi', undefined, '', 'unknown'],
    ['urn:xmpp:sm:3', 'enable', undefined, '', 'stream-management'],
    ['urn:xmpp:sm:2', 'enable', undefined, '', 'unknown']
  ]
  for (const [namespace, name, type, prefix, kind] of elements) {
    it(`takes {${namespace}}${name}${type === undefined ? '' : ` of type '${type}'`}${prefix === '' ? '' : ` prefixed ${prefix}`} for ${kind}`, () => {
      assert.equal(kindOf({ namespace, name, type, prefix }), kind)
    })
  }

  it('[RFC6120-4.8.4-a] takes nothing for a stanza that is outside jabber:server, whatever it is called', () => {
    for (const name of ['message', 'presence', 'iq'])
      for (const namespace of ['', 'jabber:client', 'http://example.org/ns2', DB])
        for (const prefix of ['', 'ns2'])
          assert.equal(kindOf({ namespace, name, type: undefined, prefix }), 'unknown', `${prefix}:${name} in ${namespace}`)
  })

  it('[RFC6120-4.8.5-a] lets a stanza under a prefix act in no state', () => {
    for (const name of ['message', 'presence', 'iq'])
      assert.equal(kindOf({ namespace: SERVER, name, type: undefined, prefix: 'x' }), 'prefixed-stanza')
    for (const state of ['clear', 'clear-tls-required', 'tls', 'authenticated'] as const)
      assert.equal(said('prefixed-stanza', state), 'stream-error bad-namespace-prefix')
    assert.equal(said('prefixed-stanza', 'closing'), 'ignore')
  })

  it('[RFC6120-5.3.1-a] lets nothing pass before required TLS but starttls and db:verify, each refusal in its own words', () => {
    const state = 'clear-tls-required'
    assert.equal(said('starttls', state), 'act')
    assert.equal(said('dialback-verify', state), 'act')
    assert.equal(said('auth', state), 'sasl-failure encryption-required')
    assert.equal(said('dialback-key', state), 'dialback-error policy-violation')
    assert.equal(said('stanza', state), 'stream-error policy-violation')
  })

  it('[RFC6120-4.3.5-a] gives stanzas not-authorized until a pair is authenticated, in clear and in TLS', () => {
    assert.equal(said('stanza', 'clear'), 'stream-error not-authorized')
    assert.equal(said('stanza', 'tls'), 'stream-error not-authorized')
    assert.equal(said('stanza', 'authenticated'), 'act')
  })

  it('[RFC6120-4.4-a] still takes stanzas and acknowledgements after our closing tag, and nothing else', () => {
    const taken = ['stanza', 'stream-management']
    for (const kind of KINDS) assert.equal(said(kind, 'closing'), taken.includes(kind) ? 'act' : 'ignore')
  })

  it('[RFC6120-5.4.2.2-a] fails starttls inside TLS and after authentication', () => {
    assert.equal(said('starttls', 'tls'), 'starttls-failure')
    assert.equal(said('starttls', 'authenticated'), 'starttls-failure')
  })

  it('[RFC6120-6.5.4-a] takes SASL in TLS only, and never again after authentication', () => {
    for (const kind of ['auth', 'sasl-reply'] as const) {
      assert.equal(said(kind, 'clear'), 'sasl-failure encryption-required')
      assert.equal(said(kind, 'tls'), 'act')
      assert.equal(said(kind, 'authenticated'), 'stream-error policy-violation')
    }
  })

  it('[XEP0220-3.1-a] takes a dialback answer in no state: what we ask, we ask elsewhere', () => {
    for (const state of ['clear', 'clear-tls-required', 'tls', 'authenticated'] as const) {
      assert.equal(said('dialback-answer', state), 'stream-error policy-violation')
    }
  })

  it('[ENG-BIDI-b] takes <bidi/> inside TLS until somebody is authenticated, and does nothing about it elsewhere', () => {
    assert.equal(said('bidi', 'tls'), 'act')
    for (const state of ['clear', 'clear-tls-required', 'authenticated'] as const) assert.equal(said('bidi', state), 'ignore')
  })

  it('[XEP0220-2.2.2-a] permits db:verify in every open state', () => {
    for (const state of ['clear', 'clear-tls-required', 'tls', 'authenticated'] as const)
      assert.equal(said('dialback-verify', state), 'act')
  })
})
