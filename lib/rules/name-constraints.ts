import type { CertificateFacts, DistinguishedName, NameSubtree, PresentedName } from '../model/chain.ts'
import { escapeText } from './escape.ts'
import { hostOf, nameText } from './names.ts'

const MOST_COMPARISONS = 32_768

/**
 * What an issuer's name constraints hold against a certificate below it, a clause each (RFC 5280 §6.1.3, §4.2.1.10). The host
 * in an SRVName or XmppAddr is held to the constraints on DNS names: a CA for one domain's hosts must not name another
 * domain's XMPP server. Fails closed: a form of constraint that is not understood is a violation.
 */
export function nameConstraintViolations(issuer: CertificateFacts, below: CertificateFacts): string[] {
  const { permitted, excluded } = issuer.nameConstraints ?? { permitted: [], excluded: [] }
  const unknown = [...permitted, ...excluded].filter(subtree => subtree.kind === 'unknown')
  if (unknown.length > 0) return [`has name constraints that are not understood (${unknown.map(subtree => subtree.form).join(', ')})`]
  const names = constrainedNames(below)
  if (names.length * (permitted.length + excluded.length) > MOST_COMPARISONS) return ['has more name constraints than can be checked']
  const violations: string[] = []
  for (const name of names) {
    const ofKind = permitted.filter(subtree => subtree.kind === name.kind)
    const permits = ofKind.length === 0 || ofKind.some(subtree => isWithin(name, subtree, 'permitted'))
    if (!permits || excluded.some(subtree => isWithin(name, subtree, 'excluded')))
      violations.push(`does not permit the name ${escapeText(name.text)}`)
  }
  return violations
}

type Constrained = { readonly text: string } & (
  | { readonly kind: 'dns'; readonly host: string }
  | { readonly kind: 'ip'; readonly address: string }
  | { readonly kind: 'directory'; readonly name: DistinguishedName }
  | { readonly kind: 'email' | 'uri' }
)

function constrainedNames(facts: CertificateFacts): Constrained[] {
  const list = facts.names.flatMap(constrainedName)
  if (facts.subjectName.length > 0) list.push({ kind: 'directory', name: facts.subjectName, text: facts.subject })
  if (facts.subjectEmails > 0) list.push({ kind: 'email', text: facts.subject })
  return list
}

function constrainedName(name: PresentedName): Constrained[] {
  const text = nameText(name)
  const host = hostOf(name)
  if (host !== undefined) return [{ kind: 'dns', host, text }]
  switch (name.kind) {
    case 'ip':
      return [{ kind: 'ip', address: name.value, text }]
    case 'directory':
      return [{ kind: 'directory', name: name.value, text }]
    case 'email':
    case 'uri':
      return [{ kind: name.kind, text }]
    default:
      return []
  }
}

function isWithin(name: Constrained, subtree: NameSubtree, list: 'permitted' | 'excluded'): boolean {
  if (name.kind !== subtree.kind) return false
  switch (name.kind) {
    case 'dns':
      return subtree.kind === 'dns' && isHostWithin(name.host, subtree.base.toLowerCase(), list)
    case 'ip':
      return subtree.kind === 'ip' && isAddressWithin(name.address, subtree)
    case 'directory':
      return subtree.kind === 'directory' && subtree.base.every((rdn, at) => rdn === name.name[at])
    case 'email':
    case 'uri':
      // Their rules are not needed for anything an XMPP server is named by: outside what is permitted, inside what is excluded.
      return list === 'excluded'
  }
}

function isHostWithin(host: string, base: string, list: 'permitted' | 'excluded'): boolean {
  if (base === '') return true
  // With a leading dot RFC 5280 knows no host names; OpenSSL takes it for "subdomains only". Each list gets its stricter reading.
  const bare = base.startsWith('.') ? base.slice(1) : base
  if (host === bare) return list === 'excluded' || bare === base
  if (host.endsWith(`.${bare}`)) return true
  // A wildcard stands for hosts of which some may be excluded.
  return list === 'excluded' && host.startsWith('*.') && (bare === host.slice(2) || bare.endsWith(host.slice(1)))
}

function isAddressWithin(hex: string, range: { readonly address: string; readonly mask: string }): boolean {
  if (hex.length !== range.address.length) return false
  const [address, base, mask] = [hex, range.address, range.mask].map(text => BigInt(`0x${text}`))
  return address !== undefined && base !== undefined && mask !== undefined && (address & mask) === (base & mask)
}
