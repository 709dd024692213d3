import { createHash } from 'node:crypto'
import { FederationError } from '../errors.ts'
import { MISSING_CERTIFICATE } from '../model/certificate.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { ChainFacts } from '../model/chain.ts'
import type { Domain } from '../model/domain.ts'
import type { Pin } from '../model/policy.ts'
import type { Trust } from '../model/settings.ts'
import { readPatterns } from '../rules/domain-patterns.ts'
import type { DomainPatterns } from '../rules/domain-patterns.ts'
import { judgeCertificate } from '../rules/judge.ts'
import { Anchors, bundledRoots, readPems, systemRoots } from './anchors.ts'
import { KeptPaths } from './kept-paths.ts'
import { considered, findPath } from './path.ts'
import type { FoundPath } from './path.ts'

interface Scope {
  readonly patterns: DomainPatterns
  readonly anchors: Anchors
  readonly only: boolean
}

/**
 * Judges what peers present, and our own certificates alike: the one judge for both directions, both TLS roles and a clock that
 * the caller holds. Paths are kept (bounded, by what was presented and who is trusted for the name), for as long as the dates of nothing
 * presented could lead elsewhere; dates, names, use and pins are judged afresh each time.
 */
export class Judge {
  #default: () => Anchors = lazy(() => new Anchors(bundledRoots()))
  #scopes: readonly Scope[] = []
  #paths = new KeptPaths()

  /** @throws FederationError `S2S_CONFIG` for trust that cannot be used */
  constructor(trust: Trust = {}) {
    this.reload(trust)
  }

  /**
   * Trusts others from now on. Verdicts already given stay as they are.
   *
   * @throws FederationError `S2S_CONFIG` for trust that cannot be used; the former one then stays
   */
  reload(trust: Trust): void {
    const scopes = (trust.forDomains ?? []).map(({ patterns, ca, only }, at) => ({
      patterns: readPatterns(patterns, `trust.forDomains[${at}].patterns`),
      anchors: new Anchors(readPems(ca, `trust.forDomains[${at}].ca`)),
      only: only === true
    }))
    this.#default = defaultAnchors(trust)
    this.#scopes = scopes
    this.#paths = new KeptPaths()
  }

  /**
   * The verdict on what was presented, for the name that the peer has to have. Never throws: what cannot be read is a problem.
   *
   * @param chain DER, leaf first, as presented; empty for a peer that presented nothing
   * @param now milliseconds since the epoch
   * @param pins undefined, where none applies to the peer
   */
  judge(chain: readonly Buffer[], identity: Domain, now: number, pins: readonly Pin[] | undefined): CertificateVerdict {
    if (chain.length === 0) return MISSING_CERTIFICATE
    try {
      return judgeCertificate(this.#pathOf(chain, identity, now), identity, now, pins)
    } catch (error) {
      const detail = `the certificate cannot be judged: ${FederationError.from(error).message}`
      return { ...MISSING_CERTIFICATE, problems: [{ kind: 'constraint', detail }] }
    }
  }

  #pathOf(chain: readonly Buffer[], identity: Domain, now: number): ChainFacts {
    const matching = [...this.#scopes.entries()].filter(([, scope]) => scope.patterns.matches(identity))
    const only = matching.some(([, scope]) => scope.only)
    const trusted = `${only ? 'only' : 'also'} ${matching.map(([at]) => at).join()}`
    const looked = considered(chain)
    const find = (): FoundPath => {
      const anchors = [...matching.map(([, scope]) => scope.anchors), ...(only ? [] : [this.#default()])]
      return findPath(looked, anchors, now)
    }
    return this.#paths.of(chain, trusted, now, () => digestOf(looked), find)
  }
}

function defaultAnchors({ default: source = 'bundled', also = [] }: Trust): () => Anchors {
  const beside = readPems(also, 'trust.also')
  // Reading the bundled list takes some milliseconds, which not every process has a use for.
  if (source === 'bundled') return lazy(() => new Anchors([...bundledRoots(), ...beside]))
  const anchors = new Anchors([...(source === 'system' ? systemRoots() : readPems(source, 'trust.default')), ...beside])
  return () => anchors
}

function lazy<T extends object>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** SHA-256 over the certificates in order, each with its length: no two chains have the same bytes. */
function digestOf(chain: readonly Buffer[]): string {
  const hash = createHash('sha256')
  const length = Buffer.alloc(4)
  for (const der of chain) {
    length.writeUInt32BE(der.length)
    hash.update(length).update(der)
  }
  return hash.digest('base64')
}
