import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { FederationError } from '../errors.ts'
import type { CertificateState } from '../model/certificate.ts'
import { asciiDomain, domain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials } from '../model/plugs.ts'
import { readAll } from '../pki/der.ts'
import { buildCertificate, newKey } from './certificate-builder.ts'
import type { AltName, CertificateOptions, KeyPair } from './certificate-builder.ts'

/** Every {@link CertificateState}, each with what it is good for. */
export const CERTIFICATE_STATES: Readonly<Record<CertificateState, string>> = {
  valid: 'issued by the authority, for the domain, in force',
  'self-signed': 'signed by its own key',
  expired: 'as valid, but ended a day ago',
  'not-yet-valid': 'as valid, but begins in a day',
  'wrong-host': 'as valid, but for another domain',
  'unknown-ca': 'issued by an authority that nobody trusts, which is sent along',
  'broken-chain': 'issued by an intermediate authority that is not sent along',
  'server-auth-only': 'valid, without the purpose clientAuth, as public authorities have issued them since 2026',
  missing: 'no certificate at all'
}

/** How a certificate names a domain: dNSName, SRVName (RFC 4985), XmppAddr (RFC 6120 §13.7.1.4). */
export type NameKind = 'dns' | 'srv' | 'xmpp'

/** What is issued: which state, key and names. See {@link Authority.issue}. */
export interface IssueOptions {
  /** Default `valid`. */
  readonly state?: CertificateState
  /** `ec` is P-256, `rsa` 2048 bits. Default: the authority's. */
  readonly keyType?: 'ec' | 'rsa'
  /**
   * dNSName, SRVName `_xmpp-server.` (RFC 4985), XmppAddr (RFC 6120 §13.7.1.4). Default dNSName and SRVName: one deployed server
   * crashes on XmppAddr.
   */
  readonly names?: readonly NameKind[]
  /** Further domains that the certificate covers, by the same kinds of names. */
  readonly alsoFor?: readonly string[]
  /** Issued by an intermediate authority, which is sent along. Default false; `broken-chain` has one in any case. */
  readonly intermediate?: boolean
  /** Milliseconds since the epoch: the moment at which the certificate is in its state. Default: the authority's. */
  readonly now?: number
}

/** A certification authority for specs and labs. It lives in memory; keep `certificate` and `key` to open it again. */
export interface Authority {
  /** PEM: what those who trust it are given. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly key: string
  /**
   * Key and chain for a domain, in a state.
   *
   * @returns PEM, leaf first; undefined for `missing`
   * @throws FederationError `S2S_ADDRESS` for what is no domain name
   */
  issue(domain: string, options: IssueOptions & { readonly state: 'missing' }): undefined
  issue(domain: string, options?: IssueOptions & { readonly state?: Exclude<CertificateState, 'missing'> }): Credentials
  issue(domain: string, options?: IssueOptions): Credentials | undefined
}

/** What {@link createAuthority} takes. */
export interface AuthorityOptions {
  /** Milliseconds since the epoch, as {@link IssueOptions.now}. Default: the real time of the call. */
  readonly now?: number
  /** Default `ec`: a key takes a tenth of a millisecond, an RSA one a hundred. */
  readonly keyType?: 'ec' | 'rsa'
  /** Its common name. Default `Test authority`. */
  readonly name?: string
  /** An authority made before, PEM: issues under it again. */
  readonly existing?: { readonly certificate: string; readonly key: string }
}

interface Issuer {
  /** A common name, or a DER Name. */
  readonly name: string | Buffer
  readonly pem: string
  readonly privateKey: KeyObject
}

type Unsigned = Omit<CertificateOptions, 'signingKey'>

const DAY = 86_400_000
const YEAR = 365 * DAY
const ELSEWHERE = domain('elsewhere.invalid')

/**
 * Makes an authority that issues certificates in every state. Nothing is kept in files and nothing expires under a build: all
 * dates are relative to `now`.
 *
 * @throws FederationError `S2S_CONFIG` when `existing` is no usable authority
 */
export function createAuthority(options: AuthorityOptions = {}): Authority {
  const now = options.now ?? Date.now()
  const keyType = options.keyType ?? 'ec'
  const root = options.existing === undefined ? makeRoot(options.name ?? 'Test authority', keyType, now) : openRoot(options.existing)
  let stranger: Issuer | undefined
  let intermediate: Issuer | undefined

  const issuerFor = (state: CertificateState, wanted: boolean): Issuer => {
    if (state === 'unknown-ca') return (stranger ??= makeRoot('Unknown authority', keyType, now))
    return state === 'broken-chain' || wanted ? (intermediate ??= makeIntermediate(root, keyType, now)) : root
  }

  function issue(domainText: string, wishes: IssueOptions & { readonly state: 'missing' }): undefined
  function issue(domainText: string, wishes?: IssueOptions): Credentials
  function issue(domainText: string, wishes: IssueOptions = {}): Credentials | undefined {
    const state = wishes.state ?? 'valid'
    const subject = domain(domainText)
    if (state === 'missing') return undefined
    const pair = newKey(wishes.keyType ?? keyType)
    const request = leaf(subject, state, wishes, wishes.now ?? now, pair)
    const key = pem(pair.privateKey)
    if (state === 'self-signed') return { key, cert: buildCertificate({ ...request, signingKey: pair.privateKey }).pem }
    const issuer = issuerFor(state, wishes.intermediate === true)
    const { pem: certificate } = buildCertificate({ ...request, issuer: issuer.name, signingKey: issuer.privateKey })
    const sendsIssuer = state === 'unknown-ca' || (wishes.intermediate === true && state !== 'broken-chain')
    return { key, cert: sendsIssuer ? certificate + issuer.pem : certificate }
  }

  return { certificate: root.pem, key: pem(root.privateKey), issue }
}

function leaf(subject: Domain, state: CertificateState, wishes: IssueOptions, now: number, { publicKey }: KeyPair): Unsigned {
  const covered = state === 'wrong-host' ? [ELSEWHERE] : [subject, ...(wishes.alsoFor ?? []).map(domain)]
  const names = covered.flatMap(each => (wishes.names ?? ['dns', 'srv']).map(kind => altName(kind, each)))
  return {
    subject: commonName(state === 'wrong-host' ? ELSEWHERE : subject),
    publicKey,
    ...validity(state, now),
    names,
    basicConstraints: { ca: false },
    keyUsage: ['digitalSignature'],
    extendedKeyUsage: state === 'server-auth-only' ? ['serverAuth'] : ['serverAuth', 'clientAuth']
  }
}

function validity(state: CertificateState, now: number): { notBefore: number; notAfter: number } {
  if (state === 'expired') return { notBefore: now - YEAR, notAfter: now - DAY }
  return { notBefore: state === 'not-yet-valid' ? now + DAY : now - DAY, notAfter: now + YEAR }
}

function altName(kind: NameKind, covered: Domain): AltName {
  if (kind === 'xmpp') return { xmpp: covered }
  return kind === 'dns' ? { dns: asciiDomain(covered) } : { srv: `_xmpp-server.${asciiDomain(covered)}` }
}

// A common name has at most 64 characters (RFC 5280, ub-common-name); nothing is matched against it.
function commonName(subject: Domain): string {
  return asciiDomain(subject).slice(0, 64)
}

function makeRoot(name: string, keyType: 'ec' | 'rsa', now: number): Issuer {
  const { privateKey, publicKey } = newKey(keyType)
  return { name, privateKey, pem: buildCertificate({ ...authority(name, publicKey, now), signingKey: privateKey }).pem }
}

function makeIntermediate(root: Issuer, keyType: 'ec' | 'rsa', now: number): Issuer {
  const name = 'Test intermediate authority'
  const { privateKey, publicKey } = newKey(keyType)
  const request = { ...authority(name, publicKey, now, 0), issuer: root.name, signingKey: root.privateKey }
  return { name, privateKey, pem: buildCertificate(request).pem }
}

function authority(subject: string, publicKey: KeyObject, now: number, pathLength?: number): Unsigned {
  return {
    subject,
    publicKey,
    notBefore: now - 10 * YEAR,
    notAfter: now + 10 * YEAR,
    basicConstraints: pathLength === undefined ? { ca: true } : { ca: true, pathLength },
    keyUsage: ['keyCertSign', 'cRLSign']
  }
}

function openRoot({ certificate: pem, key }: { readonly certificate: string; readonly key: string }): Issuer {
  try {
    const certificate = new X509Certificate(pem)
    const privateKey = createPrivateKey(key)
    if (!certificate.ca) throw new FederationError('S2S_CONFIG', { detail: 'the certificate is not one of an authority' })
    if (!certificate.checkPrivateKey(privateKey))
      throw new FederationError('S2S_CONFIG', { detail: 'the key is not the key of the authority' })
    return { name: subjectOf(certificate), privateKey, pem }
  } catch (cause) {
    throw FederationError.is(cause) && cause.code === 'S2S_CONFIG'
      ? cause
      : new FederationError('S2S_CONFIG', { detail: 'the authority cannot be read', cause })
  }
}

/** RFC 5280 §4.1: version, serial, signature, issuer, validity, subject. */
function subjectOf(certificate: X509Certificate): Buffer {
  const [envelope] = readAll(certificate.raw)
  const [tbs] = readAll(envelope?.value ?? Buffer.alloc(0))
  const subject = readAll(tbs?.value ?? Buffer.alloc(0))[5]
  if (subject === undefined) throw new FederationError('S2S_CONFIG', { detail: 'the certificate of the authority has no subject' })
  return subject.raw
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}
