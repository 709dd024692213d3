import { FederationError } from '../errors.ts'

/** Not well-formed, by XML 1.0 or by Namespaces in XML 1.0 (RFC 6120 §4.9.3.13). */
export function illFormed(detail: string): FederationError {
  return new FederationError('S2S_NOT_WELL_FORMED', { detail })
}

/** What XMPP has not, well-formed or not (RFC 6120 §11.1, §4.9.3.18). */
export function restricted(detail: string): FederationError {
  return new FederationError('S2S_NOT_WELL_FORMED', { stream: 'restricted-xml', detail })
}

/** Not UTF-8, or not said to be (RFC 6120 §11.6, §4.9.3.22). */
export function unsupportedEncoding(detail: string): FederationError {
  return new FederationError('S2S_NOT_WELL_FORMED', { stream: 'unsupported-encoding', detail })
}

/** More than a limit allows: `what` says which (RFC 6120 §4.9.3.14). */
export function excess(what: string): FederationError {
  return new FederationError('S2S_LIMIT', { detail: what })
}

/** An element over its limit: `condition` is the application condition to send with the stream error (XEP-0205 §4). */
export function oversized(bytes: number): FederationError {
  return new FederationError('S2S_LIMIT', { detail: `an element of more than ${bytes} bytes`, condition: 'stanza-too-big' })
}
