import { FederationError } from '../errors.ts'
import { MOST_REDIRECTS, readRedirect } from '../rules/redirect.ts'
import type { Negotiation } from './negotiation.ts'

/**
 * A peer that sends us elsewhere is followed next, a few times, and only if its certificate authenticates it: anybody else could send
 * us anywhere (RFC 6120 §4.9.3.19).
 */
export function followRedirect(thrown: unknown, n: Negotiation): void {
  const { elsewhere } = FederationError.from(thrown)
  if (elsewhere === undefined || n.attempt === undefined || !n.position.authenticated) return
  const followed = n.endpoints.filter(({ source }) => source === 'redirect').length
  const endpoint = followed < MOST_REDIRECTS ? readRedirect(elsewhere, n.attempt.endpoint.tls) : undefined
  if (endpoint !== undefined) n.endpoints = [endpoint, ...n.endpoints]
}
