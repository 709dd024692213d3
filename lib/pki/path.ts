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
const MOST_TLVS = 512

/**
 * Finds the one linear path from the leaf towards an anchor, without ever trying a second: at each step the first certificate
 * that has the issuer's name and made the signature, anchors before presented ones. Bounded whatever is presented: at most 8
 * certificates in the path, each once, 16 signature checks (costly ones count twice), and
 * 64 candidates.
 */
export function findPath(chain: readonly Buffer[], anchors: readonly Anchors[]): ChainFacts {
  const [first = Buffer.alloc(0), ...others] = considered(chain)
  let leaf: Certificate
  try {
    leaf = new Certificate(first)
  } catch (error) {
    const fingerprint256 = createHash('sha256').update(first).digest('hex')
    return { fingerprint256, spki256: undefined, path: [], end: 'no-issuer', defects: [`the certificate: ${reasonOf(error)}`] }
  }
  const search = new Search(anchors, readable(others))
  const end = search.climb(leaf)
  const budget = { left: MOST_TLVS }
  const path = search.path.map(one => one.facts(budget))
  const defects = [...search.defects, ...unfitIssuers(path, search.unfit)]
  return { fingerprint256: leaf.fingerprint256, spki256: leaf.spki256, path, end, defects }
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
  readonly #anchors: readonly Anchors[]
  readonly #presented: readonly Certificate[]
  readonly #looked = new Set<Certificate>()
  #checksLeft = MOST_CHECKS

  constructor(anchors: readonly Anchors[], others: readonly Certificate[]) {
    this.#anchors = anchors
    this.#presented = others
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
    const named = [
      ...this.#anchors.flatMap(anchors => anchors.named(current.issuerKey)),
      ...this.#presented.filter(one => one.subjectKey === current.issuerKey)
    ].filter(one => !this.path.some(used => used.fingerprint256 === one.fingerprint256))
    const fitting = named.filter(one => this.#mayHaveIssued(one, current))
    const issuer = fitting.find(one => this.#hasSigned(one, current))
    if (issuer !== undefined) return issuer
    // One that signed although its key usage or identifiers speak against it makes a better verdict than "no issuer".
    const unfit = named.find(one => this.#looked.has(one) && !fitting.includes(one) && this.#hasSigned(one, current))
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
