import { AsnConvert } from '@peculiar/asn1-schema'
import { BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints } from '@peculiar/asn1-x509'
import { FederationError } from '../errors.ts'
import type { CertificateFacts } from '../model/chain.ts'
import { countTlvs, derError, expectTag, readAll, readObjectId, readOne } from './der.ts'
import type { Tlv } from './der.ts'
import { nameSubtrees, readAltNames } from './general-names.ts'

/** How many TLVs may still be given to the extension decoder, which takes some 20 µs for each. Shared along a path. */
export interface DecodeBudget {
  left: number
}

export type ExtensionFacts = Pick<
  CertificateFacts,
  'ca' | 'pathLength' | 'keyUsage' | 'extendedKeyUsage' | 'nameConstraints' | 'names' | 'unknownCritical' | 'defects'
>

const MOST_EXTENSIONS = 64

// Critical or not, these ask for nothing that a chain without policy processing would have to do.
const HARMLESS: ReadonlySet<string> = new Set(['2.5.29.14', '2.5.29.35', '2.5.29.32'])

// OpenSSL obeys these even where they are not critical. Nobody here understands them, so a certificate with one is none of ours.
const REFUSED: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.1.14': 'proxyCertInfo',
  '1.3.6.1.5.5.7.1.7': 'ipAddrBlocks',
  '1.3.6.1.5.5.7.1.8': 'autonomousSysIds'
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Found = Writable<ExtensionFacts>

const DECODERS: Readonly<Record<string, (found: Found, value: Buffer, budget: DecodeBudget) => void>> = {
  '2.5.29.19': (found, value, budget) => {
    const { cA, pathLenConstraint } = exactly(value, budget, BasicConstraints)
    if (pathLenConstraint !== undefined && (!cA || !Number.isInteger(pathLenConstraint) || pathLenConstraint < 0)) {
      throw derError('a path length without cA, or a negative one')
    }
    found.ca = cA
    found.pathLength = pathLenConstraint
  },
  '2.5.29.15': (found, value, budget) => (found.keyUsage = exactly(value, budget, KeyUsage).toJSON()),
  '2.5.29.37': (found, value, budget) => (found.extendedKeyUsage = Array.from(exactly(value, budget, ExtendedKeyUsage))),
  '2.5.29.17': (found, value) => (found.names = readAltNames(value)),
  '2.5.29.30': (found, value, budget) => {
    const { permittedSubtrees, excludedSubtrees } = exactly(value, budget, NameConstraints)
    found.nameConstraints = { permitted: nameSubtrees(permittedSubtrees), excluded: nameSubtrees(excludedSubtrees) }
  },
  '2.16.840.1.113730.1.1': (found, value) => {
    // Netscape certificate type, which OpenSSL still obeys: bit 1 is an SSL server, bit 5 a CA for such.
    const bits = readOne(value, 0x03).value[1] ?? 0
    if ((bits & (found.ca ? 0x04 : 0x40)) === 0) throw derError('the Netscape certificate type is not that of a server')
  }
}

const LABELS: Readonly<Record<string, string>> = {
  '2.5.29.19': 'basicConstraints',
  '2.5.29.15': 'keyUsage',
  '2.5.29.37': 'extKeyUsage',
  '2.5.29.17': 'subjectAltName',
  '2.5.29.30': 'nameConstraints',
  '2.16.840.1.113730.1.1': 'nsCertType'
}

/**
 * Reads what a certificate's extensions say. What cannot be read, is not DER, or occurs twice is a defect and says nothing: a
 * name in it names nobody, a CA in it is none.
 */
export function readExtensions(extensions: Buffer | undefined, budget: DecodeBudget): ExtensionFacts {
  const found: Found = {
    ca: false,
    pathLength: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    nameConstraints: undefined,
    names: [],
    unknownCritical: [],
    defects: []
  }
  if (extensions === undefined) return found
  const defects: string[] = []
  const unknown: string[] = []
  const seen = new Set<string>()
  const list = attempt(defects, 'the list of extensions', () => listOf(extensions)) ?? []
  // basicConstraints first: the meaning of others hangs on it.
  for (const one of list.sort((a, b) => Number(b.oid === '2.5.29.19') - Number(a.oid === '2.5.29.19'))) {
    const label = LABELS[one.oid] ?? one.oid
    if (seen.has(one.oid)) defects.push(`${label} occurs twice`)
    seen.add(one.oid)
    const decode = DECODERS[one.oid]
    if (decode === undefined) {
      const refused = REFUSED[one.oid]
      if (refused !== undefined) defects.push(`${refused} is not for servers`)
      else if (one.critical && !HARMLESS.has(one.oid)) unknown.push(one.oid)
      continue
    }
    attempt(defects, label, () => decode(found, one.value, budget))
  }
  return { ...found, unknownCritical: unknown, defects }
}

interface RawExtension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Buffer
}

function listOf(extensions: Buffer): RawExtension[] {
  const list = readAll(readOne(extensions, 0x30).value)
  if (list.length > MOST_EXTENSIONS) throw derError(`more than ${MOST_EXTENSIONS}`)
  return list.map(one => {
    const [oid, ...rest] = readAll(expectTag(one, 0x30).value)
    const value = expectTag(rest.at(-1), 0x04).value
    if (rest.length > 2) throw derError('one has too many parts')
    return { oid: readObjectId(expectTag(oid, 0x06).value), critical: rest.length === 2 && isTrue(rest[0]), value }
  })
}

function isTrue(boolean: Tlv | undefined): boolean {
  const { value } = expectTag(boolean, 0x01)
  if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw derError('a boolean is neither true nor false')
  return value[0] === 0xff
}

/** The decoder reads more than DER; what it read is written again and has to be the same bytes. */
function exactly<T>(value: Buffer, budget: DecodeBudget, type: new () => T): T {
  budget.left -= countTlvs(value, budget.left)
  const decoded = AsnConvert.parse(value, type)
  if (!value.equals(Buffer.from(AsnConvert.serialize(decoded)))) throw derError('not in DER')
  return decoded
}

function attempt<T>(defects: string[], what: string, run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    defects.push(`${what}: ${reasonOf(error)}`)
    return undefined
  }
}

/** The clause of an error of ours; of the decoder's errors, that there was one. */
export function reasonOf(error: unknown): string {
  return FederationError.is(error) && error.detail !== undefined ? error.detail : 'cannot be read'
}
