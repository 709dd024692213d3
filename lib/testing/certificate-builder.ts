import { constants, createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import forge from 'node-forge'

const { asn1 } = forge

/** `ec` is P-256, `rsa` has 2048 bits. */
export type KeyType = 'ec' | 'p384' | 'p521' | 'ed25519' | 'rsa' | 'rsa1024' | 'rsa3072' | 'rsa-pss'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** Makes a key pair; EC keys take 0.1 ms, RSA ones 100 ms and more. */
export function newKey(type: KeyType = 'ec'): KeyPair {
  switch (type) {
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'p521':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' })
    case 'ed25519':
      return generateKeyPairSync('ed25519')
    case 'rsa-pss':
      return generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
    case 'rsa':
    case 'rsa1024':
    case 'rsa3072':
      return generateKeyPairSync('rsa', { modulusLength: type === 'rsa' ? 2048 : Number(type.slice(3)) })
  }
}

/** One GeneralName (RFC 5280 §4.2.1.6): what a subjectAltName or a name constraint is made of. `raw` is a whole TLV. */
export type AltName =
  | { readonly dns: string | Buffer }
  | { readonly srv: string }
  | { readonly xmpp: string }
  | { readonly email: string }
  | { readonly uri: string }
  | { readonly ip: Buffer }
  | { readonly directory: string | Buffer }
  | { readonly other: string; readonly value: Buffer }
  | { readonly raw: Buffer }

export type KeyUsage =
  | 'digitalSignature'
  | 'contentCommitment'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'
  | 'encipherOnly'
  | 'decipherOnly'

export type Purpose = 'serverAuth' | 'clientAuth' | 'any'

export interface RawExtension {
  readonly oid: string
  readonly critical?: boolean
  /** What the OCTET STRING holds; need not be DER. */
  readonly value: Buffer
}

/** What a certificate is to say. Nothing is checked: this builds wrong certificates as readily as right ones. */
export interface CertificateOptions {
  /** A common name, or a whole DER Name. */
  readonly subject: string | Buffer
  /** Default: the subject. */
  readonly issuer?: string | Buffer | undefined
  readonly publicKey: KeyObject
  /** The issuer's private key. */
  readonly signingKey: KeyObject
  /** Milliseconds since the epoch; certificates hold whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
  /** Default 3; 1 carries no extensions. */
  readonly version?: 1 | 3 | undefined
  /** Default: random, positive. */
  readonly serial?: Buffer | undefined
  /** subjectAltName; absent: no such extension. */
  readonly names?: readonly AltName[] | undefined
  readonly basicConstraints?: { readonly ca?: boolean; readonly pathLength?: number; readonly critical?: boolean } | undefined
  readonly keyUsage?: readonly KeyUsage[] | undefined
  /** Words or dotted OIDs. */
  readonly extendedKeyUsage?: readonly (Purpose | (string & {}))[] | undefined
  readonly nameConstraints?:
    | {
        readonly permitted?: readonly AltName[]
        readonly excluded?: readonly AltName[]
        readonly critical?: boolean
      }
    | undefined
  /** subjectKeyIdentifier and authorityKeyIdentifier, SHA-1 of the keys. Default true. */
  readonly keyIdentifiers?: boolean | undefined
  /** Added after the others, in this order. */
  readonly extensions?: readonly RawExtension[] | undefined
  /** Default SHA-256; ignored by Ed25519. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512' | 'sha1' | 'md5' | undefined
  /** RSASSA-PSS instead of PKCS #1 v1.5. Default false, and true for `rsa-pss` keys. */
  readonly pss?: boolean | undefined
}

/** Builds one X.509 certificate, signed. For test certificates and corpora; a hundredth of a millisecond with an EC key. */
export function buildCertificate(options: CertificateOptions): { der: Buffer; pem: string } {
  const algorithm = signatureAlgorithm(options)
  const subject = name(options.subject)
  const version = options.version ?? 3
  const extensions = version === 3 ? extensionsOf(options) : []
  const tbs = sequence(
    version === 3 ? tlv(0xa0, integer(Buffer.from([2]))) : Buffer.alloc(0),
    integer(options.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm.identifier,
    options.issuer === undefined ? subject : name(options.issuer),
    sequence(time(options.notBefore), time(options.notAfter)),
    subject,
    options.publicKey.export({ type: 'spki', format: 'der' }),
    extensions.length > 0 ? tlv(0xa3, sequence(...extensions)) : Buffer.alloc(0)
  )
  const der = sequence(tbs, algorithm.identifier, bitString(algorithm.sign(tbs)))
  return { der, pem: pemOf(der) }
}

/** PEM around DER. */
export function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

// ---- DER: forge's ASN.1 layer knows lengths, OIDs and dates; it cannot do EC, so the rest is put together here. ----------

/** One TLV: a whole tag byte (class, constructed bit, number) around its parts. */
export function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const node = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, false, Buffer.concat(parts).toString('latin1'))
  const der = Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
  der[0] = tag
  return der
}

export const sequence = (...parts: readonly Buffer[]): Buffer => tlv(0x30, ...parts)

/** The TLV of an OBJECT IDENTIFIER. */
export const objectId = (dotted: string): Buffer => tlv(0x06, Buffer.from(asn1.oidToDer(dotted).getBytes(), 'latin1'))

/** A GeneralName's TLV. */
export function generalName(of: AltName): Buffer {
  if ('raw' in of) return of.raw
  if ('dns' in of) return tlv(0x82, bytesOf(of.dns))
  if ('email' in of) return tlv(0x81, bytesOf(of.email))
  if ('uri' in of) return tlv(0x86, bytesOf(of.uri))
  if ('ip' in of) return tlv(0x87, of.ip)
  if ('directory' in of) return tlv(0xa4, name(of.directory))
  if ('srv' in of) return otherName('1.3.6.1.5.5.7.8.7', tlv(0x16, bytesOf(of.srv)))
  if ('xmpp' in of) return otherName('1.3.6.1.5.5.7.8.5', tlv(0x0c, bytesOf(of.xmpp)))
  return otherName(of.other, of.value)
}

const otherName = (oid: string, value: Buffer): Buffer => tlv(0xa0, objectId(oid), tlv(0xa0, value))
const bytesOf = (text: string | Buffer): Buffer => (typeof text === 'string' ? Buffer.from(text) : text)
const integer = (bytes: Buffer): Buffer => tlv(0x02, bytes)
const bitString = (bytes: Buffer, unused = 0): Buffer => tlv(0x03, Buffer.from([unused]), bytes)
const octets = (bytes: Buffer): Buffer => tlv(0x04, bytes)

function name(of: string | Buffer): Buffer {
  return typeof of === 'string' ? sequence(tlv(0x31, sequence(objectId('2.5.4.3'), tlv(0x0c, Buffer.from(of))))) : of
}

function time(at: number): Buffer {
  const date = new Date(at)
  // RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
  const short = date.getUTCFullYear() < 2050
  return tlv(short ? 0x17 : 0x18, Buffer.from(short ? asn1.dateToUtcTime(date) : asn1.dateToGeneralizedTime(date)))
}

// ---- extensions ---------------------------------------------------------------------------------------------------------

const PURPOSES: Readonly<Record<string, string>> = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2', any: '2.5.29.37.0' }

const USAGE_BITS: readonly KeyUsage[] = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly'
]

function extensionsOf(options: CertificateOptions): Buffer[] {
  const { basicConstraints: basic, nameConstraints: limits, names, keyUsage, extendedKeyUsage } = options
  const list: RawExtension[] = []
  if (basic !== undefined) list.push({ oid: '2.5.29.19', critical: basic.critical ?? true, value: basicConstraints(basic) })
  if (keyUsage !== undefined) list.push({ oid: '2.5.29.15', critical: true, value: usageBits(keyUsage) })
  if (extendedKeyUsage !== undefined) {
    list.push({ oid: '2.5.29.37', value: sequence(...extendedKeyUsage.map(purpose => objectId(PURPOSES[purpose] ?? purpose))) })
  }
  if (names !== undefined) list.push({ oid: '2.5.29.17', value: sequence(...names.map(generalName)) })
  if (limits !== undefined) list.push({ oid: '2.5.29.30', critical: limits.critical ?? true, value: nameConstraints(limits) })
  if (options.keyIdentifiers !== false) {
    list.push({ oid: '2.5.29.14', value: octets(keyIdentifier(options.publicKey)) })
    list.push({ oid: '2.5.29.35', value: sequence(tlv(0x80, keyIdentifier(createPublicKey(options.signingKey)))) })
  }
  list.push(...(options.extensions ?? []))
  return list.map(one =>
    sequence(objectId(one.oid), one.critical === true ? tlv(0x01, Buffer.from([0xff])) : Buffer.alloc(0), octets(one.value))
  )
}

function basicConstraints(of: { readonly ca?: boolean; readonly pathLength?: number }): Buffer {
  const ca = of.ca === true ? tlv(0x01, Buffer.from([0xff])) : Buffer.alloc(0)
  const length = of.pathLength === undefined ? Buffer.alloc(0) : integer(Buffer.from([of.pathLength]))
  return sequence(ca, length)
}

function usageBits(usages: readonly KeyUsage[]): Buffer {
  const numbers = usages.map(usage => USAGE_BITS.indexOf(usage))
  const last = Math.max(0, ...numbers)
  const bytes = Buffer.alloc(Math.floor(last / 8) + 1)
  for (const bit of numbers) bytes.writeUInt8((bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7)), bit >> 3)
  return bitString(bytes, 7 - (last & 7))
}

function nameConstraints(of: { readonly permitted?: readonly AltName[]; readonly excluded?: readonly AltName[] }): Buffer {
  const subtrees = (tag: number, names: readonly AltName[] | undefined): Buffer =>
    names === undefined ? Buffer.alloc(0) : tlv(tag, ...names.map(base => sequence(generalName(base))))
  return sequence(subtrees(0xa0, of.permitted), subtrees(0xa1, of.excluded))
}

function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha1')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
}

// ---- signatures -----------------------------------------------------------------------------------------------------------

const HASHES = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sha1: '1.3.14.3.2.26',
  md5: '1.2.840.113549.2.5'
}
const WITH_RSA = { sha256: '11', sha384: '12', sha512: '13', sha1: '5', md5: '4' }
const WITH_EC = { sha256: '3.2', sha384: '3.3', sha512: '3.4', sha1: '1', md5: '1' }
const SALT_BYTES = { sha256: 32, sha384: 48, sha512: 64, sha1: 20, md5: 16 }
const NULL = tlv(0x05)

function signatureAlgorithm(options: CertificateOptions): { identifier: Buffer; sign: (tbs: Buffer) => Buffer } {
  const { signingKey: key, hash = 'sha256' } = options
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return { identifier: sequence(objectId('1.3.101.112')), sign: tbs => sign(null, tbs, key) }
    case 'ec':
      return { identifier: sequence(objectId(`1.2.840.10045.4.${WITH_EC[hash]}`)), sign: tbs => sign(hash, tbs, key) }
    default:
  }
  if (options.pss !== true && key.asymmetricKeyType !== 'rsa-pss') {
    return { identifier: sequence(objectId(`1.2.840.113549.1.1.${WITH_RSA[hash]}`), NULL), sign: tbs => sign(hash, tbs, key) }
  }
  const hashId = sequence(objectId(HASHES[hash]), NULL)
  const mask = sequence(objectId('1.2.840.113549.1.1.8'), hashId)
  const salt = SALT_BYTES[hash]
  const parameters = sequence(tlv(0xa0, hashId), tlv(0xa1, mask), tlv(0xa2, integer(Buffer.from([salt]))))
  return {
    identifier: sequence(objectId('1.2.840.113549.1.1.10'), parameters),
    sign: tbs => sign(hash, tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt })
  }
}
