import { X509Certificate, createHash } from 'node:crypto'
import type { CertificateFacts, PublicKeyFacts } from '../model/chain.ts'
import { readKey, readSignatureHash } from './algorithms.ts'
import { derError, expectTag, readAll, readOne, readUnsigned } from './der.ts'
import type { Tlv } from './der.ts'
import { readName } from './distinguished-name.ts'
import type { NameFacts } from './distinguished-name.ts'
import { readExtensions } from './extensions.ts'
import type { DecodeBudget } from './extensions.ts'

const LARGEST_CERTIFICATE = 65_536
const LARGEST_RSA_BITS = 8192
const LARGEST_EXPONENT_BITS = 64

/** One certificate: its envelope read strictly, its extensions and Node's own object on first use. */
export class Certificate {
  readonly der: Buffer
  readonly fingerprint256: string
  readonly subject: NameFacts
  readonly issuer: NameFacts
  /** Names as map keys: what names the issuer of one is the subject of the other. */
  readonly subjectKey: string
  readonly issuerKey: string
  readonly notBefore: number | undefined
  readonly notAfter: number | undefined
  readonly #envelope: Envelope
  #x509: X509Certificate | undefined
  #selfSigned: boolean | undefined

  /** @throws FederationError for what is no certificate in DER, or larger than 64 KiB */
  constructor(der: Buffer) {
    this.der = der
    this.#envelope = openEnvelope(der)
    this.fingerprint256 = createHash('sha256').update(der).digest('hex')
    this.subject = this.#envelope.subject
    this.issuer = this.#envelope.issuer
    this.subjectKey = JSON.stringify(this.subject.rdns)
    this.issuerKey = JSON.stringify(this.issuer.rdns)
    this.notBefore = this.#envelope.notBefore
    this.notAfter = this.#envelope.notAfter
  }

  get selfIssued(): boolean {
    return this.subjectKey === this.issuerKey
  }

  /** Issued and signed by itself. Checked once. */
  get selfSigned(): boolean {
    return (this.#selfSigned ??= this.selfIssued && this.hasSigned(this))
  }

  get spki256(): string {
    return createHash('sha256').update(this.#envelope.spki.raw).digest('hex')
  }

  isInTime(now: number): boolean {
    const { notBefore, notAfter } = this
    return notBefore !== undefined && notAfter !== undefined && notBefore <= now && now < notAfter
  }

  /** What a check of this one's signatures counts: 1 for what takes a tenth of a millisecond, 2 for what takes up to ten times that. */
  get checkCost(): 1 | 2 {
    const { key } = this.#envelope
    return (key.kind === 'ec' && key.curve === 'P-521') || (key.kind === 'rsa' && key.bits > 4096) ? 2 : 1
  }

  /** Whether node:crypto takes this one for the issuer of the other: names, key identifiers, key usage. */
  mayHaveIssued(other: Certificate): boolean {
    return attempt(() => other.#node().checkIssued(this.#node()))
  }

  /** Whether this one's key made the other's signature. Keys that would take long are not tried. */
  hasSigned(other: Certificate): boolean {
    return isAffordable(this.#envelope.key) && attempt(() => other.#node().verify(this.#node().publicKey))
  }

  facts(budget: DecodeBudget): CertificateFacts {
    const { key, version, notBefore, notAfter, signatureHash, extensions } = this.#envelope
    return {
      subject: this.subject.text,
      issuer: this.issuer.text,
      subjectName: this.subject.rdns,
      commonNames: this.subject.commonNames,
      subjectEmails: this.subject.emails,
      version,
      selfIssued: this.selfIssued,
      notBefore,
      notAfter,
      key,
      signatureHash,
      ...readExtensions(extensions, budget)
    }
  }

  #node(): X509Certificate {
    return (this.#x509 ??= new X509Certificate(this.der))
  }
}

/** Whether a signature check with the key is cheap enough to be done for a stranger: RSA up to 8192 bits, common curves. */
function isAffordable(key: PublicKeyFacts): boolean {
  if (key.kind === 'rsa') return key.bits <= LARGEST_RSA_BITS && key.exponentBits <= LARGEST_EXPONENT_BITS
  return key.kind !== 'unknown'
}

// node:crypto throws for certificates and keys that it cannot read: those have signed nothing.
function attempt(check: () => boolean): boolean {
  try {
    return check()
  } catch {
    return false
  }
}

interface Envelope {
  readonly version: number
  readonly signatureHash: string
  readonly issuer: NameFacts
  readonly subject: NameFacts
  readonly notBefore: number | undefined
  readonly notAfter: number | undefined
  readonly spki: Tlv
  readonly key: PublicKeyFacts
  readonly extensions: Buffer | undefined
}

function openEnvelope(der: Buffer): Envelope {
  if (der.length > LARGEST_CERTIFICATE) throw derError(`larger than ${LARGEST_CERTIFICATE} bytes`)
  const [tbs, outerAlgorithm, signature, ...rest] = readAll(readOne(der, 0x30).value)
  expectTag(signature, 0x03)
  if (rest.length > 0) throw derError('trailing bytes')
  const fields = readAll(expectTag(tbs, 0x30).value)
  const version = fields[0]?.tag === 0xa0 ? readVersion(fields.shift()) : 1
  const [serial, algorithm, issuer, validity, subject, spki, ...optional] = fields
  expectTag(serial, 0x02)
  if (!expectTag(algorithm, 0x30).raw.equals(expectTag(outerAlgorithm, 0x30).raw)) throw derError('two different signature algorithms')
  const [notBefore, notAfter, ...times] = readAll(expectTag(validity, 0x30).value)
  if (notAfter === undefined || times.length > 0) throw derError('validity is not two dates')
  const key = expectTag(spki, 0x30)
  return {
    version,
    signatureHash: readSignatureHash(expectTag(algorithm, 0x30)),
    issuer: readName(expectTag(issuer, 0x30).raw),
    subject: readName(expectTag(subject, 0x30).raw),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    spki: key,
    key: readKey(key),
    extensions: readOptional(optional, version)
  }
}

function readVersion(tagged: Tlv | undefined): number {
  const [number] = readUnsigned(readOne(expectTag(tagged, 0xa0).value, 0x02).value)
  if (number !== 1 && number !== 2) throw derError('unknown version')
  return number + 1
}

function readOptional(fields: readonly Tlv[], version: number): Buffer | undefined {
  let last = 0xa0
  for (const { tag } of fields) {
    // Unique identifiers [1] and [2], then extensions [3], each once and in order.
    const place = tag === 0x81 || tag === 0x82 ? tag + 0x20 : tag
    if (place <= last || place > 0xa3) throw derError('a field is out of place')
    last = place
  }
  const extensions = fields.find(field => field.tag === 0xa3)
  if (extensions !== undefined && version !== 3) throw derError('extensions in a certificate that is not of version 3')
  return extensions?.value
}

const SHORT_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const LONG_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** RFC 5280 §4.1.2.5: seconds are there, the zone is Z. Anything else is no date, and its certificate never valid. */
function readTime(time: Tlv | undefined): number | undefined {
  const text = time?.value.toString('latin1') ?? ''
  const match = time?.tag === 0x17 ? SHORT_TIME.exec(text) : time?.tag === 0x18 ? LONG_TIME.exec(text) : null
  if (match === null) return undefined
  const [shown = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number)
  const year = time?.tag === 0x18 ? shown : shown < 50 ? 2000 + shown : 1900 + shown
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  const back = [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds()
  ]
  return back.every((part, at) => part === [year, month, day, hour, minute, second][at]) ? date.getTime() : undefined
}
