import assert from 'node:assert/strict'
import fc from 'fast-check'
import { domain } from '../../lib/model/domain.ts'
import { decodeSasl, encodeSasl, isOwnAuthzid, readPlain } from '../../lib/rules/sasl.ts'

describe('rules/sasl', () => {
  it('[RFC6120-6.4.2-c] refuses characters outside the alphabet, wrong padding and pad bits that are not zero', () => {
    for (const text of ['Y2Fw*dWxldA==', 'Y===', 'YR==', 'YWJ=', 'Y=Fw', 'Y2F', ' Y2Fw', 'Y2Fw\n', 'Y2Fw====', '==', 'Y2-_']) {
      assert.equal(decodeSasl(text), 'incorrect-encoding', text)
    }
  })

  it('[RFC6120-6.4.2-a] tells no data from the empty string', () => {
    assert.equal(decodeSasl(''), 'none')
    assert.deepEqual(decodeSasl('='), Buffer.alloc(0))
    assert.equal(encodeSasl(Buffer.alloc(0)), '=')
  })

  for (const [name, text] of [
    ['capulet.example', 'Y2FwdWxldC5leGFtcGxl'],
    ['capulet.lit', 'Y2FwdWxldC5saXQ='],
    ['im.example.com', 'aW0uZXhhbXBsZS5jb20='],
    ['conference.example.org', 'Y29uZmVyZW5jZS5leGFtcGxlLm9yZw==']
  ] as const) {
    it(`[RFC6120-6.4.2-a] reads and writes the authorization identity ${name}`, () => {
      assert.equal(encodeSasl(Buffer.from(name)), text)
      const data = decodeSasl(text)
      assert.ok(Buffer.isBuffer(data) && isOwnAuthzid(data, domain(name)))
    })
  }

  it('decodes exactly what it encodes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes =>
        assert.deepEqual(decodeSasl(encodeSasl(Buffer.from(bytes))), Buffer.from(bytes))
      )
    )
  })

  it('[RFC6120-6.4.2-b] takes the empty authorization identity and the stream’s own domain, and no other', () => {
    const from = domain('bücher.example')
    for (const own of ['', 'bücher.example', 'xn--bcher-kva.example', 'BÜCHER.example'])
      assert.ok(isOwnAuthzid(Buffer.from(own), from), own)
    for (const other of [
      'other.example',
      'sub.bücher.example',
      'user@bücher.example',
      'bücher.example/x',
      ' bücher.example',
      '\ufeffbücher.example'
    ]) {
      assert.ok(!isOwnAuthzid(Buffer.from(other), from), other)
    }
    assert.ok(!isOwnAuthzid(Buffer.from([0x62, 0xfc]), from))
  })

  it('reads the three parts of PLAIN (RFC 4616 §2) and refuses anything else', () => {
    const message = readPlain(Buffer.from('\0peer.example\0pass word'))
    assert.equal(message?.username, 'peer.example')
    assert.equal(message.password, 'pass word')
    for (const wrong of ['', 'a', 'a\0b', '\0\0p', '\0u\0', 'a\0b\0c\0d']) assert.equal(readPlain(Buffer.from(wrong)), undefined)
    assert.equal(readPlain(Buffer.from([0, 0xff, 0, 0x61])), undefined)
  })
})
