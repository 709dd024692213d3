import { createHash } from 'node:crypto'
import type { CertificateFacts, ChainFacts, PathEnd } from '../model/chain.ts'
import type { Anchors } from './anchors.ts'
import { Certificate } from './certificate.ts'
import { reasonOf } from './extensions.ts'

const LONGEST_PATH = 8
const MOST_CHECKS = 16
const MOST_PRESENTED = 256
const MOST_PRESENTED_BYTES = 262_144
const MOST_LOOKS = 64
const MOST_TLVS = 384

/** A path, and when the same certificates make the same one: from `from` on, and before `until`. Milliseconds since the epoch. */
export interface FoundPath {
  readonly facts: ChainFacts
  readonly from: number
  readonly until: number
}

const ALWAYS = { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY }

/**
 * Finds the one linear path from the leaf towards an anchor, without ever trying a second: the issuer is taken by name and key
 * identifiers, from the anchors before what was presented, as OpenSSL takes it, and must then have signed. Bounded whatever is
 * presented: at most 8 certificates in the path, each once, 16 signature checks (costly ones count twice), 64 candidates.
 *
 * @param now milliseconds since the epoch: of two presented certificates that fit, one in its dates goes first
 */
export function findPath(chain: readonly Buffer[], anchors: readonly Anchors[], now: number): FoundPath {
  const [first = Buffer.alloc(0), ...others] = considered(chain)
  let leaf: Certificate
  try {
    leaf = new Certificate(first)
  } catch (error) {
    const fingerprint256 = createHash('sha256').update(first).digest('hex')
    const defects = [`the certificate: ${reasonOf(error)}`]
    return { facts: { fingerprint256, spki256: undefined, path: [], end: 'no-issuer', defects }, ...ALWAYS }
  }
  const search = new Search(anchors, readable(others), now)
  const end = search.climb(leaf)
  const budget = { left: MOST_TLVS }
  const path = search.path.map(one => one.facts(budget))
  const defects = [...search.defects, ...unfitIssuers(path, search.unfit)]
  return { facts: { fingerprint256: leaf.fingerprint256, spki256: leaf.spki256, path, end, defects }, ...search.period }
}

/** Why an issuer does not fit, where neither its key usage nor the encoding of either says it already: the key identifiers. */
function unfitIssuers(path: readonly CertificateFacts[], unfit: ReadonlySet<number>): string[] {
  return path.flatMap((issuer, at) => {
    const below = path[at - 1]
    if (below === undefined || !unfit.has(at) || issuer.keyUsage?.includes('keyCertSign') === false) return []
    if (issuer.defects.length > 0 || below.defects.length > 0) return []
    return [`${issuer.subject} signed ${below.subject}, which names another key or serial number`]
  })
}

class Search {
  readonly path: Certificate[] = []
  /** Places in the path of issuers that signed, but that node:crypto takes for none. */
  readonly unfit = new Set<number>()
  readonly defects: string[] = []
  period = ALWAYS
  readonly #anchors: readonly Anchors[]
  readonly #presented: readonly Certificate[]
  readonly #now: number
  readonly #looked = new Set<Certificate>()
  #checksLeft = MOST_CHECKS

  constructor(anchors: readonly Anchors[], others: readonly Certificate[], now: number) {
    this.#anchors = anchors
    this.#presented = others
    this.#now = now
  }

  climb(leaf: Certificate): PathEnd {
    for (let current: Certificate | undefined = leaf; current !== undefined; current = this.#issuerOf(current)) {
      this.path.push(current)
      if (this.#isAnchor(current)) return 'anchor'
      if (this.path.length === LONGEST_PATH) return this.#giveUp(`the path has more than ${LONGEST_PATH} certificates`)
    }
    if (this.#checksLeft < 0) return this.#giveUp(`the path takes more than ${MOST_CHECKS} signature checks`)
    if (this.#looked.size >= MOST_LOOKS) return this.#giveUp(`more than ${MOST_LOOKS - 1} certificates have the name of an issuer`)
    const last = this.path.at(-1) ?? leaf
    if (!last.selfIssued) return 'no-issuer'
    return last === leaf && this.#hasSigned(leaf, leaf) ? 'self-signed' : 'self-issued'
  }

  #issuerOf(current: Certificate): Certificate | undefined {
    const unused = (one: Certificate): boolean => !this.path.some(used => used.fingerprint256 === one.fingerprint256)
    const trusted = this.#anchors.flatMap(anchors => anchors.named(current.issuerKey)).filter(unused)
    const presented = this.#presented.filter(one => one.subjectKey === current.issuerKey && unused(one))
    const fits = (one: Certificate): boolean => this.#mayHaveIssued(one, current)
    const fitting = trusted.filter(fits)
    const candidates = fitting.length > 0 ? fitting : this.#preferred(presented.filter(fits))
    const issuer = candidates.find(one => this.#hasSigned(one, current))
    return issuer ?? this.#unfitIssuerOf(current, [...trusted, ...presented])
  }

  /** Who presents several that fit has to begin with the right one: OpenSSL tries no second, and what it refuses is not accepted here. */
  #preferred(fitting: readonly Certificate[]): Certificate[] {
    if (fitting.length > 1) for (const each of fitting) this.#chosenWithin(each)
    const one = fitting.find(each => each.isInTime(this.#now)) ?? fitting[0]
    return one === undefined ? [] : [one]
  }

  /** Which one goes first may be another when a certificate that had a say begins to be valid, or ceases to. */
  #chosenWithin({ notBefore, notAfter }: Certificate): void {
    for (const date of [notBefore, notAfter]) {
      if (date === undefined) continue
      const { from, until } = this.period
      this.period = date <= this.#now ? { from: Math.max(from, date), until } : { from, until: Math.min(until, date) }
    }
  }

  /** One that signed although its key usage or identifiers speak against it makes a better verdict than "no issuer". */
  #unfitIssuerOf(current: Certificate, named: readonly Certificate[]): Certificate | undefined {
    const unfit = named.find(one => this.#looked.has(one) && !one.mayHaveIssued(current) && this.#hasSigned(one, current))
    if (unfit !== undefined) this.unfit.add(this.path.length)
    return unfit
  }

  #isAnchor(one: Certificate): boolean {
    return this.#anchors.some(anchors => anchors.holds(one)) && one.selfSigned
  }

  // Having node:crypto read a certificate costs a hundred times a look at its name.
  #mayHaveIssued(issuer: Certificate, subject: Certificate): boolean {
    if (this.#looked.size >= MOST_LOOKS && !this.#looked.has(issuer)) return false
    this.#looked.add(issuer)
    return issuer.mayHaveIssued(subject)
  }

  #hasSigned(issuer: Certificate, subject: Certificate): boolean {
    this.#checksLeft -= issuer.checkCost
    return this.#checksLeft >= 0 && issuer.hasSigned(subject)
  }

  #giveUp(defect: string): PathEnd {
    this.defects.push(defect)
    return 'gave-up'
  }
}

/** What of a presented chain is looked at: the leaf, and beside it no more than anyone sends in earnest. */
export function considered(chain: readonly Buffer[]): readonly Buffer[] {
  let bytes = 0
  const end = chain.findIndex((der, at) => at > 0 && (at > MOST_PRESENTED || (bytes += der.length) > MOST_PRESENTED_BYTES))
  return end < 0 ? chain : chain.slice(0, end)
}

/** What can be read of what was presented beside the leaf, each once. Rubbish there takes part in no path. */
function readable(others: readonly Buffer[]): Certificate[] {
  const certificates = new Map<string, Certificate>()
  for (const der of others) {
    try {
      const one = new Certificate(der)
      certificates.set(one.fingerprint256, one)
    } catch {
      continue
    }
  }
  return [...certificates.values()]
}
