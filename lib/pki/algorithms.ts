import type { PublicKeyFacts } from '../model/chain.ts'
import { expectTag, readAll, readObjectId, readOne, readUnsigned } from './der.ts'
import type { Tlv } from './der.ts'

const CURVES: Readonly<Record<string, 'P-256' | 'P-384' | 'P-521'>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521'
}

const HASH_OF_SIGNATURE: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'md5',
  '1.2.840.113549.1.1.5': 'sha1',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.1': 'sha1',
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': 'none',
  '1.3.101.113': 'none'
}

const HASHES: Readonly<Record<string, string>> = {
  '1.2.840.113549.2.5': 'md5',
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512'
}

const PSS = '1.2.840.113549.1.1.10'
const MASK_GENERATION = '1.2.840.113549.1.1.8'
const STRENGTH = ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']

/** Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) without handing it to anything that computes with it. */
export function readKey(spki: Tlv): PublicKeyFacts {
  const [algorithm, bits] = readAll(spki.value)
  const [oid, parameters] = readAll(expectTag(algorithm, 0x30).value)
  const name = readObjectId(expectTag(oid, 0x06).value)
  const key = expectTag(bits, 0x03).value.subarray(1)
  switch (name) {
    case '1.2.840.113549.1.1.1':
    case PSS: {
      const [modulus, exponent] = readAll(readOne(key, 0x30).value)
      return { kind: 'rsa', bits: bitLength(modulus), exponentBits: bitLength(exponent) }
    }
    case '1.2.840.10045.2.1': {
      // Explicit curve parameters are not a named curve: a peer could choose its own (CVE-2020-0601), or a slow one.
      const curve = parameters?.tag === 0x06 ? readObjectId(parameters.value) : 'explicit parameters'
      const known = CURVES[curve]
      return known === undefined ? { kind: 'unknown', text: `elliptic curve ${curve}` } : { kind: 'ec', curve: known }
    }
    case '1.3.101.112':
      return { kind: 'ed25519' }
    case '1.3.101.113':
      return { kind: 'ed448' }
    default:
      return { kind: 'unknown', text: `key algorithm ${name}` }
  }
}

function bitLength(integer: Tlv | undefined): number {
  const bytes = readUnsigned(expectTag(integer, 0x02).value)
  return bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24
}

/** The hash under a signature, by its AlgorithmIdentifier; for PSS the weaker of its two. Unknown ones give their object identifier. */
export function readSignatureHash(algorithm: Tlv): string {
  const [oid, parameters] = readAll(algorithm.value)
  const name = readObjectId(expectTag(oid, 0x06).value)
  if (name !== PSS) return HASH_OF_SIGNATURE[name] ?? name
  // RFC 4055 §3.1: whatever is left out is SHA-1.
  let hash = 'sha1'
  let mask = 'sha1'
  for (const one of parameters === undefined ? [] : readAll(expectTag(parameters, 0x30).value)) {
    if (one.tag === 0xa0) hash = readHash(one.value)
    if (one.tag === 0xa1) mask = readMask(one.value)
  }
  return STRENGTH.indexOf(mask) < STRENGTH.indexOf(hash) ? mask : hash
}

function readHash(raw: Buffer): string {
  const [oid] = readAll(readOne(raw, 0x30).value)
  const name = readObjectId(expectTag(oid, 0x06).value)
  return HASHES[name] ?? name
}

function readMask(raw: Buffer): string {
  const [oid, hash] = readAll(readOne(raw, 0x30).value)
  const name = readObjectId(expectTag(oid, 0x06).value)
  return name === MASK_GENERATION && hash !== undefined ? readHash(hash.raw) : name
}
