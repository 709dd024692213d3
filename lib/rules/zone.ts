import type { Domain } from '../model/domain.ts'

/**
 * Under which name others of the same owner may be found: the last two labels. A guess, since only a list of public suffixes would know:
 * good for taking turns, never for a verdict.
 */
export function zoneOf(domain: Domain): string {
  return domain.split('.').slice(-2).join('.')
}
