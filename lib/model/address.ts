import { parseDomain } from './domain.ts'
import type { Domain } from './domain.ts'

/** A parsed stanza address (RFC 7622 §3.1). `text` is what was received, unchanged. */
export interface Address {
  readonly local: string | undefined
  readonly domain: Domain
  readonly resource: string | undefined
  readonly text: string
}

const LONGEST_PART = 1023
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/u
const NOT_IN_LOCAL = /[\u0000-\u0020"&'/:<>@\u007f-\u00a0]/u

/**
 * Reads an address: the resource is cut at the first `/`, then the localpart at the first `@`, on raw characters before any
 * mapping (RFC 7622 §3.1). Parts are bounded and free of control characters; local and resource are passed on unchanged.
 *
 * @returns undefined for what is no address
 */
export function parseAddress(text: string): Address | undefined {
  const slash = text.indexOf('/')
  const bare = slash < 0 ? text : text.slice(0, slash)
  const resource = slash < 0 ? undefined : text.slice(slash + 1)
  const at = bare.indexOf('@')
  const local = at < 0 ? undefined : bare.slice(0, at)
  if (local !== undefined && (!isPart(local) || NOT_IN_LOCAL.test(local))) return undefined
  if (resource !== undefined && (!isPart(resource) || CONTROLS.test(resource))) return undefined
  const name = parseDomain(at < 0 ? bare : bare.slice(at + 1))
  if (name === undefined) return undefined
  return { local, domain: name, resource, text }
}

/** An address as it is written on a stream: with the one spelling of its domain that both sides compare (RFC 7622 §3.2). */
export function addressText({ local, domain, resource }: Address): string {
  return `${local === undefined ? '' : `${local}@`}${domain}${resource === undefined ? '' : `/${resource}`}`
}

function isPart(part: string): boolean {
  // No character takes more than three octets per UTF-16 unit: most parts need no counting.
  return part.length > 0 && (part.length * 3 <= LONGEST_PART || Buffer.byteLength(part) <= LONGEST_PART)
}
