import type { PresentedName } from '../model/chain.ts'
import { asciiDomain, parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'

const SERVICE = '_xmpp-server'

/**
 * Whether a certificate's name stands for the domain as an XMPP server: DNS-ID and SRV-ID by RFC 9525 §6.3 and §6.5, XmppAddr
 * by RFC 6120 §13.7.1.4. The reference is the domain we asked for, never anything that the peer said.
 */
export function isNameFor(name: PresentedName, identity: Domain): boolean {
  switch (name.kind) {
    case 'dns':
      return isHostFor(name.value, identity)
    case 'srv': {
      const dot = name.value.indexOf('.')
      return lower(name.value.slice(0, Math.max(0, dot))) === SERVICE && isHostFor(name.value.slice(dot + 1), identity)
    }
    case 'xmpp':
      // A domainpart alone: a trailing dot, which a domain in options or headers may have, is none here.
      return !name.value.endsWith('.') && parseDomain(name.value) === identity
    case 'email':
    case 'uri':
    case 'ip':
    case 'directory':
    case 'other':
      return false
  }
}

/** The host that a name speaks of, as far as DNS name constraints are concerned; undefined for names of other things. */
export function hostOf(name: PresentedName): string | undefined {
  switch (name.kind) {
    case 'dns':
      return lower(name.value)
    case 'srv':
      return lower(name.value.slice(name.value.indexOf('.') + 1))
    case 'xmpp': {
      const parsed = parseDomain(name.value)
      return parsed === undefined ? lower(name.value) : asciiDomain(parsed)
    }
    case 'email':
    case 'uri':
    case 'ip':
    case 'directory':
    case 'other':
      return undefined
  }
}

/** How a name is shown to people; the caller escapes it. */
export function nameText(name: PresentedName): string {
  switch (name.kind) {
    case 'dns':
    case 'srv':
      return name.value
    case 'directory':
      return `directory:${name.value.join(', ')}`
    case 'xmpp':
    case 'email':
    case 'uri':
    case 'ip':
    case 'other':
      return `${name.kind}:${name.value}`
  }
}

function isHostFor(presented: string, identity: Domain): boolean {
  const host = lower(presented)
  const reference = asciiDomain(identity)
  if (!host.startsWith('*.')) return host === reference
  const parent = host.slice(2)
  // A wildcard is one whole label, and what it stands under has at least two: nobody owns a top-level domain's hosts.
  if (!parent.includes('.')) return false
  return reference.slice(reference.indexOf('.') + 1) === parent && reference.includes('.')
}

// Certificates' host names are ASCII; folding more would make other characters equal to ASCII letters.
function lower(text: string): string {
  return text.replace(/[A-Z]/g, letter => letter.toLowerCase())
}
