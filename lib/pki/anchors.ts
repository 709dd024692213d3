import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { FederationError } from '../errors.ts'
import { Certificate } from './certificate.ts'

/** Where operating systems keep their bundle of trusted roots, one file each: Debian, Alpine, Fedora, RHEL, SUSE, the BSDs, macOS. */
const SYSTEM_BUNDLES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/usr/local/etc/ssl/cert.pem',
  '/usr/local/share/certs/ca-root-nss.crt',
  '/etc/openssl/certs/ca-certificates.crt'
]

/** Certificates of authorities, found by subject. */
export class Anchors {
  readonly #bySubject = new Map<string, Certificate[]>()
  readonly #fingerprints = new Set<string>()

  constructor(certificates: readonly Certificate[]) {
    for (const one of certificates) {
      if (this.#fingerprints.has(one.fingerprint256)) continue
      this.#fingerprints.add(one.fingerprint256)
      this.#bySubject.set(one.subjectKey, [...(this.#bySubject.get(one.subjectKey) ?? []), one])
    }
    // Renewed under the same key, a root is there twice; the one that is valid longer answers first.
    for (const same of this.#bySubject.values()) same.sort((a, b) => (b.notAfter ?? 0) - (a.notAfter ?? 0))
  }

  /** All of this subject, whoever issued them. */
  named(subjectKey: string): readonly Certificate[] {
    return this.#bySubject.get(subjectKey) ?? []
  }

  holds(certificate: Certificate): boolean {
    return this.#fingerprints.has(certificate.fingerprint256)
  }
}

/**
 * The certificates of PEM texts, one or more in each. Among them has to be one that issued itself, since only such a one can
 * end a path; others help to reach it, as with OpenSSL.
 *
 * @throws FederationError `S2S_CONFIG` naming `where`
 */
export function readPems(pems: readonly string[], where: string): Certificate[] {
  const certificates = pems.flatMap((pem, at) => {
    const list = splitPem(pem)
    if (list.length === 0) throw badTrust(`${where}[${at}] holds no PEM certificate`)
    return list.map(der => {
      try {
        return new Certificate(der)
      } catch (cause) {
        throw badTrust(`${where}[${at}] holds a certificate that cannot be read`, cause)
      }
    })
  })
  if (certificates.length > 0 && !certificates.some(one => one.selfIssued)) {
    throw badTrust(`${where} holds no certificate that issued itself: give the root, not an intermediate`)
  }
  return certificates
}

/** Node's copy of Mozilla's list. */
export function bundledRoots(): Certificate[] {
  return readBundle(rootCertificates)
}

/**
 * The operating system's bundle.
 *
 * @throws FederationError `S2S_CONFIG` where the system keeps none in a file that is known here
 */
export function systemRoots(files: readonly string[] = SYSTEM_BUNDLES): Certificate[] {
  for (const file of files) {
    const roots = readBundle([readIfThere(file)])
    if (roots.length > 0) return roots
  }
  throw badTrust(`trust.default is 'system', but none of ${files.join(', ')} holds certificates: give the bundle's PEM as trust.default`)
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

// A list made by others may hold what is refused here; a certificate left out only narrows trust.
function readBundle(pems: readonly string[]): Certificate[] {
  return pems.flatMap(splitPem).flatMap(der => {
    try {
      return [new Certificate(der)]
    } catch {
      return []
    }
  })
}

const PEM = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/g

function splitPem(text: string): Buffer[] {
  return [...text.matchAll(PEM)].map(match => Buffer.from(match[1] ?? '', 'base64'))
}

function badTrust(detail: string, cause?: unknown): FederationError {
  return new FederationError('S2S_CONFIG', { detail, cause })
}
