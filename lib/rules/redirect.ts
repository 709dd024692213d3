import { asciiDomain, parseDomain } from '../model/domain.ts'
import type { Endpoint } from '../model/endpoint.ts'

/** RFC 6120 §4.9.3.19 wants redirects bounded: two to five in a row are what others follow. */
export const MOST_REDIRECTS = 3

const DEFAULT_PORT = 5269

/**
 * Where a peer says to go instead (`see-other-host`, RFC 6120 §4.9.3.19): `domain[:port]`, an IPv4 address, or an IPv6 address in
 * brackets. Only where to dial: whom to speak to, and whose certificate to want, stays what it was.
 *
 * @param tls of the endpoint that it was said on
 * @returns undefined for anything else
 */
export function readRedirect(text: string, tls: Endpoint['tls']): Endpoint | undefined {
  const read = /^\[([0-9a-fA-F:.]{2,45})\](?::([0-9]{1,5}))?$|^([^\s:[\]/?#@]{1,255})(?::([0-9]{1,5}))?$/.exec(text.trim())
  if (read === null) return undefined
  const [, v6, v6Port, name = '', namePort] = read
  const port = Number(v6Port ?? namePort ?? DEFAULT_PORT)
  if (port < 1 || port > 65_535) return undefined
  const host = v6 ?? hostNamed(name)
  return host === undefined ? undefined : { host, port, tls, source: 'redirect' }
}

function hostNamed(name: string): string | undefined {
  if (/^[0-9.]+$/.test(name)) return isIpv4(name) ? name : undefined
  const host = parseDomain(name)
  return host === undefined ? undefined : asciiDomain(host)
}

function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every(part => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255)
}
