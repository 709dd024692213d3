import type { CertificateFacts, DistinguishedName, NameConstraints, NameSubtree, PresentedName } from '../model/chain.ts'
import { escapeText } from './escape.ts'
import { hostOf, nameText } from './names.ts'

const MOST_COMPARISONS = 4096
/** Violations of one issuer by one certificate: the first few say what is wrong. */
const MOST_TOLD = 8
const NONE: NameConstraints = { permitted: [], excluded: [] }

/**
 * What the name constraints of the issuers in a path hold against the certificates below them, a clause each, beside the issuer
 * (RFC 5280 §6.1.3, §4.2.1.10). The host in an SRVName or XmppAddr is held to the constraints on DNS names: a CA for one domain's
 * hosts must not name another domain's XMPP server. Fails closed: a form of constraint that is not understood is a violation.
 */
export function nameConstraintViolations(path: readonly CertificateFacts[]): readonly Violation[] {
  // A path is judged again and again, for other names and at other times, which have no say here.
  const known = FOUND.get(path) ?? findViolations(path)
  FOUND.set(path, known)
  return known
}

interface Violation {
  readonly issuer: CertificateFacts
  readonly violation: string
}

const FOUND = new WeakMap<readonly CertificateFacts[], readonly Violation[]>()

function findViolations(path: readonly CertificateFacts[]): readonly Violation[] {
  if (path.every(one => one.nameConstraints === undefined)) return []
  // Certificates that a CA gave itself for a new key are exempt, the leaf never.
  const exempt = (one: CertificateFacts, at: number): boolean => at > 0 && one.selfIssued
  const names = path.map((one, at) => (exempt(one, at) ? [] : [...constrainedNames(one), ...(at === 0 ? commonNameHosts(one) : [])]))
  const odd = path.map((one, at) => !exempt(one, at) && one.subjectEmails === 'not-ia5')
  return path.flatMap((issuer, at) => {
    if (at === 0 || issuer.nameConstraints === undefined) return []
    const violations = names.slice(0, at).flatMap(below => violationsOf(issuer.nameConstraints ?? NONE, below).slice(0, MOST_TOLD))
    if (odd.slice(0, at).includes(true)) violations.push('does not permit an e-mail address in a string of another type')
    return [...new Set([...unknownForms(issuer.nameConstraints), ...violations])].map(violation => ({ issuer, violation }))
  })
}

function unknownForms({ permitted, excluded }: NameConstraints): string[] {
  const unknown = [...permitted, ...excluded].filter(subtree => subtree.kind === 'unknown').map(subtree => subtree.form)
  return unknown.length === 0 ? [] : [`has name constraints that are not understood (${escapeText(unknown.join(', '))})`]
}

function violationsOf({ permitted, excluded }: NameConstraints, names: readonly Constrained[]): string[] {
  const violations: string[] = []
  for (const kind of KINDS) {
    const ofKind = names.filter(name => name.kind === kind)
    const permits = permitted.filter(subtree => subtree.kind === kind).map(subtree => test(subtree, 'permitted'))
    const excludes = excluded.filter(subtree => subtree.kind === kind).map(subtree => test(subtree, 'excluded'))
    if (ofKind.length * (permits.length + excludes.length) > MOST_COMPARISONS) return ['has more name constraints than can be checked']
    const barred = ofKind.filter(
      name => (permits.length > 0 && !permits.some(within => within(name))) || excludes.some(within => within(name))
    )
    violations.push(...barred.map(name => `does not permit the name ${escapeText(name.text)}`))
  }
  return violations
}

const KINDS = ['dns', 'email', 'uri', 'ip', 'directory'] as const

interface Constrained {
  readonly kind: (typeof KINDS)[number]
  /** A host, an address in hex; empty for what is not compared. */
  readonly value: string
  readonly rdns: DistinguishedName
  readonly text: string
}

function constrainedNames(facts: CertificateFacts): Constrained[] {
  const list = facts.names.flatMap(constrainedName)
  if (facts.subjectName.length > 0) list.push({ kind: 'directory', value: '', rdns: facts.subjectName, text: facts.subject })
  if (facts.subjectEmails !== 'none') list.push({ kind: 'email', value: '', rdns: [], text: facts.subject })
  return list
}

const HOST_LIKE = /^[\w-]+(\.[\w-]+)+\.?$/

// A common name is no identity here, but others take it for one where no dNSName is: it has to keep within what is permitted.
function commonNameHosts(leaf: CertificateFacts): Constrained[] {
  if (leaf.names.some(name => name.kind === 'dns')) return []
  const hosts = leaf.commonNames.filter(text => HOST_LIKE.test(text))
  return hosts.map(text => ({ kind: 'dns', value: text.replace(/\.$/, '').toLowerCase(), rdns: [], text: `CN=${text}` }))
}

function constrainedName(name: PresentedName): Constrained[] {
  const text = nameText(name)
  const host = hostOf(name)
  if (host !== undefined) return [{ kind: 'dns', value: host, rdns: [], text }]
  switch (name.kind) {
    case 'ip':
      return [{ kind: 'ip', value: name.value, rdns: [], text }]
    case 'directory':
      return [{ kind: 'directory', value: '', rdns: name.value, text }]
    case 'email':
    case 'uri':
      return [{ kind: name.kind, value: '', rdns: [], text }]
    default:
      return []
  }
}

type Within = (name: Constrained) => boolean

/** Whether a name of the subtree's kind is in it. */
function test(subtree: NameSubtree, list: 'permitted' | 'excluded'): Within {
  switch (subtree.kind) {
    case 'dns':
      return list === 'permitted' ? permittedHost(subtree.base.toLowerCase()) : excludedHost(subtree.base.toLowerCase())
    case 'ip': {
      const [base, mask] = [BigInt(`0x${subtree.address}`), BigInt(`0x${subtree.mask}`)]
      return name => name.value.length === subtree.address.length && (BigInt(`0x${name.value}`) & mask) === (base & mask)
    }
    case 'directory':
      return name => subtree.base.every((rdn, at) => rdn === name.rdns[at])
    case 'email':
    case 'uri':
    case 'unknown':
      // Their rules are not needed for anything an XMPP server is named by: outside what is permitted, inside what is excluded.
      return () => list === 'excluded'
  }
}

// With a leading dot RFC 5280 knows no host names; OpenSSL takes it for "subdomains only". Each list has the stricter reading.
function permittedHost(base: string): Within {
  if (base === '') return () => true
  const below = base.startsWith('.') ? base : `.${base}`
  return name => name.value === base || name.value.endsWith(below)
}

function excludedHost(base: string): Within {
  if (base === '') return () => true
  const bare = base.startsWith('.') ? base.slice(1) : base
  const below = `.${bare}`
  return ({ value }) => {
    if (value === bare || value.endsWith(below)) return true
    // A wildcard stands for hosts of which some may be excluded.
    return value.startsWith('*.') && below.endsWith(value.slice(1))
  }
}
