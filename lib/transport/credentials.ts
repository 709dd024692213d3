import { constants, createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { SecureContext } from 'node:tls'
import { FederationError } from '../errors.ts'
import type { Credentials } from '../model/plugs.ts'

// Forward secrecy and authenticated encryption, nothing else (RFC 9325 §4.2): the whole of TLS 1.3, and of 1.2 what is like it.
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

// A resumed session has lost its issuers and can come back under another name; a renegotiation could change who the peer is.
const OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_CIPHER_SERVER_PREFERENCE

/** A context for handshakes in either role; without credentials one that shows no certificate. */
export function secureContext(credentials?: Credentials): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    secureOptions: OPTIONS,
    // No anchors: Node's opinion of a chain is not used, its search costs a quarter of the handshake, and named anchors would be told to every peer.
    ca: [],
    ...credentials
  })
}

/**
 * Reads a key and its certificates and makes the context that shows them.
 *
 * @returns the context, and the certificates as DER, leaf first
 * @throws FederationError `S2S_CONFIG` with a sentence: what cannot be read, a wrong passphrase, a key of another certificate
 */
export function readCredentials(credentials: Credentials): { context: SecureContext; chain: readonly Buffer[] } {
  const certificates = readCertificates(credentials.cert)
  const key = readKey(credentials)
  const [leaf] = certificates
  if (leaf === undefined) throw unusable('there is no PEM certificate in cert')
  if (!leaf.checkPrivateKey(key)) throw unusable('the private key does not belong to the first certificate')
  const context = attempt('the TLS library refuses key and certificate', () => secureContext(credentials))
  return { context, chain: certificates.map(certificate => certificate.raw) }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

function readCertificates(pem: string | Buffer): readonly X509Certificate[] {
  const blocks = pem.toString('latin1').match(CERTIFICATE) ?? []
  return blocks.map((block, index) => attempt(`certificate ${index + 1} cannot be read`, () => new X509Certificate(block)))
}

function readKey({ key, passphrase }: Credentials): KeyObject {
  const why = passphrase === undefined ? 'the private key cannot be read' : 'the private key cannot be read with this passphrase'
  return attempt(why, () => createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) }))
}

function attempt<T>(why: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw unusable(cause instanceof Error && 'code' in cause ? `${why} (${String(cause.code)})` : why, cause)
  }
}

function unusable(detail: string, cause?: unknown): FederationError {
  return new FederationError('S2S_CONFIG', { detail, cause })
}
