import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName, KeyPair, RawExtension } from '../../lib/testing/certificate-builder.ts'
import type { Chain, Issued, Wishes } from './world.ts'
import { PEER, ca, chain, derOnly, keysOf, leaf, named } from './world.ts'

const root = ca('Root')
const middle = ca('Middle', root)

/** Chains whose shape is plain: the matter is what one certificate says. */
export function contentChains(): Chain[] {
  return [...keys(), ...signatures(), ...purposes(), ...authorities(), ...names(), ...constraints(), ...extensions()]
}

const EMAIL = '1.2.840.113549.1.9.1'
const attribute = (oid: string, tag: number, text: string): Buffer =>
  sequence(tlv(0x31, sequence(objectId(oid), tlv(tag, Buffer.from(text)))))
const under = (wishes: Wishes): Issued[] => [leaf(middle, wishes), middle]
const through = (wishes: Wishes): Issued[] => {
  const issuer = ca('Other middle', root, wishes)
  return [leaf(issuer), issuer]
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

function names(): Chain[] {
  const good = (name: string, ...list: AltName[]): Chain => chain(name, under(named(...list)), [root])
  const bad = (name: string, ...list: AltName[]): Chain => chain(name, under(named(...list)), [root], 'wrong-identity')
  return [
    good('an SRVName alone', { srv: '_xmpp-server.peer.example' }),
    good('an XmppAddr alone', { xmpp: PEER }),
    good('the name among others', { dns: '*.example.net' }, { dns: 'f*.example' }, { uri: 'https://x.example/' }, { dns: PEER }),
    bad('a common name alone', { email: 'admin@peer.example' }),
    chain('no names at all', under({ subject: PEER, names: undefined }), [root], 'wrong-identity'),
    bad('a wildcard under a top-level domain', { dns: '*.example' }),
    bad('a partial wildcard', { dns: 'pee*.example' }),
    bad('a trailing dot', { dns: 'peer.example.' }),
    bad('a leading dot', { dns: '.peer.example' }),
    bad('a space', { dns: 'peer.example ' }),
    bad('text of another name', { uri: 'x:, DNS:peer.example' }, { other: '1.2.3', value: tlv(0x0c, Buffer.from(', DNS:peer.example')) }),
    chain('a NUL', under(named({ dns: 'peer.example\0.mallory.example' })), [root], 'constraint', 'wrong-identity'),
    chain('a NUL beside a good name', under(named({ dns: PEER }, { dns: 'x\0y' })), [root], 'constraint', 'wrong-identity'),
    chain('1024 names', under(named(...Array.from({ length: 1023 }, (_, at) => ({ dns: `${at}.example` })), { dns: PEER })), [root]),
    derOnly(
      chain(
        '1025 names',
        under(named(...Array.from({ length: 1024 }, (_, at) => ({ dns: `${at}.example` })), { dns: PEER })),
        [root],
        'constraint',
        'wrong-identity'
      )
    )
  ]
}

function constraints(): Chain[] {
  const limited = (nameConstraints: Wishes['nameConstraints'], wishes: Wishes = {}): Issued[] => {
    const issuer = ca('Limited', root, { nameConstraints })
    return [leaf(issuer, wishes), issuer]
  }
  const good = (name: string, of: Wishes['nameConstraints'], wishes: Wishes = {}): Chain => chain(name, limited(of, wishes), [root])
  const bad = (name: string, of: Wishes['nameConstraints'], wishes: Wishes = {}): Chain =>
    chain(name, limited(of, wishes), [root], 'constraint')
  const everyAddress = [{ ip: Buffer.alloc(8) }, { ip: Buffer.alloc(32) }]
  const limitedRoot = ca('Limited root', undefined, { nameConstraints: { permitted: [{ dns: 'other.example' }] } })
  const twice = ca('Below', limitedRoot)
  const subtree = (extra: Buffer): RawExtension[] => [
    { oid: '2.5.29.30', critical: true, value: sequence(tlv(0xa0, sequence(tlv(0x82, Buffer.from('example')), extra))) }
  ]
  return [
    good('names permitted', { permitted: [{ dns: 'example' }], excluded: everyAddress }),
    good('names permitted exactly', { permitted: [{ dns: 'PEER.example' }] }),
    good('other names excluded', { excluded: [{ dns: 'other.example' }, { dns: 'eer.example' }] }),
    good('subjects permitted', { permitted: [{ directory: 'PEER' }] }),
    good('a constraint on addresses, of which there are none', { permitted: [{ ip: Buffer.alloc(8) }] }),
    good(
      'an address permitted',
      { permitted: [{ ip: Buffer.from([10, 0, 0, 0, 255, 0, 0, 0]) }] },
      named({ dns: PEER }, { ip: Buffer.from([10, 1, 2, 3]) })
    ),
    good('a constraint that is not critical', { permitted: [{ dns: 'example' }], critical: false }),
    bad('the name excluded', { excluded: [{ dns: 'peer.example' }] }),
    bad('the name not permitted', { permitted: [{ dns: 'other.example' }] }),
    bad('the name not permitted, as the constraint ends within a label', { permitted: [{ dns: 'er.example' }] }),
    bad('only subdomains permitted', { permitted: [{ dns: '.peer.example' }] }),
    bad('one of two names not permitted', { permitted: [{ dns: 'peer.example' }] }, named({ dns: PEER }, { dns: 'other.example' })),
    bad(
      'an SRVName outside what DNS names are permitted',
      { permitted: [{ dns: 'other.example' }] },
      named({ srv: '_xmpp-server.peer.example' })
    ),
    bad('an XmppAddr outside what DNS names are permitted', { permitted: [{ dns: 'other.example' }] }, named({ xmpp: PEER })),
    bad('a wildcard over an excluded name', { excluded: [{ dns: 'a.peer.example' }] }, named({ dns: PEER }, { dns: '*.peer.example' })),
    bad('the subject not permitted', { permitted: [{ directory: 'somebody' }] }),
    bad(
      'an address not permitted',
      { permitted: [{ ip: Buffer.from([10, 0, 0, 0, 255, 0, 0, 0]) }] },
      named({ dns: PEER }, { ip: Buffer.from([11, 1, 2, 3]) })
    ),
    bad(
      'an e-mail address under a constraint on those',
      { permitted: [{ email: 'peer.example' }] },
      named({ dns: PEER }, { email: 'a@peer.example' })
    ),
    bad(
      'a URI under a constraint on those',
      { excluded: [{ uri: 'peer.example' }] },
      named({ dns: PEER }, { uri: 'https://peer.example/' })
    ),
    bad('a constraint on names of an unknown form', {
      permitted: [{ other: '1.3.6.1.5.5.7.8.7', value: tlv(0x16, Buffer.from('_xmpp-server.peer.example')) }]
    }),
    chain(
      "a leaf of its issuer's name, not permitted",
      limited({ permitted: [{ dns: 'other.example' }] }, { subject: 'Limited' }),
      [root],
      'constraint'
    ),
    good(
      'a common name permitted',
      { permitted: [{ dns: 'example' }] },
      { subject: 'a.example', names: [{ srv: '_xmpp-server.peer.example' }] }
    ),
    bad(
      'a common name not permitted',
      { permitted: [{ dns: 'example' }] },
      { subject: 'a.other', names: [{ srv: '_xmpp-server.peer.example' }] }
    ),
    bad('a common name excluded', { excluded: [{ dns: 'other' }] }, { subject: 'A.Other', names: [{ srv: '_xmpp-server.peer.example' }] }),
    good('a common name not permitted, beside DNS names', { permitted: [{ dns: 'example' }] }, { subject: 'a.other' }),
    good('an e-mail address in the subject', { permitted: [{ dns: 'example' }] }, { subject: attribute(EMAIL, 0x16, 'a@b.example') }),
    bad(
      'an e-mail address in the subject, in UTF-8',
      { permitted: [{ dns: 'example' }] },
      { subject: attribute(EMAIL, 0x0c, 'a@b.example') }
    ),
    bad(
      'an e-mail address in the subject, under a constraint on those',
      { permitted: [{ email: 'c.example' }] },
      { subject: attribute(EMAIL, 0x16, 'a@b.example') }
    ),
    chain('a constraint in the root, two levels up', [leaf(twice), twice], [limitedRoot], 'constraint'),
    chain('a constraint with a minimum', through({ extensions: subtree(tlv(0x80, Buffer.from([1]))) }), [root], 'constraint'),
    chain('a constraint with a maximum', through({ extensions: subtree(tlv(0x81, Buffer.from([9]))) }), [root], 'constraint')
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
      chain('a common name that is no text', under({ subject: attribute('2.5.4.3', 0x12, '12') }), [root], 'constraint', 'wrong-identity')
    ),
    derOnly(
      chain(
        'a common name with NUL',
        under({ subject: attribute('2.5.4.3', 0x0c, 'peer.example\0.x') }),
        [root],
        'constraint',
        'wrong-identity'
      )
    ),
    chain('the Netscape type of a server', under(raw('2.16.840.1.113730.1.1', tlv(0x03, Buffer.from([6, 0x40])))), [root]),
    chain('the Netscape type of a client', under(raw('2.16.840.1.113730.1.1', tlv(0x03, Buffer.from([7, 0x80])))), [root], 'constraint')
  ]
}
