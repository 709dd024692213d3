import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { KeyPair } from '../../lib/testing/certificate-builder.ts'
import type { Chain, Issued, Wishes } from './world.ts'
import { PEER, ca, chain, derOnly, keysOf, leaf, nameOf, root, through, under } from './world.ts'

/** Chains whose shape is plain: the matter is what one certificate says, its names aside. */
export function contentChains(): Chain[] {
  return [...keys(), ...signatures(), ...purposes(), ...authorities(), ...extensions()]
}

function keys(): Chain[] {
  const types = ['rsa', 'rsa3072', 'rsa-pss', 'p384', 'p521', 'ed25519'] as const
  const strong = types.flatMap(type => {
    const [top, low] = [ca(`Root ${type}`, undefined, { keys: type }), keysOf(type)]
    const between = ca(`Middle ${type}`, top, { keys: type })
    return [chain(`${type} keys throughout`, [leaf(between, { keys: low }), between], [top])]
  })
  const pair = (make: { publicKey: KeyObject; privateKey: KeyObject }): KeyPair => make
  const odd = pair(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }))
  const explicit = pair(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }))
  const byExplicit = ca('Explicit', root, { keys: explicit })
  return [
    ...strong,
    chain('an RSA key of 1024 bits in the leaf', under({ keys: 'rsa1024' }), [root], 'weak'),
    chain('an RSA key of 1024 bits in an intermediate', through({ keys: 'rsa1024' }), [root], 'weak'),
    derOnly(chain('a curve that nobody uses', under({ keys: odd }), [root], 'weak')),
    derOnly(chain('explicit curve parameters in the leaf', under({ keys: explicit }), [root], 'weak')),
    derOnly(chain('explicit curve parameters in an intermediate', [leaf(byExplicit), byExplicit], [root], 'broken-chain')),
    derOnly(chain('an RSA key of 16384 bits', under({ keys: oddRsa(16384, 17) }), [root], 'weak')),
    derOnly(chain('an RSA exponent of 2048 bits', under({ keys: oddRsa(2048, 2048) }), [root], 'weak'))
  ]
}

/** A public key that looks like RSA; its private half is another, since it signs nothing. */
function oddRsa(bits: number, exponentBits: number): KeyPair {
  const number = (length: number): string => Buffer.alloc(length / 8 + (length % 8 === 0 ? 0 : 1), 0xff).toString('base64url')
  const publicKey = createPublicKey({
    format: 'jwk',
    key: { kty: 'RSA', n: number(bits), e: exponentBits === 17 ? 'AQAB' : number(exponentBits) }
  })
  return { publicKey, privateKey: keysOf('rsa').privateKey }
}

function signatures(): Chain[] {
  const rsaRoot = ca('RSA root', undefined, { keys: 'rsa' })
  const oldRoot = ca('SHA-1 root', undefined, { keys: 'rsa', hash: 'sha1' })
  const byRsa = (wishes: Wishes): Issued[] => [leaf(rsaRoot, wishes)]
  const sha1Middle = ca('SHA-1 middle', rsaRoot, { hash: 'sha1' })
  const hashes = (['sha256', 'sha384', 'sha512'] as const).flatMap(hash => [
    chain(`signed with RSA and ${hash}`, byRsa({ hash }), [rsaRoot]),
    chain(`signed with RSA-PSS and ${hash}`, byRsa({ hash, pss: true }), [rsaRoot])
  ])
  return [
    ...hashes,
    chain('a leaf signed with SHA-1', byRsa({ hash: 'sha1' }), [rsaRoot], 'weak'),
    chain('a leaf signed with ECDSA and SHA-1', under({ hash: 'sha1' }), [root], 'weak'),
    chain('a leaf signed with MD5', byRsa({ hash: 'md5' }), [rsaRoot], 'weak'),
    chain('a leaf signed with RSA-PSS and SHA-1', byRsa({ hash: 'sha1', pss: true }), [rsaRoot], 'weak'),
    chain('an intermediate signed with SHA-1', [leaf(sha1Middle), sha1Middle], [rsaRoot], 'weak'),
    chain('a root signed with SHA-1', [leaf(oldRoot)], [oldRoot])
  ]
}

function purposes(): Chain[] {
  const mailRoot = ca('Mail root', undefined, { extendedKeyUsage: ['1.3.6.1.5.5.7.3.4'] })
  const webRoot = ca('Web root', undefined, { extendedKeyUsage: ['serverAuth'] })
  return [
    chain('for servers alone', under({ extendedKeyUsage: ['serverAuth'] }), [root]),
    chain('for servers and clients', under({ extendedKeyUsage: ['serverAuth', 'clientAuth'] }), [root]),
    chain('for clients alone', under({ extendedKeyUsage: ['clientAuth'] }), [root], 'wrong-usage'),
    chain('for any purpose', under({ extendedKeyUsage: ['any'] }), [root], 'wrong-usage'),
    chain('for servers and any purpose', under({ extendedKeyUsage: ['any', 'serverAuth'] }), [root]),
    chain('without a purpose', under({ extendedKeyUsage: undefined }), [root]),
    chain('an intermediate for servers', through({ extendedKeyUsage: ['serverAuth'] }), [root]),
    chain('an intermediate for clients', through({ extendedKeyUsage: ['clientAuth'] }), [root], 'wrong-usage'),
    chain('an intermediate for any purpose', through({ extendedKeyUsage: ['any'] }), [root], 'wrong-usage'),
    chain('a root for servers', [leaf(webRoot)], [webRoot]),
    chain('a root for mail', [leaf(mailRoot)], [mailRoot], 'wrong-usage'),
    chain('key usage for signing certificates only', under({ keyUsage: ['keyCertSign'] }), [root], 'constraint'),
    chain('key usage keyEncipherment', under({ keyUsage: ['keyEncipherment'], keys: 'rsa' }), [root]),
    chain('no key usage', under({ keyUsage: undefined }), [root]),
    chain('a leaf with cA', under({ basicConstraints: { ca: true } }), [root], 'constraint')
  ]
}

function authorities(): Chain[] {
  const bareRoot = ca('Bare root', undefined, { basicConstraints: undefined })
  const unsigning = ca('Unsigning root', undefined, { keyUsage: ['cRLSign'] })
  return [
    chain('an intermediate without basicConstraints', through({ basicConstraints: undefined }), [root], 'constraint'),
    chain('an intermediate that is no CA', through({ basicConstraints: { ca: false } }), [root], 'constraint'),
    chain('an intermediate without keyCertSign', through({ keyUsage: ['digitalSignature'] }), [root], 'constraint'),
    chain('an intermediate without key usage', through({ keyUsage: undefined }), [root]),
    chain('an intermediate of version 1', through({ version: 1 }), [root], 'constraint'),
    chain('a root without basicConstraints', [leaf(bareRoot)], [bareRoot], 'constraint'),
    chain('a root without keyCertSign', [leaf(unsigning)], [unsigning], 'constraint')
  ]
}

function extensions(): Chain[] {
  const unknown = (critical: boolean): Wishes => ({ extensions: [{ oid: '1.2.3.4.5', critical, value: tlv(0x05) }] })
  const raw = (oid: string, value: Buffer): Wishes => ({ extensions: [{ oid, value }] })
  const strictRoot = ca('Odd root', undefined, unknown(true))
  const policies = sequence(sequence(objectId('2.23.140.1.2.1')))
  const san = sequence(tlv(0x82, Buffer.from(PEER)))
  return [
    chain('an unknown extension', under(unknown(false)), [root]),
    chain('an unknown critical extension', under(unknown(true)), [root], 'constraint'),
    chain('an unknown critical extension in an intermediate', through(unknown(true)), [root], 'constraint'),
    chain('an unknown critical extension in the root', [leaf(strictRoot)], [strictRoot], 'constraint'),
    chain('critical certificate policies', under({ extensions: [{ oid: '2.5.29.32', critical: true, value: policies }] }), [root]),
    chain(
      'critical policy constraints',
      through({ extensions: [{ oid: '2.5.29.36', critical: true, value: sequence(tlv(0x80, Buffer.from([0]))) }] }),
      [root],
      'constraint'
    ),
    chain('two subjectAltNames', under(raw('2.5.29.17', san)), [root], 'constraint'),
    chain('two basicConstraints', under({ ...raw('2.5.29.19', sequence()), basicConstraints: {} }), [root], 'constraint'),
    chain(
      'an unknown extension twice',
      under({
        extensions: [
          { oid: '1.2.3', value: tlv(0x05) },
          { oid: '1.2.3', value: tlv(0x05) }
        ]
      }),
      [root],
      'constraint'
    ),
    chain(
      'trailing bytes after the names',
      under({ names: undefined, ...raw('2.5.29.17', Buffer.concat([san, tlv(0x05)])) }),
      [root],
      'constraint',
      'wrong-identity'
    ),
    chain(
      'names of indefinite length',
      under({ names: undefined, ...raw('2.5.29.17', Buffer.concat([Buffer.from([0x30, 0x80]), san.subarray(2), Buffer.alloc(2)])) }),
      [root],
      'constraint',
      'wrong-identity'
    ),
    chain('cA written out as FALSE', under(raw('2.5.29.19', sequence(tlv(0x01, Buffer.from([0]))))), [root], 'constraint'),
    chain('a path length without cA', under({ basicConstraints: { pathLength: 1 } }), [root], 'constraint'),
    chain(
      'rubbish for basicConstraints in an intermediate',
      through({ basicConstraints: undefined, ...raw('2.5.29.19', Buffer.from('rubbish')) }),
      [root],
      'constraint',
      'constraint'
    ),
    chain(
      'a proxy certificate',
      under(raw('1.3.6.1.5.5.7.1.14', sequence(sequence(objectId('1.3.6.1.5.5.7.21.1'))))),
      [root],
      'constraint'
    ),
    chain(
      'address blocks of its own',
      under(raw('1.3.6.1.5.5.7.1.7', sequence(sequence(tlv(0x04, Buffer.from([0, 1])), sequence(tlv(0x03, Buffer.from([0, 10]))))))),
      [root],
      'constraint'
    ),
    chain('malformed key identifiers', under({ keyIdentifiers: false, ...raw('2.5.29.35', Buffer.from('rubbish')) }), [root], 'constraint'),
    chain('malformed distribution points', under(raw('2.5.29.31', Buffer.from('rubbish'))), [root], 'constraint'),
    derOnly(
      chain('a common name that is no text', under({ subject: nameOf('2.5.4.3', 0x12, '12') }), [root], 'constraint', 'wrong-identity')
    ),
    derOnly(
      chain(
        'a common name with NUL',
        under({ subject: nameOf('2.5.4.3', 0x0c, 'peer.example\0.x') }),
        [root],
        'constraint',
        'wrong-identity'
      )
    ),
    chain('the Netscape type of a server', under(raw('2.16.840.1.113730.1.1', tlv(0x03, Buffer.from([6, 0x40])))), [root]),
    chain('the Netscape type of a client', under(raw('2.16.840.1.113730.1.1', tlv(0x03, Buffer.from([7, 0x80])))), [root], 'constraint')
  ]
}
