import { domainToASCII, domainToUnicode } from 'node:url'
import { FederationError } from '../errors.ts'

declare const brand: unique symbol

/**
 * A hosted or remote domain in canonical form (RFC 7622 §3.2): U-labels, mapped, without a trailing dot. Made only by
 * {@link domain}, so that two domains are the same exactly when their strings are equal.
 */
export type Domain = string & { readonly [brand]: 'Domain' }

/** XEP-0220 domain pair: stanzas flow sender → target. */
export interface DomainPair {
  readonly sender: Domain
  readonly target: Domain
}

const LONGEST_TEXT = 1023
const KNOWN_MOST = 4096
const known = new Map<string, Domain>()

/**
 * Reads a domain name (a domainpart, RFC 7622 §3.2) and gives its canonical form. Used wherever a domain enters: options,
 * stream headers, stanza addresses, dialback. Nothing is stripped but one trailing dot: what a host parser would cut away,
 * decode or ignore is refused.
 *
 * @throws FederationError `S2S_ADDRESS` for anything that is not a fully qualified or single-label domain name
 */
export function domain(text: string): Domain {
  const seen = known.get(text)
  if (seen !== undefined) return seen
  // JavaScript lets anything through.
  const given: unknown = text
  const canonical = typeof given === 'string' ? canonicalDomain(given) : undefined
  if (canonical === undefined) {
    const shown =
      typeof given === 'string' ? JSON.stringify(given.slice(0, 80)) : given === null ? 'null' : `what is of the type ${typeof given}`
    throw new FederationError('S2S_ADDRESS', { detail: `${shown} is not a domain name` })
  }
  if (known.size >= KNOWN_MOST) known.clear()
  known.set(text, canonical)
  return canonical
}

/** As {@link domain}, answering undefined where that throws: for input from peers. */
export function parseDomain(text: string): Domain | undefined {
  return known.get(text) ?? canonicalDomain(text)
}

// Everything a host parser would treat as a delimiter, decode, or drop without a word (measured on node:url).
const FORBIDDEN =
  /[\u0000-\u0020"&'/\\:<>?#@%[\]^`{|}~\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]/u
const INVALID_A_LABEL = /(?:^|\.)xn--/
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/

function canonicalDomain(text: string): Domain | undefined {
  if (text.length === 0 || text.length > LONGEST_TEXT || !text.isWellFormed() || FORBIDDEN.test(text)) return undefined
  const ascii = domainToASCII(text.endsWith('.') ? text.slice(0, -1) : text)
  if (!isHostName(ascii)) return undefined
  const unicode = domainToUnicode(ascii)
  if (unicode.length === 0 || domainToASCII(unicode) !== ascii) return undefined
  // An A-label that stands for no U-label: Node 20 refuses it, Node 24 passes it on as it is.
  if (INVALID_A_LABEL.test(unicode)) return undefined
  return unicode as Domain
}

function isHostName(ascii: string): boolean {
  if (ascii.length === 0 || ascii.length > 253) return false
  const labels = ascii.split('.')
  if (!labels.every(label => label.length <= 63 && LABEL.test(label))) return false
  return !/^[0-9]+$/.test(labels.at(-1) ?? '')
}

/** The A-label form, for DNS, SNI, certificate names and URLs (RFC 5890). */
export function asciiDomain(name: Domain): string {
  return domainToASCII(name)
}

/** One string that stands for the pair in maps; a space occurs in no domain. */
export function pairKey(pair: DomainPair): string {
  return `${pair.sender} ${pair.target}`
}

/** The pair of the opposite flow. */
export function reversed(pair: DomainPair): DomainPair {
  return { sender: pair.target, target: pair.sender }
}
