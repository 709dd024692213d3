import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import type { PresentedName } from '../../lib/model/chain.ts'
import { isNameFor } from '../../lib/rules/names.ts'

const matches = (name: PresentedName, identity: string): boolean => isNameFor(name, domain(identity))
const dns = (value: string, identity: string): boolean => matches({ kind: 'dns', value }, identity)
const srv = (value: string, identity: string): boolean => matches({ kind: 'srv', value }, identity)
const xmpp = (value: string, identity: string): boolean => matches({ kind: 'xmpp', value }, identity)

describe('a name in a certificate', () => {
  it('stands for the very same host, whatever the case of its letters', () => {
    assert.ok(dns('example.com', 'example.com'))
    assert.ok(dns('EXAMPLE.Com', 'example.com'))
    assert.ok(dns('localhost', 'localhost'))
    for (const other of ['example.org', 'a.example.com', 'xexample.com', 'example.com.evil.example', 'com', '']) {
      assert.ok(!dns(other, 'example.com'), other)
    }
  })

  it('[RFC9525-6.3-a] with a wildcard stands for exactly one label in its place', () => {
    assert.ok(dns('*.example.com', 'a.example.com'))
    assert.ok(dns('*.EXAMPLE.com', 'xn--bcher-kva.example.com'))
    assert.ok(!dns('*.example.com', 'example.com'))
    assert.ok(!dns('*.example.com', 'a.b.example.com'))
    assert.ok(!dns('*.example.com', 'aexample.com'))
  })

  it('[RFC9525-6.3-b] with a partial, repeated, inner or top-level wildcard stands for nothing', () => {
    for (const pattern of [
      'f*.example.com',
      '*a.example.com',
      '*.*.com',
      '*.*.example.com',
      'foo.*.com',
      'xn--*.com',
      '*',
      '*.',
      '*.com',
      '**.example.com'
    ]) {
      for (const identity of ['foo.example.com', 'aa.example.com', 'example.com', 'xn--bcher-kva.com']) {
        assert.ok(!dns(pattern, identity), `${pattern} for ${identity}`)
      }
    }
  })

  it('[RFC9525-6.3-d] is compared in A-labels, so that an international domain matches in any case', () => {
    assert.ok(dns('xn--bcher-kva.example', 'bücher.example'))
    assert.ok(dns('XN--BCHER-KVA.EXAMPLE', 'bücher.example'))
    assert.ok(dns('xn--bcher-kva.example', 'BÜCHER.example'))
    assert.ok(!dns('bücher.example', 'bücher.example'))
    assert.ok(!dns('bucher.example', 'bücher.example'))
  })

  it('[SEC-CERT-a] with NUL, a space, a leading or trailing dot, or beyond ASCII stands for nothing', () => {
    for (const odd of [
      'example.com\0',
      'example.com\0.evil.example',
      ' example.com',
      'example.com ',
      '.example.com',
      'example.com.',
      'exam\u017fple.com',
      'e\u212aample.com'
    ]) {
      assert.ok(!dns(odd, 'example.com'), JSON.stringify(odd))
      assert.ok(!srv(`_xmpp-server.${odd}`, 'example.com'), JSON.stringify(odd))
      assert.ok(!xmpp(odd, 'example.com'), JSON.stringify(odd))
    }
    // U+212A, the Kelvin sign, is a k to whoever folds more than ASCII.
    assert.ok(!dns('\u212aey.example', 'key.example'))
  })

  it('[RFC9525-6.5-a] as SRVName counts for the service _xmpp-server alone, in any case', () => {
    assert.ok(srv('_xmpp-server.example.com', 'example.com'))
    assert.ok(srv('_XMPP-Server.Example.com', 'example.com'))
    assert.ok(srv('_xmpp-server.*.example.com', 'a.example.com'))
    for (const other of [
      '_xmpp-client.example.com',
      '_imap.example.com',
      '_xmpps-server.example.com',
      'xmpp-server.example.com',
      '_xmpp-server',
      '_xmpp-server.',
      'example.com',
      '.example.com',
      '*.example.com',
      '*._xmpp-server.example.com'
    ]) {
      assert.ok(!srv(other, 'example.com'), other)
    }
    assert.ok(!srv('_xmpp-server.*.example.com', 'example.com'))
  })

  it('[RFC6120-13.7.1.4-a] as XmppAddr counts as a bare domain, without user, resource or wildcard', () => {
    assert.ok(xmpp('example.com', 'example.com'))
    assert.ok(xmpp('bücher.example', 'bücher.example'))
    assert.ok(xmpp('Bücher.Example', 'bücher.example'))
    assert.ok(xmpp('xn--bcher-kva.example', 'bücher.example'))
    for (const other of ['user@example.com', '*.example.com', 'example.com/x', 'example.com.', '', '@example.com', 'a.example.com']) {
      assert.ok(!xmpp(other, 'example.com'), other)
    }
    assert.ok(!xmpp('*.example.com', 'a.example.com'))
  })

  it('[SEC-CERT-b] of another form stands for nothing, whatever its text says', () => {
    for (const kind of ['email', 'uri', 'ip', 'other'] as const) {
      for (const value of ['example.com', ', DNS:example.com', 'xmpp:example.com', 'https://example.com/']) {
        assert.ok(!matches({ kind, value }, 'example.com'), `${kind} ${value}`)
      }
    }
    assert.ok(!matches({ kind: 'directory', value: ['2.5.4.3="example.com"'] }, 'example.com'))
  })
})
