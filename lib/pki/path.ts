import { createHash } from 'node:crypto'
import type { CertificateFacts, ChainFacts, PathEnd } from '../model/chain.ts'
import type { Anchors } from './anchors.ts'
import { Certificate } from './certificate.ts'
import { reasonOf } from './extensions.ts'

const LONGEST_PATH = 8
const MOST_CHECKS = 16
const MOST_PRESENTED = 256
const MOST_PRESENTED_BYTES = 262_144
const MOST_TLVS = 1024

/**
 * Finds the one linear path from the leaf towards an anchor, without ever trying a second: at each step the first certificate
 * that has the issuer's name and made the signature, anchors before presented ones. Bounded whatever is presented: at most 8
 * certificates in the path, each once, and 16 signature checks.
 */
export function findPath(chain: readonly Buffer[], anchors: readonly Anchors[]): ChainFacts {
  const [first = Buffer.alloc(0), ...others] = chain
  let leaf: Certificate
  try {
    leaf = new Certificate(first)
  } catch (error) {
    const fingerprint256 = createHash('sha256').update(first).digest('hex')
    return { fingerprint256, spki256: undefined, path: [], end: 'no-issuer', defects: [`the certificate: ${reasonOf(error)}`] }
  }
  const search = new Search(anchors, presented(others))
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
    const last = this.path.at(-1) ?? leaf
    if (!last.selfIssued) return 'no-issuer'
    return last === leaf && this.#hasSigned(leaf, leaf) ? 'self-signed' : 'self-issued'
  }

  #issuerOf(current: Certificate): Certificate | undefined {
    const named = [
      ...this.#anchors.flatMap(anchors => anchors.named(current.issuerKey)),
      ...this.#presented.filter(one => one.subjectKey === current.issuerKey)
    ].filter(one => !this.path.some(used => used.fingerprint256 === one.fingerprint256))
    const fitting = named.filter(one => one.mayHaveIssued(current))
    const issuer = fitting.find(one => this.#hasSigned(one, current))
    if (issuer !== undefined) return issuer
    // One that signed although its key usage or identifiers speak against it makes a better verdict than "no issuer".
    const unfit = named.find(one => !fitting.includes(one) && this.#hasSigned(one, current))
    if (unfit !== undefined) this.unfit.add(this.path.length)
    return unfit
  }

  #isAnchor(one: Certificate): boolean {
    return this.#anchors.some(anchors => anchors.holds(one)) && one.selfSigned
  }

  #hasSigned(issuer: Certificate, subject: Certificate): boolean {
    return --this.#checksLeft >= 0 && issuer.hasSigned(subject)
  }

  #giveUp(defect: string): PathEnd {
    this.defects.push(defect)
    return 'gave-up'
  }
}

/** What can be read of what was presented beside the leaf, each once; more than anyone sends in earnest is not looked at. */
function presented(chain: readonly Buffer[]): Certificate[] {
  const certificates = new Map<string, Certificate>()
  let bytes = 0
  for (const der of chain.slice(0, MOST_PRESENTED)) {
    bytes += der.length
    if (bytes > MOST_PRESENTED_BYTES) break
    try {
      const one = new Certificate(der)
      certificates.set(one.fingerprint256, one)
    } catch {
      // Rubbish beside the leaf takes part in no path.
    }
  }
  return [...certificates.values()]
}
