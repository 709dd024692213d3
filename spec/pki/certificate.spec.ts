import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import type { CertificateFacts } from '../../lib/model/chain.ts'
import { Certificate } from '../../lib/pki/certificate.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { buildCertificate, newKey, objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import { HOUR, NOW, PEER, ca, leaf } from './world.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const refused = (run: () => unknown): boolean => {
  try {
    run()
    return false
  } catch (error) {
    assert.ok(FederationError.is(error), String(error))
    return true
  }
}

describe('a certificate', () => {
  const facts = (der: Buffer): CertificateFacts => new Certificate(der).facts({ left: 1000 })
  const replaced = (from: string, to: string): Buffer => {
    const whole = Buffer.from(leaf().der)
    const at = whole.indexOf(Buffer.from(from))
    assert.ok(at > 0 && from.length === to.length)
    whole.write(to, at, 'latin1')
    return whole
  }
  const shortTime = (at: number): string => new Date(Math.floor(at / 1000) * 1000).toISOString().replace(/^\d\d|[-:T]|\.\d+/g, '')

  it('has dates of RFC 5280 or none, and without dates is never valid', () => {
    const end = shortTime(NOW + 1000 * HOUR)
    assert.equal(facts(leaf().der).notAfter, Math.floor((NOW + 1000 * HOUR) / 1000) * 1000)
    for (const odd of [
      end.replace('Z', '0'),
      `${end.slice(0, 8)}+0100`.padEnd(13, '0'),
      `${end.slice(0, 2)}1332${end.slice(6)}`,
      `${end.slice(0, 2)}0230${end.slice(6)}`,
      `${end.slice(0, 6)}25${end.slice(8)}`
    ]) {
      const der = replaced(end, odd)
      assert.equal(facts(der).notAfter, undefined, odd)
      assert.ok(!new Judge({ default: [] }).judge([der], PEER, NOW, [{ spki256: new Certificate(der).spki256 }]).valid)
    }
    const issued = (notAfter: number): number | undefined => facts(leaf(undefined, { notAfter }).der).notAfter
    for (const at of [
      Date.UTC(1950, 0),
      Date.UTC(1999, 11, 31, 23, 59, 59),
      Date.UTC(2049, 11, 31),
      Date.UTC(2050, 0),
      Date.UTC(9999, 11, 31, 23, 59, 59)
    ])
      assert.equal(issued(at), at)
  })

  it('names its issuer whatever the type and case of the string, and two parts are not one', () => {
    const subjectOf = (...rdns: [string, number, string][][]): Buffer =>
      sequence(
        ...rdns.map(rdn =>
          tlv(
            0x31,
            ...rdn.map(([oid, tag, text]) => sequence(objectId(oid), tlv(tag, Buffer.from(text, tag === 0x1e ? 'utf16le' : 'utf8'))))
          )
        )
      )
    const keyOf = (subject: Buffer): string => new Certificate(leaf(undefined, { subject }).der).subjectKey
    const plain = keyOf(subjectOf([['2.5.4.3', 0x0c, 'Root CA']]))
    assert.equal(keyOf(subjectOf([['2.5.4.3', 0x13, ' root   ca ']])), plain)
    assert.equal(keyOf(subjectOf([['2.5.4.3', 0x1e, '\u5200\u6f00\u6f00\u7400\u2000\u4300\u4100']])), plain)
    for (const other of [
      subjectOf([['2.5.4.10', 0x0c, 'Root CA']]),
      subjectOf([['2.5.4.10', 0x04, 'Root CA']]),
      subjectOf([['2.5.4.3', 0x0c, 'RootCA']]),
      subjectOf([['2.5.4.3', 0x0c, 'Root']], [['2.5.4.3', 0x0c, 'CA']])
    ]) {
      assert.notEqual(keyOf(other), plain)
    }
    const [two, one] = [
      subjectOf([
        ['2.5.4.3', 0x0c, 'a'],
        ['2.5.4.10', 0x0c, 'b']
      ]),
      subjectOf([['2.5.4.3', 0x0c, 'a"+2.5.4.10="b']])
    ]
    assert.notEqual(keyOf(two), keyOf(one))
  })

  it('of version 3 alone has extensions', () => {
    const { publicKey, privateKey } = newKey()
    const der = buildCertificate({ subject: 'a', publicKey, signingKey: privateKey, notBefore: NOW, notAfter: NOW + HOUR }).der
    assert.equal(facts(der).version, 3)
    const second = Buffer.from(der)
    second.writeUInt8(1, second.indexOf(hex('a0 03 02 01 02')) + 4)
    assert.ok(refused(() => new Certificate(second)))
  })

  it('with one bit changed is never valid, and never an exception', () => {
    const root = ca('Root')
    const middle = ca('Middle', root)
    const peer = leaf(middle)
    const judge = new Judge({ default: [root.pem] })
    const flip = fc.record({ which: fc.constantFrom(0, 1), at: fc.nat(), bit: fc.nat(7) })
    fc.assert(
      fc.property(flip, ({ which, at, bit }) => {
        const chain = [Buffer.from(peer.der), Buffer.from(middle.der)]
        const der = chain[which] ?? Buffer.alloc(0)
        const place = at % der.length
        der.writeUInt8(der.readUInt8(place) ^ (1 << bit), place)
        const verdict = judge.judge(chain, PEER, NOW, undefined)
        assert.ok(!verdict.valid, `certificate ${which}, byte ${place}, bit ${bit}`)
      }),
      { numRuns: 600 }
    )
  })

  it('cut off anywhere, or of random bytes, is never valid, and never an exception', () => {
    const root = ca('Root')
    const peer = leaf(root).der
    const judge = new Judge({ default: [root.pem] })
    for (let length = 0; length < peer.length; length++) assert.ok(!judge.judge([peer.subarray(0, length)], PEER, NOW, undefined).valid)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => !judge.judge([Buffer.from(bytes), root.der], PEER, NOW, undefined).valid)
    )
  })
})
