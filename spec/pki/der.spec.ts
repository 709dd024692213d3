import assert from 'node:assert/strict'
import { AsnConvert } from '@peculiar/asn1-schema'
import { SubjectAlternativeName } from '@peculiar/asn1-x509'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import type { CertificateFacts, PresentedName } from '../../lib/model/chain.ts'
import { readSignatureHash } from '../../lib/pki/algorithms.ts'
import { Certificate } from '../../lib/pki/certificate.ts'
import { countTlvs, readAll, readObjectId, readOne, readUnsigned } from '../../lib/pki/der.ts'
import { readAltNames } from '../../lib/pki/general-names.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { buildCertificate, generalName, newKey, objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName } from '../../lib/testing/certificate-builder.ts'
import { HOUR, NOW, PEER, ca, leaf, named } from './world.ts'

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

const VECTOR = `MIICBzCCAa6gAwIBAgIUSLaDW0Areign490y3rw1KZ6TFbowCgYIKoZIzj0EAwIwGjEYMBYGA1UEAwwPaWdub3JlZC5leGFtcGxlMCAXDTI2MTEyMDIyNDUyNloYDzIx
MjYxMDI3MjI0NTI2WjAaMRgwFgYDVQQDDA9pZ25vcmVkLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT8qDaNcjzE9aRnng2kwfSTzZ5zsS6lidXWRQQe
kM3VzTE81Ksc6xtCMsLSEQ0Nq1tPJBssfbxo1FyAi99LucZho4HPMIHMMAwGA1UdEwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMHgG
A1UdEQRxMG+CD2NhcHVsZXQuZXhhbXBsZYIRKi5jYXB1bGV0LmV4YW1wbGWgHQYIKwYBBQUHCAWgEQwPY2FwdWxldC5leGFtcGxloCoGCCsGAQUFBwgHoB4WHF94bXBw
LXNlcnZlci5jYXB1bGV0LmV4YW1wbGUwHQYDVR0OBBYEFBQ44MwsaL5iE+7wc31YTuJ4KZb/MAoGCCqGSM49BAMCA0cAMEQCIEK3DHFzrOYDwldhYhibBchn8Fjl1NRw
jICRD4UoHaZMAiA5Tu7t4ZUwXNuY/O8TEoWAMhnCcFAIssiIJBUjiKch7g==`

describe('a reader of DER', () => {
  it('takes definite, minimal lengths and one-byte tags, and nothing cut off or left over', () => {
    for (const bad of [
      '30',
      '30 80 00 00',
      '30 81 01 00',
      '30 82 00 81',
      '30 02 01',
      '30 85 00 00 00 00 01 00',
      '1f 81 01 00',
      '04 83 00 00 01 00'
    ]) {
      assert.ok(
        refused(() => readAll(hex(bad))),
        bad
      )
    }
    assert.ok(refused(() => readOne(hex('05 00 05 00'), 0x05)))
    assert.ok(refused(() => readOne(Buffer.alloc(0), 0x05)))
    assert.ok(refused(() => readOne(hex('05 00'), 0x04)))
    assert.deepEqual(readOne(hex('04 01 07'), 0x04).value, hex('07'))
    assert.equal(readOne(Buffer.concat([hex('04 81 80'), Buffer.alloc(128)]), 0x04).value.length, 128)
  })

  it('counts no deeper and no further than it was told', () => {
    assert.equal(countTlvs(hex('30 06 04 00 30 02 04 00'), 4), 4)
    assert.ok(refused(() => countTlvs(hex('30 06 04 00 30 02 04 00'), 3)))
    let nested: Buffer = Buffer.alloc(0)
    for (let at = 0; at < 14; at++) nested = sequence(nested)
    assert.ok(refused(() => countTlvs(nested, 1000)))
    assert.ok(refused(() => readAll(Buffer.alloc(4000))))
  })

  it('reads object identifiers, each in one way only', () => {
    for (const oid of ['2.5.29.17', '1.3.6.1.5.5.7.8.7', '0.9.2342.19200300.100.1.25', '2.999.1', '1.2.840.113549.1.1.11']) {
      assert.equal(readObjectId(readOne(objectId(oid), 0x06).value), oid)
    }
    assert.ok(refused(() => readObjectId(hex('55 80 1d'))))
    assert.ok(refused(() => readObjectId(hex('55 9d'))))
    assert.ok(refused(() => readObjectId(Buffer.alloc(0))))
    assert.match(readObjectId(hex('69 82 80 80 80 80 80 80 80 80 01')), /^#/)
  })

  it('reads integers that are not negative, each in one way only', () => {
    assert.deepEqual(readUnsigned(hex('00 80')), hex('80'))
    assert.deepEqual(readUnsigned(hex('00')), hex('00'))
    for (const bad of ['', '80', '00 7f', '00 00'])
      assert.ok(
        refused(() => readUnsigned(hex(bad))),
        bad
      )
  })
})

describe('the hash under a signature', () => {
  const hashOf = (...parameters: Buffer[]): string =>
    readSignatureHash(readOne(sequence(objectId('1.2.840.113549.1.1.10'), sequence(...parameters)), 0x30))
  const hash = (oid: string): Buffer => sequence(objectId(oid))
  const mask = (oid: string): Buffer => tlv(0xa1, sequence(objectId('1.2.840.113549.1.1.8'), hash(oid)))
  const [sha256, sha512] = ['2.16.840.1.101.3.4.2.1', '2.16.840.1.101.3.4.2.3'] as const

  it('of RSASSA-PSS is the weaker of its two, and SHA-1 where one is left out', () => {
    assert.equal(hashOf(tlv(0xa0, hash(sha512)), mask(sha256)), 'sha256')
    assert.equal(hashOf(tlv(0xa0, hash(sha256)), mask(sha512)), 'sha256')
    assert.equal(hashOf(tlv(0xa0, hash(sha256))), 'sha1')
    assert.equal(hashOf(mask(sha256)), 'sha1')
    assert.equal(hashOf(), 'sha1')
    assert.equal(readSignatureHash(readOne(sequence(objectId('1.2.840.113549.1.1.10')), 0x30)), 'sha1')
    assert.equal(hashOf(tlv(0xa0, hash(sha256)), mask('1.2.3')), '1.2.3')
    assert.equal(hashOf(tlv(0xa0, hash('1.2.3')), mask(sha256)), '1.2.3')
  })
})

describe('the names of a certificate', () => {
  const names = (...list: AltName[]): PresentedName[] => readAltNames(sequence(...list.map(generalName)))

  it('are read from DER with their kinds, otherNames included', () => {
    assert.deepEqual(new Certificate(Buffer.from(VECTOR, 'base64')).facts({ left: 100 }).names, [
      { kind: 'dns', value: 'capulet.example' },
      { kind: 'dns', value: '*.capulet.example' },
      { kind: 'xmpp', value: 'capulet.example' },
      { kind: 'srv', value: '_xmpp-server.capulet.example' }
    ])
    const second =
      '305c820f636170756c65742e6578616d706c65a01d06082b06010505070805a0110c0f636170756c65742e6578616d706c65a02a06082b06010505070807a01e161c5f786d70702d7365727665722e636170756c65742e6578616d706c65'
    assert.deepEqual(
      readAltNames(hex(second)).map(name => name.kind),
      ['dns', 'xmpp', 'srv']
    )
  })

  it('[SEC-CERT-b] stay what they are, whatever their text says', () => {
    const text = ', DNS:victim.example'
    const list = names(
      { uri: text },
      { email: text },
      { xmpp: text },
      { other: '1.2.3', value: tlv(0x0c, Buffer.from(text)) },
      { directory: text }
    )
    assert.deepEqual(
      list.map(name => name.kind),
      ['uri', 'email', 'xmpp', 'other', 'directory']
    )
    const judge = new Judge({ default: [] })
    const verdict = judge.judge(
      [leaf(undefined, named({ uri: `x${text}` }, { xmpp: text }, { dns: `a${text}` })).der],
      PEER,
      NOW,
      undefined
    )
    assert.ok(verdict.problems.some(problem => problem.kind === 'wrong-identity'))
  })

  it('spoil the certificate where their bytes are not of their type', () => {
    const otherName = (oid: string, ...parts: Buffer[]): AltName => ({ raw: tlv(0xa0, objectId(oid), ...parts) })
    const bad: Record<string, AltName> = {
      'NUL in a dNSName': { dns: 'peer.example\0' },
      'UTF-8 in a dNSName': { dns: 'pêer.example' },
      'Latin-1 in a dNSName': { dns: Buffer.from('p\xeaer.example', 'latin1') },
      'bad UTF-8 in an XmppAddr': { other: '1.3.6.1.5.5.7.8.5', value: tlv(0x0c, hex('ff fe')) },
      'an XmppAddr in an IA5String': { other: '1.3.6.1.5.5.7.8.5', value: tlv(0x16, Buffer.from('peer.example')) },
      'an SRVName in a UTF8String': { other: '1.3.6.1.5.5.7.8.7', value: tlv(0x0c, Buffer.from('_xmpp-server.peer.example')) },
      'two values in an otherName': otherName('1.3.6.1.5.5.7.8.5', tlv(0xa0, tlv(0x0c), tlv(0x0c))),
      'an otherName without its tag': otherName('1.3.6.1.5.5.7.8.5', tlv(0x0c, Buffer.from('peer.example'))),
      'an otherName with more behind': otherName('1.3.6.1.5.5.7.8.5', tlv(0xa0, tlv(0x0c, Buffer.from('peer.example'))), tlv(0x05)),
      'an address of five bytes': { ip: Buffer.alloc(5) },
      'an unknown form': { raw: tlv(0x89) },
      'a constructed dNSName': { raw: tlv(0xa2, tlv(0x16, Buffer.from('peer.example'))) }
    }
    for (const [what, name] of Object.entries(bad))
      assert.ok(
        refused(() => names({ dns: 'peer.example' }, name)),
        what
      )
  })

  it('are what the library of the other extensions reads, whatever they are', () => {
    const text = fc.stringMatching(/^[ -~]{0,20}$/)
    const name: fc.Arbitrary<AltName> = fc.oneof(
      text.map(dns => ({ dns })),
      text.map(email => ({ email })),
      text.map(uri => ({ uri })),
      text.map(srv => ({ srv })),
      fc.string({ maxLength: 20 }).map(xmpp => ({ xmpp: xmpp.toWellFormed() })),
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ip => ({ ip: Buffer.from(ip) })),
      text.map(directory => ({ directory }))
    )
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 8 }), list => {
        const der = sequence(...list.map(generalName))
        const theirs = [...AsnConvert.parse(der, SubjectAlternativeName)].map(one => {
          if (one.dNSName !== undefined) return `dns ${one.dNSName}`
          if (one.rfc822Name !== undefined) return `email ${one.rfc822Name}`
          if (one.uniformResourceIdentifier !== undefined) return `uri ${one.uniformResourceIdentifier}`
          if (one.iPAddress !== undefined) return 'ip'
          if (one.directoryName !== undefined) return 'directory'
          const value = readAll(Buffer.from(one.otherName?.value ?? new ArrayBuffer(0)))[0]?.value.toString()
          return `${one.otherName?.typeId === '1.3.6.1.5.5.7.8.7' ? 'srv' : 'xmpp'} ${value ?? ''}`
        })
        const ours = readAltNames(der).map(one => (one.kind === 'ip' || one.kind === 'directory' ? one.kind : `${one.kind} ${one.value}`))
        assert.deepEqual(ours, theirs)
      }),
      { numRuns: 300 }
    )
  })
})

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
