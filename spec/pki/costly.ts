import { createPublicKey, randomBytes } from 'node:crypto'
import { objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName, KeyPair } from '../../lib/testing/certificate-builder.ts'
import type { Chain, Issued, Wishes } from './world.ts'
import { ca, chain, keysOf, leaf } from './world.ts'

const root = ca('Root')

/** Chains that a stranger might send to keep us busy. None is valid; each has to be judged as quickly as any other. */
export function costlyChains(): Chain[] {
  return [...signatureChecks(), ...names(), ...encodings()]
}

const oneName = ca('Namesake', undefined, { keyIdentifiers: false })
const orphan = leaf(oneName, { keyIdentifiers: false })

function signatureChecks(): Chain[] {
  const namesakes = (count: number, keys: () => KeyPair): Issued[] =>
    Array.from({ length: count }, () => ca('Namesake', { ...root, subject: 'Namesake' }, { keys: keys(), keyIdentifiers: false }))
  const rsaSigned = leaf({ ...oneName, keys: keysOf('rsa') }, { keyIdentifiers: false })
  return [
    chain(
      '80 namesakes with P-521 keys',
      [leaf({ ...oneName, keys: keysOf('p521') }, { keyIdentifiers: false }), ...namesakes(80, () => keysOf('p521'))],
      [root]
    ),
    chain('80 namesakes with RSA keys of 8192 bits', [rsaSigned, ...namesakes(80, () => oddRsa(8192, 4))], [root]),
    chain('80 namesakes with RSA exponents of 64 bits', [rsaSigned, ...namesakes(80, () => oddRsa(8192, 8))], [root]),
    chain('80 namesakes with RSA keys of 65536 bits', [rsaSigned, ...namesakes(14, () => oddRsa(65_536, 3))], [root]),
    chain(
      '256 namesakes with key identifiers',
      [leaf(oneName), ...Array.from({ length: 256 }, () => ca('Namesake', { ...root, subject: 'Namesake' }))],
      [root]
    )
  ]
}

/** A public key that looks like RSA. Its private half is another, since it signs nothing. */
function oddRsa(bits: number, exponentBytes: number): KeyPair {
  const odd = (bytes: number): string => {
    const number = randomBytes(bytes)
    number.writeUInt8(number.readUInt8(0) | 0x80, 0)
    number.writeUInt8(number.readUInt8(bytes - 1) | 1, bytes - 1)
    return number.toString('base64url')
  }
  const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: odd(bits / 8), e: odd(exponentBytes) } })
  return { publicKey, privateKey: root.keys.privateKey }
}

function names(): Chain[] {
  const many = (count: number, make: (at: number) => AltName): AltName[] => Array.from({ length: count }, (_, at) => make(at))
  const everywhere = many(1024, at => ({ dns: `${at}.a` }))
  const limits = { permitted: many(8, at => ({ dns: `${at}.b` })) }
  const deep = (wishes: Wishes): Issued[] => {
    const list = [ca('Other root', undefined, wishes)]
    for (let at = 0; at < 6; at++) list.unshift(ca(`CA ${at}`, list[0], wishes))
    return [leaf(list[0], wishes), ...list]
  }
  return [
    chain('1024 names in every certificate of a path, and constraints on them', deep({ names: everywhere, nameConstraints: limits }), [
      root
    ]),
    chain('a path of constraints', deep({ nameConstraints: { excluded: many(64, at => ({ dns: `${at}.b` })) } }), [root]),
    chain('1024 otherNames', [leaf(root, { names: many(1024, at => ({ srv: `_xmpp-server.${at}.a` })) })], [root]),
    chain('one name of 60 KB', [leaf(root, { names: [{ dns: 'a.'.repeat(30_000) }] })], [root]),
    chain('20000 empty names', [leaf(root, { names: many(20_000, () => ({ dns: '' })) })], [root])
  ]
}

function encodings(): Chain[] {
  const rdn = tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from('a'))))
  const longName = sequence(...Array.from({ length: 4000 }, () => rdn))
  const spaces = sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(`${' '.repeat(25_000)}x`)))))
  let nested: Buffer = Buffer.alloc(0)
  for (let at = 0; at < 10_000; at++) nested = sequence(nested)
  const extension = (oid: string, value: Buffer): Wishes => ({ extensions: [{ oid, value }] })
  const purposes = sequence(...Array.from({ length: 5000 }, () => objectId('1.2.3.4')))
  const crowd = Array.from({ length: 400 }, (_, at) => ({ oid: `1.2.3.${at}`, critical: true, value: Buffer.alloc(0) }))
  return [
    chain('a subject of 4000 parts', [leaf(root, { subject: longName, issuer: longName })], [root]),
    chain('a subject of 25000 spaces', [leaf(root, { subject: spaces, issuer: spaces })], [root]),
    chain('an extension nested 10000 deep', [leaf(root, { names: undefined, ...extension('2.5.29.17', nested) })], [root]),
    chain('constraints nested 10000 deep', [leaf(root, extension('2.5.29.30', nested))], [root]),
    chain('5000 purposes', [leaf(root, { extendedKeyUsage: undefined, ...extension('2.5.29.37', purposes) })], [root]),
    chain('400 critical extensions', [leaf(root, { extensions: crowd })], [root]),
    { ...chain('50000 certificates', [orphan], [root]), presented: [orphan.der, ...Array.from({ length: 50_000 }, () => root.der)] },
    { ...chain('4 MB of rubbish', [], [root]), presented: [Buffer.alloc(4_000_000, 0x30)] },
    { ...chain('4 MB of rubbish beside the leaf', [], [root]), presented: [orphan.der, Buffer.alloc(4_000_000, 0x30)] }
  ]
}
