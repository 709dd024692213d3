import { sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName, RawExtension } from '../../lib/testing/certificate-builder.ts'
import type { Chain, Issued, Wishes } from './world.ts'
import { PEER, ca, chain, derOnly, leaf, nameOf, named, root, through, under } from './world.ts'

const EMAIL = '1.2.840.113549.1.9.1'

/** Chains whose matter is what the leaf is named, and what its issuers permit it to be named. */
export function nameChains(): Chain[] {
  return [...names(), ...constraints()]
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
    good('an e-mail address in the subject', { permitted: [{ dns: 'example' }] }, { subject: nameOf(EMAIL, 0x16, 'a@b.example') }),
    bad('an e-mail address in the subject, in UTF-8', { permitted: [{ dns: 'example' }] }, { subject: nameOf(EMAIL, 0x0c, 'a@b.example') }),
    bad(
      'an e-mail address in the subject, under a constraint on those',
      { permitted: [{ email: 'c.example' }] },
      { subject: nameOf(EMAIL, 0x16, 'a@b.example') }
    ),
    chain('a constraint in the root, two levels up', [leaf(twice), twice], [limitedRoot], 'constraint'),
    chain('a constraint with a minimum', through({ extensions: subtree(tlv(0x80, Buffer.from([1]))) }), [root], 'constraint'),
    chain('a constraint with a maximum', through({ extensions: subtree(tlv(0x81, Buffer.from([9]))) }), [root], 'constraint')
  ]
}
