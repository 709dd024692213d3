import type { KeyObject } from 'node:crypto'
import type { CertificateProblem } from '../../lib/model/certificate.ts'
import { domain } from '../../lib/model/domain.ts'
import { buildCertificate, newKey, objectId, sequence, tlv } from '../../lib/testing/certificate-builder.ts'
import type { AltName, CertificateOptions, KeyPair, KeyType } from '../../lib/testing/certificate-builder.ts'

export const NOW = Date.now()
export const HOUR = 3_600_000
export const PEER = domain('peer.example')

/** A certificate and the key that it is for. */
export interface Issued {
  readonly subject: string | Buffer
  readonly keys: KeyPair
  readonly der: Buffer
  readonly pem: string
}

/** One presented chain, what it is judged under, and what our judge has to find. */
export interface Chain {
  readonly name: string
  /** As presented, DER. */
  readonly presented: readonly Buffer[]
  /** The private key of the first, for handshakes; undefined where none is possible. */
  readonly key: KeyObject | undefined
  /** PEM. */
  readonly anchors: readonly string[]
  /** Kinds of problems, sorted; none: valid. */
  readonly problems: readonly CertificateProblem['kind'][]
}

export type Wishes = Partial<CertificateOptions> & { readonly keys?: KeyPair | KeyType }

const DATES = { notBefore: NOW - HOUR, notAfter: NOW + 1000 * HOUR }
const CA = { basicConstraints: { ca: true }, keyUsage: ['keyCertSign', 'cRLSign'] } as const
const SERVER = { names: [{ dns: PEER }], keyUsage: ['digitalSignature'], extendedKeyUsage: ['serverAuth'] } as const

const RSA_KEYS = new Map<KeyType, KeyPair>()

/** Keys of the slow kinds are shared: nothing here hangs on them being different. */
export function keysOf(type: KeyType): KeyPair {
  if (!type.startsWith('rsa')) return newKey(type)
  const known = RSA_KEYS.get(type) ?? newKey(type)
  RSA_KEYS.set(type, known)
  return known
}

/** A CA certificate under an issuer, or its own. */
export function ca(subject: string, issuer?: Issued, wishes: Wishes = {}): Issued {
  return issue({ subject, ...CA, ...wishes }, issuer)
}

/** The peer's certificate under an issuer, or its own. */
export function leaf(issuer?: Issued, wishes: Wishes = {}): Issued {
  return issue({ subject: 'peer', ...SERVER, ...wishes }, issuer)
}

function issue({ keys = 'ec', ...wishes }: Wishes & { readonly subject: string | Buffer }, issuer: Issued | undefined): Issued {
  const own = typeof keys === 'string' ? keysOf(keys) : keys
  const by = issuer ?? { subject: wishes.subject, keys: own }
  const options = { ...DATES, issuer: by.subject, publicKey: own.publicKey, signingKey: by.keys.privateKey, ...wishes }
  return { subject: wishes.subject, keys: own, ...buildCertificate(options) }
}

/** How a chain is written down: its certificates as presented, leaf first, the trusted ones, and what is wrong. */
export function chain(
  name: string,
  presented: readonly Issued[],
  anchors: readonly Issued[],
  ...problems: CertificateProblem['kind'][]
): Chain {
  return {
    name,
    presented: presented.map(one => one.der),
    key: presented[0]?.keys.privateKey,
    anchors: anchors.map(one => one.pem),
    problems: problems.sort()
  }
}

/** Without certificates that repeat or that a handshake cannot carry. */
export function derOnly(one: Chain): Chain {
  return { ...one, key: undefined }
}

export const named = (...names: AltName[]): Wishes => ({ names })

/** A trusted root and an intermediate of it, for chains whose matter lies elsewhere. */
export const root = ca('Root')
const middle = ca('Middle', root)

/** The peer's certificate with wishes, and a plain intermediate. */
export const under = (wishes: Wishes): Issued[] => [leaf(middle, wishes), middle]

/** A plain certificate of the peer, and an intermediate with wishes. */
export const through = (wishes: Wishes): Issued[] => {
  const issuer = ca('Other middle', root, wishes)
  return [leaf(issuer), issuer]
}

/** A Name of one attribute, in a string of any type. */
export const nameOf = (oid: string, tag: number, text: string): Buffer =>
  sequence(tlv(0x31, sequence(objectId(oid), tlv(tag, Buffer.from(text)))))
