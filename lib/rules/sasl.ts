import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'

/** RFC 6120 §6.5. */
export type SaslCondition =
  | 'aborted'
  | 'account-disabled'
  | 'credentials-expired'
  | 'encryption-required'
  | 'incorrect-encoding'
  | 'invalid-authzid'
  | 'invalid-mechanism'
  | 'malformed-request'
  | 'mechanism-too-weak'
  | 'not-authorized'
  | 'temporary-auth-failure'

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes what a SASL element carries (RFC 6120 §6.4.2, §13.9.1): `=` is the empty string, no text at all is no data. Characters
 * outside the alphabet, white space included, wrong padding and pad bits that are not zero are refused.
 *
 * @returns `none` for no data, `incorrect-encoding` for what is not base64
 */
export function decodeSasl(text: string): Buffer | 'none' | 'incorrect-encoding' {
  if (text === '') return 'none'
  if (text === '=') return Buffer.alloc(0)
  if (!BASE64.test(text)) return 'incorrect-encoding'
  const data = Buffer.from(text, 'base64')
  return data.toString('base64') === text ? data : 'incorrect-encoding'
}

/** What a SASL element carries for some data. */
export function encodeSasl(data: Buffer): string {
  return data.length === 0 ? '=' : data.toString('base64')
}

/**
 * Whether an authorization identity is the peer itself (RFC 6120 §6.3.8, XEP-0178 §3): empty, or the very domain of the stream's
 * `from`. A domain that the certificate also covers is not meant by it.
 */
export function isOwnAuthzid(authzid: Buffer, from: Domain): boolean {
  if (authzid.length === 0) return true
  const text = decodeUtf8(authzid)
  return text !== undefined && parseDomain(text) === from
}

/** RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. */
export interface PlainMessage {
  readonly authzid: Buffer
  readonly username: string
  readonly password: string
}

/** Reads the message of PLAIN. undefined: not three parts, not UTF-8, or a name or password that is empty. */
export function readPlain(message: Buffer): PlainMessage | undefined {
  const text = decodeUtf8(message)
  const [authzid, username, password, ...more] = text?.split('\0') ?? []
  if (authzid === undefined || username === undefined || password === undefined || more.length > 0) return undefined
  if (username === '' || password === '') return undefined
  return { authzid: Buffer.from(authzid), username, password }
}

function decodeUtf8(data: Buffer): string | undefined {
  try {
    return utf8.decode(data)
  } catch {
    return undefined
  }
}
