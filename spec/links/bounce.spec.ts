import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { ERRORS, FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import { bounce } from '../../lib/links/bounce.ts'
import { receivedStreamError } from '../../lib/xml/stream-error.ts'

const STANZA_ERRORS = 'urn:ietf:params:xml:ns:xmpp-stanzas'
const stanza = (name: string, type?: string): Element =>
  new Element(name, { from: 'juliet@a.example/x', to: 'romeo@b.example', id: 'm1', ...(type === undefined ? {} : { type }) })
/** The condition of a bounce, its type, and who is said to have made it. */
const answered = (bounced: Element | undefined): readonly unknown[] => {
  const error = bounced?.getChild('error')
  return [error?.getChildElements()[0]?.getName(), error?.attrs['type'], error?.attrs['by']]
}
const codes = Object.keys(ERRORS) as ErrorCode[]

describe('bouncing a stanza that could not be sent', () => {
  it('[RFC6120-8.3.1-b] swaps the addresses and keeps kind and id', () => {
    for (const name of ['message', 'presence', 'iq']) {
      const bounced = bounce(stanza(name, name === 'iq' ? 'get' : undefined), new FederationError('S2S_DNS_NO_SERVICE'))
      assert.equal(bounced?.getName(), name)
      assert.deepEqual({ ...bounced.attrs }, { type: 'error', from: 'romeo@b.example', to: 'juliet@a.example/x', id: 'm1' })
    }
  })

  it('[RFC6120-8.3.1-a] answers no error and no iq result', () => {
    const error = new FederationError('S2S_TIMEOUT')
    for (const name of ['message', 'presence', 'iq']) assert.equal(bounce(stanza(name, 'error'), error), undefined)
    assert.equal(bounce(stanza('iq', 'result'), error), undefined)
    const once = bounce(stanza('message'), error)
    assert.ok(once)
    assert.equal(bounce(once, error), undefined)
  })

  it('is made for stanzas only', () => {
    const error = new FederationError('S2S_TIMEOUT')
    for (const none of [new Element('foo'), new Element('message', { xmlns: 'urn:other' })])
      assert.throws(() => bounce(none, error), { code: 'S2S_ADDRESS' })
    assert.ok(bounce(new Element('message', { xmlns: 'jabber:client' }), error))
  })

  it('takes an error of somebody else for an internal one, and tells nothing of it', () => {
    const caught: unknown = new Error('password of the database')
    const bounced = bounce(stanza('message'), caught as FederationError)
    assert.deepEqual(answered(bounced).slice(0, 2), ['internal-server-error', 'cancel'])
    assert.doesNotMatch(bounced?.toString() ?? '', /password|undefined/)
  })

  it('has exactly one condition, with its type, for every code', () => {
    for (const code of codes) {
      const error = bounce(stanza('message'), new FederationError(code))?.getChild('error')
      const conditions = error?.getChildElements().filter(each => each.getNS() === STANZA_ERRORS && each.getName() !== 'text') ?? []
      assert.deepEqual(
        conditions.map(each => each.getName()),
        [ERRORS[code].bounce[0]],
        code
      )
      assert.equal(error?.attrs['type'], ERRORS[code].bounce[1])
    }
  })

  it('names neither servers nor addresses: a bounce in an anonymous room would tell who is in it', () => {
    const error = new FederationError('S2S_CONNECT_FAILED', { detail: 'xmpp.b.example [192.0.2.1]:5269 refused' })
    assert.doesNotMatch(bounce(stanza('message'), error)?.toString() ?? '', /192\.0\.2\.1|xmpp\.b/)
  })

  const told = (condition: string): FederationError => {
    const error = new Element('stream:error', { 'xmlns:stream': 'http://etherx.jabber.org/streams' })
    error.c(condition, { xmlns: 'urn:ietf:params:xml:ns:xmpp-streams' })
    return receivedStreamError(error)
  }
  for (const [cause, condition, type] of [
    ['host-unknown', 'remote-server-not-found', 'cancel'],
    ['host-gone', 'remote-server-not-found', 'cancel'],
    ['policy-violation', 'remote-server-timeout', 'wait'],
    ['undefined-condition', 'remote-server-timeout', 'wait']
  ] as const)
    it(`[RFC6120-10.4.3-a] what meets the stream error ${cause} bounces as ${condition} of type ${type}`, () => {
      assert.deepEqual(answered(bounce(stanza('message'), told(cause))), [condition, type, undefined])
    })

  const table: readonly (readonly [ErrorCode, string, string])[] = [
    ['S2S_DNS_NO_SERVICE', 'remote-server-not-found', 'cancel'],
    ['S2S_DNS_SERVICE_REFUSED', 'remote-server-not-found', 'cancel'],
    ['S2S_DNS_FAILED', 'remote-server-timeout', 'wait'],
    ['S2S_CONNECT_FAILED', 'remote-server-timeout', 'wait'],
    ['S2S_TIMEOUT', 'remote-server-timeout', 'wait'],
    ['S2S_TLS_HANDSHAKE', 'remote-server-timeout', 'wait'],
    ['S2S_CERTIFICATE', 'remote-server-timeout', 'wait'],
    ['S2S_CERTIFICATE_REFUSED', 'remote-server-timeout', 'wait'],
    ['S2S_TLS_NOT_OFFERED', 'remote-server-timeout', 'wait'],
    ['S2S_SASL_REFUSED', 'remote-server-timeout', 'wait'],
    ['S2S_STREAM_CLOSED', 'remote-server-timeout', 'wait'],
    ['S2S_DIALBACK_INVALID', 'internal-server-error', 'cancel'],
    ['S2S_DIALBACK_ERROR', 'remote-server-timeout', 'wait'],
    ['S2S_QUEUE_FULL', 'resource-constraint', 'wait'],
    ['S2S_POLICY', 'not-allowed', 'cancel'],
    ['S2S_ADDRESS', 'jid-malformed', 'modify'],
    ['S2S_NOT_HOSTED', 'not-allowed', 'cancel'],
    ['S2S_TOO_LARGE', 'policy-violation', 'modify']
  ]
  for (const [code, condition, type] of table)
    it(`[RFC6120-10.4.3-a] ${code} bounces as ${condition} of type ${type}`, () => {
      assert.deepEqual(answered(bounce(stanza('message'), new FederationError(code))), [condition, type, undefined])
    })
})
