import { objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { Chain, Issued } from './world.ts'
import { HOUR, NOW, ca, chain, derOnly, keysOf, leaf, named } from './world.ts'

const root = ca('Root')
const middle = ca('Middle', root)
const strangers = ca('Stranger')
const peer = leaf(middle)

/** Chains whose shape is the matter: what is presented, in which order, and where it leads. */
export function pathChains(): Chain[] {
  return [...goodShapes(), ...selfSigned(), ...nowhere(), ...attacks(), ...crowds(), ...lengths(), ...dates()]
}

function goodShapes(): Chain[] {
  const [old, renewed] = renewedRoot()
  const lower = ca('Lower', middle)
  const deep = leaf(lower)
  const crossed = ca('Crossed', root)
  const crossedByStranger = ca('Crossed', strangers, { keys: crossed.keys })
  const past = { notBefore: NOW - 9 * HOUR, notAfter: NOW - HOUR } as const
  const fresh = ca('Fresh', root)
  const stale = ca('Fresh', root, { keys: fresh.keys, ...past })
  const staler = ca('Fresh', root, { keys: fresh.keys, ...past, notAfter: NOW - 2 * HOUR })
  const noIds = { keyIdentifiers: false } as const
  const spelled = ca('Spelled', root)
  const spelling = sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x13, Buffer.from(' spelled')))))
  return [
    chain('leaf under the root', [leaf(root)], [root]),
    chain('one intermediate', [peer, middle], [root]),
    chain('the root sent along', [peer, middle, root], [root]),
    chain('intermediates in reverse order', [deep, middle, lower], [root]),
    chain('every certificate twice', [peer, peer, middle, middle, root, root], [root]),
    chain('an intermediate that was not sent, but is trusted beside the root', [peer], [root, middle]),
    chain('an expired root and its renewal under one key', [leaf(renewed)], [old, renewed]),
    chain('an intermediate cross-signed by a stranger, too', [leaf(crossed), crossed, crossedByStranger], [root]),
    chain(
      'an intermediate cross-signed by a stranger, that one first',
      [leaf(crossed), crossedByStranger, crossed],
      [root],
      'broken-chain'
    ),
    chain('an expired intermediate and its renewal under one key', [leaf(fresh), stale, fresh], [root]),
    chain('two expired intermediates under one key', [leaf(fresh), stale, staler], [root], 'expired'),
    chain(
      'a root of the name of an intermediate, without identifiers',
      [leaf(middle, noIds), middle],
      [root, ca('Middle', undefined, noIds)],
      'broken-chain'
    ),
    chain('an issuer of the right name and key, but another identifier', [leaf(middle, misnamed), middle], [root], 'constraint'),
    chain('the issuer named in another string type', [leaf({ ...spelled, subject: spelling }), spelled], [root]),
    chain('two roots of one name, the other first', [leaf(root)], [ca('Root'), root]),
    chain('a root of version 1', [leaf(versionOne)], [versionOne]),
    chain('unrelated certificates between', [peer, leaf(strangers), strangers, middle], [root]),
    derOnly({
      ...chain('rubbish between', [peer, middle], [root]),
      presented: [peer.der, Buffer.from('rubbish'), Buffer.alloc(0), middle.der]
    })
  ]
}

const misnamed = {
  keyIdentifiers: false,
  extensions: [{ oid: '2.5.29.35', value: sequence(tlv(0x80, Buffer.alloc(20))) }]
} as const
const versionOne = ca('Version 1', undefined, { version: 1 })

function renewedRoot(): [Issued, Issued] {
  const old = ca('Renewed', undefined, { notBefore: NOW - 9 * HOUR, notAfter: NOW - HOUR })
  return [old, ca('Renewed', undefined, { keys: old.keys })]
}

function selfSigned(): Chain[] {
  const isCa = { basicConstraints: { ca: true } } as const
  const plain = leaf()
  const asCa = leaf(undefined, isCa)
  return [
    chain('self-signed', [plain], [root], 'self-signed'),
    chain('self-signed with cA', [asCa], [root], 'self-signed'),
    chain(
      'self-signed without key usage or purpose',
      [leaf(undefined, { ...isCa, keyUsage: undefined, extendedKeyUsage: undefined })],
      [root],
      'self-signed'
    ),
    chain('self-signed with strangers behind', [plain, strangers, middle], [root], 'self-signed'),
    chain('self-signed under the name of the root', [leaf(undefined, { subject: 'Root' })], [root], 'self-signed'),
    chain('self-signed and trusted itself', [plain], [root, plain]),
    chain('self-signed with cA and trusted itself', [asCa], [asCa]),
    chain('self-signed and expired', [leaf(undefined, { notAfter: NOW - HOUR / 2 })], [root], 'expired', 'self-signed'),
    chain('self-signed for another domain', [leaf(undefined, named({ dns: 'other.example' }))], [root], 'self-signed', 'wrong-identity'),
    chain('self-signed for clients', [leaf(undefined, { extendedKeyUsage: ['clientAuth'] })], [root], 'self-signed', 'wrong-usage'),
    chain('self-signed of version 1', [leaf(undefined, { version: 1 })], [root], 'self-signed', 'wrong-identity'),
    chain('self-issued, but signed by another key', [leaf({ ...strangers, subject: 'peer' })], [root], 'untrusted-issuer')
  ]
}

function nowhere(): Chain[] {
  return [
    chain('an intermediate that was not sent', [peer], [root], 'broken-chain'),
    chain('an unknown root sent along', [leaf(strangers), strangers], [root], 'untrusted-issuer'),
    chain('an unknown root not sent', [leaf(strangers)], [root], 'broken-chain'),
    chain('an intermediate alone is trusted', [peer, middle], [strangers, middle], 'broken-chain'),
    derOnly({ ...chain('no certificate', [], [root], 'missing') }),
    derOnly({ ...chain('rubbish', [], [root], 'constraint', 'wrong-identity'), presented: [Buffer.from('not a certificate')] })
  ]
}

function attacks(): Chain[] {
  const mallory = keysOf('ec')
  const forged = leaf({ ...middle, keys: mallory })
  const forgedMiddle = ca('Middle', { ...root, keys: mallory })
  const asIssuer = (wishes: object): Issued => ({ ...leaf(middle, { names: [{ dns: 'mallory.example' }], ...wishes }), subject: 'peer' })
  const ordinary = asIssuer({ subject: 'mallory' })
  const pretender = asIssuer({ subject: 'mallory', basicConstraints: { ca: false }, keyUsage: ['digitalSignature', 'keyCertSign'] })
  const under = (issuer: Issued): Issued => leaf({ ...issuer, subject: 'mallory' })
  const broken = Buffer.from(peer.der)
  broken.writeUInt8((broken.at(-1) ?? 0) ^ 1, broken.length - 1)
  return [
    chain('a self-signed leaf before a genuine chain', [leaf(), peer, middle, root], [root], 'self-signed'),
    chain('a forged leaf under a genuine intermediate', [forged, middle, root], [root], 'broken-chain'),
    chain('a forged intermediate under a genuine root', [leaf(forgedMiddle), forgedMiddle, root], [root], 'broken-chain'),
    chain('a leaf that issues', [under(ordinary), ordinary, middle], [root], 'constraint', 'constraint'),
    chain('a leaf that issues, with keyCertSign', [under(pretender), pretender, middle], [root], 'constraint'),
    derOnly({ ...chain('a signature with one bit changed', [peer, middle], [root], 'broken-chain'), presented: [broken, middle.der] }),
    chain('the intermediate first, the leaf after', [middle, peer, root], [root], 'constraint', 'constraint', 'wrong-identity'),
    chain('a public authority where others are configured', [peer, middle, root], [strangers], 'untrusted-issuer')
  ]
}

function crowds(): Chain[] {
  const a = ca('Loop A')
  const b = ca('Loop B', a)
  const aByB = ca('Loop A', b, { keys: a.keys })
  const extras = Array.from({ length: 200 }, (_, at) => ca(`Extra ${at}`, strangers, { keys: strangers.keys }))
  const namesakes = Array.from({ length: 30 }, () => ca('Middle', root, { keyIdentifiers: false }))
  const anonymous = leaf(middle, { keyIdentifiers: false })
  const web = Array.from({ length: 26 }, () => ca('Web', { ...strangers, subject: 'Web' }, { keys: strangers.keys, keyIdentifiers: false }))
  return [
    chain('two CAs that sign each other', [leaf(a), aByB, b], [root], 'broken-chain'),
    chain('a loop beside a way to the root', [leaf(a), aByB, ca('Loop B', root, { keys: b.keys }), b], [root]),
    chain('26 cross-signed CAs of one name', [leaf({ ...strangers, subject: 'Web' }), ...web], [root], 'broken-chain', 'constraint'),
    chain('200 extra certificates before the intermediate', [peer, ...extras, middle], [root]),
    chain(
      '30 other CAs of the same name, with key identifiers',
      [peer, ...Array.from({ length: 30 }, () => ca('Middle', root)), middle],
      [root]
    ),
    chain('30 other CAs of the same name, without', [anonymous, ...namesakes, middle], [root], 'broken-chain'),
    chain('30 other CAs of the same name, without, after the right one', [anonymous, middle, ...namesakes], [root]),
    chain(
      '80 other CAs of the same name',
      [peer, ...Array.from({ length: 80 }, () => ca('Middle', root)), middle],
      [root],
      'broken-chain',
      'constraint'
    )
  ]
}

function lengths(): Chain[] {
  const below = (count: number, wishes: object = {}): Issued[] => {
    const list = [root]
    for (let at = 0; at < count; at++) list.unshift(ca(`CA ${at}`, list[0], at === 0 ? wishes : {}))
    return list
  }
  const long = (count: number, wishes: object = {}): Issued[] => {
    const list = below(count, wishes)
    return [leaf(list[0]), ...list]
  }
  const limited = ca('Limited', undefined, { basicConstraints: { ca: true, pathLength: 0 } })
  const between = ca('Between', limited)
  const zero = { basicConstraints: { ca: true, pathLength: 0 } } as const
  const own = ca('CA 0', root, zero)
  const rolled = ca('CA 0', own, zero)
  return [
    chain('8 certificates', long(6), [root]),
    chain('9 certificates', long(7), [root], 'broken-chain', 'constraint'),
    chain('12 certificates', long(10), [root], 'broken-chain', 'constraint'),
    chain('pathLen 0 and nothing below', long(1, zero), [root]),
    chain('pathLen 0 and a CA below', long(2, zero), [root], 'constraint'),
    chain('pathLen 1 and a CA below', long(2, { basicConstraints: { ca: true, pathLength: 1 } }), [root]),
    chain('pathLen 1 and two CAs below', long(3, { basicConstraints: { ca: true, pathLength: 1 } }), [root], 'constraint'),
    chain('pathLen 0 in the root and a CA below', [leaf(between), between], [limited], 'constraint'),
    chain('pathLen 0 and a CA of the same name below', [leaf(rolled), rolled, own], [root])
  ]
}

function dates(): Chain[] {
  const past = { notBefore: NOW - 9 * HOUR, notAfter: NOW - HOUR / 2 } as const
  const oldMiddle = ca('Old middle', root, past)
  const oldRoot = ca('Old root', undefined, past)
  const youngMiddle = ca('Young middle', root, { notBefore: NOW + HOUR })
  return [
    chain('an expired leaf', [leaf(middle, past), middle], [root], 'expired'),
    chain('a leaf that is not yet valid', [leaf(middle, { notBefore: NOW + HOUR }), middle], [root], 'not-yet-valid'),
    chain('an expired intermediate', [leaf(oldMiddle), oldMiddle], [root], 'expired'),
    chain('an intermediate that is not yet valid', [leaf(youngMiddle), youngMiddle], [root], 'not-yet-valid'),
    chain('an expired root', [leaf(oldRoot)], [oldRoot], 'expired'),
    chain(
      'everything expired, and for another domain',
      [leaf(oldMiddle, { ...past, names: [{ dns: 'other.example' }] }), oldMiddle],
      [root],
      'expired',
      'expired',
      'wrong-identity'
    ),
    chain('dates after 2049', [leaf(root, { notAfter: Date.UTC(2060, 0) })], [root]),
    chain('a certificate without an end', [leaf(root, { notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) })], [root])
  ]
}
