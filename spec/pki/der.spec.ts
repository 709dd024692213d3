import assert from 'node:assert/strict'
import { AsnConvert } from '@peculiar/asn1-schema'
import { SubjectAlternativeName } from '@peculiar/asn1-x509'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import type { PresentedName } from '../../lib/model/chain.ts'
import { readSignatureHash } from '../../lib/pki/algorithms.ts'
import { Certificate } from '../../lib/pki/certificate.ts'
import { countTlvs, readAll, readObjectId, readOne, readUnsigned } from '../../lib/pki/der.ts'
import { readAltNames } from '../../lib/pki/general-names.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { generalName, objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName } from '../../lib/testing/certificate-builder.ts'
import { NOW, PEER, leaf, named } from './world.ts'

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
