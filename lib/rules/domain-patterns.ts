import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import { shown, unusable, wrong } from './option-value.ts'

/** A list of patterns, read once: whether it names a domain, and whether it names everybody. */
export interface DomainPatterns {
  readonly everybody: boolean
  matches(name: Domain): boolean
}

/**
 * Reads patterns over domains: `capulet.example` is that domain alone, `*.capulet.example` every domain below it at any depth
 * but not itself, `*` every domain.
 *
 * @param where - what the list is called where it was given, for the message
 * @throws FederationError `S2S_CONFIG` naming the pattern that is none of these
 */
export function readPatterns(patterns: unknown, where = 'patterns'): DomainPatterns {
  // JavaScript lets a single text through, which would be read letter by letter: a block that blocks nobody.
  if (!Array.isArray(patterns)) throw wrong(where, 'a list of domain patterns', shown(patterns))
  const exact = new Set<string>()
  const below: string[] = []
  for (const [index, pattern] of (patterns as readonly unknown[]).entries()) {
    if (pattern === '*') continue
    const isBelow = typeof pattern === 'string' && pattern.startsWith('*.')
    const name = typeof pattern === 'string' ? parseDomain(isBelow ? pattern.slice(2) : pattern) : undefined
    if (name === undefined)
      throw unusable(`${where}[${index}]`, `is ${shown(pattern)}, which is no domain pattern: a domain, *.domain or *`)
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
