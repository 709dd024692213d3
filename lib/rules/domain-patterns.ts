import { FederationError } from '../errors.ts'
import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'

/** A list of patterns, read once: whether it names a domain, and whether it names everybody. */
export interface DomainPatterns {
  readonly everybody: boolean
  matches(name: Domain): boolean
}

/**
 * Reads patterns over domains: `capulet.example` is that domain alone, `*.capulet.example` every domain below it at any depth
 * but not itself, `*` every domain.
 *
 * @throws FederationError `S2S_CONFIG` naming the pattern that is none of these
 */
export function readPatterns(patterns: readonly string[]): DomainPatterns {
  // JavaScript lets a single text through, which would be read letter by letter: a block that blocks nobody.
  const given: unknown = patterns
  if (!Array.isArray(given) || !given.every(each => typeof each === 'string'))
    throw new FederationError('S2S_CONFIG', { detail: 'domain patterns have to be a list of texts' })
  const exact = new Set<string>()
  const below: string[] = []
  for (const pattern of patterns) {
    if (pattern === '*') continue
    const isBelow = pattern.startsWith('*.')
    const name = parseDomain(isBelow ? pattern.slice(2) : pattern)
    if (name === undefined)
      throw new FederationError('S2S_CONFIG', { detail: `${JSON.stringify(pattern)} is no domain pattern: a domain, *.domain or *` })
    if (isBelow) below.push(`.${name}`)
    else exact.add(name)
  }
  const everybody = patterns.includes('*')
  return { everybody, matches: name => everybody || exact.has(name) || below.some(suffix => name.endsWith(suffix)) }
}

/**
 * Whether any of the patterns names the domain, as {@link readPatterns} reads them.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern, whether or not another one matches
 */
export function matchesDomain(patterns: readonly string[], name: Domain): boolean {
  return readPatterns(patterns).matches(name)
}
