import type { Endpoint } from '../model/endpoint.ts'
import type { SrvRecord } from '../model/plugs.ts'

/** What one SRV lookup came to. Absent is an answer; failed is none. */
export type ServiceLookup =
  | { readonly outcome: 'found'; readonly records: readonly SrvRecord[] }
  | { readonly outcome: 'absent' }
  | { readonly outcome: 'failed'; readonly because: string }

/** Both services of a domain: `_xmpps-server` (direct TLS, XEP-0368) and `_xmpp-server` (STARTTLS). */
export interface ServiceLookups {
  readonly direct: ServiceLookup
  readonly starttls: ServiceLookup
}

/** Where a domain may be dialled. `refused`: it says that it offers no federation. `failed`: DNS did not say enough. */
export type EndpointChoice =
  | { readonly outcome: 'endpoints'; readonly endpoints: readonly Endpoint[]; readonly failures: readonly string[] }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'failed'; readonly failures: readonly string[] }

/** RFC 6120 §3.2.2: the registered port of the STARTTLS service. */
export const STARTTLS_PORT = 5269

interface Candidate extends SrvRecord {
  readonly tls: Endpoint['tls']
}

/**
 * Turns two SRV lookups into one ordered list (RFC 6120 §3.2, RFC 2782, XEP-0368 §3). Both services are one set of records; a
 * target of `.` takes its kind away. The domain itself, port 5269, is used only if both services are definitely absent.
 *
 * @param host the domain as A-labels
 * @param by.random uniform in 0 ≤ x < 1, for the draw by weight
 * @param by.limit how many endpoints at most
 */
export function chooseEndpoints(
  host: string,
  { direct, starttls }: ServiceLookups,
  by: { readonly random: () => number; readonly limit: number }
): EndpointChoice {
  const failures = [direct, starttls].flatMap(lookup => (lookup.outcome === 'failed' ? [lookup.because] : []))
  const candidates = [...usable(direct, 'direct'), ...usable(starttls, 'starttls')]
  if (candidates.length > 0) return { outcome: 'endpoints', endpoints: order(candidates, by), failures }
  if (failures.length > 0) return { outcome: 'failed', failures }
  if (direct.outcome === 'found' || starttls.outcome === 'found') return { outcome: 'refused' }
  return { outcome: 'endpoints', endpoints: [{ host, port: STARTTLS_PORT, tls: 'starttls', source: 'fallback' }], failures }
}

// A target that no host can have is no target; it would only travel into reports and logs.
const TARGET = /^[a-z0-9_][a-z0-9_.:-]{0,252}$/i

function usable(lookup: ServiceLookup, tls: Endpoint['tls']): readonly Candidate[] {
  if (lookup.outcome !== 'found') return []
  return lookup.records
    .filter(({ target, port }) => TARGET.test(target) && port > 0 && port < 65_536)
    .map(record => ({ ...record, target: record.target.replace(/\.$/, ''), tls }))
}

function order(
  candidates: readonly Candidate[],
  { random, limit }: { readonly random: () => number; readonly limit: number }
): readonly Endpoint[] {
  const groups = new Map<number, Candidate[]>()
  for (const candidate of candidates) {
    const group = groups.get(candidate.priority)
    if (group === undefined) groups.set(candidate.priority, [candidate])
    else group.push(candidate)
  }
  const endpoints: Endpoint[] = []
  for (const [, group] of [...groups].sort(([a], [b]) => a - b))
    endpoints.push(
      ...drawByWeight(group, random, limit - endpoints.length).map(({ target, port, tls }): Endpoint => ({
        host: target,
        port,
        tls,
        source: 'srv'
      }))
    )
  return endpoints
}

/** RFC 2782 "Weight": records of weight 0 stand first, then one is drawn after another, each with a chance in proportion to its weight. */
function drawByWeight(group: readonly Candidate[], random: () => number, most: number): readonly Candidate[] {
  const shuffled = shuffle(group, random)
  const left = [...shuffled.filter(({ weight }) => weight <= 0), ...shuffled.filter(({ weight }) => weight > 0)]
  let sum = left.reduce((total, { weight }) => total + weight, 0)
  const drawn: Candidate[] = []
  while (left.length > 0 && drawn.length < most) {
    const mark = Math.floor(random() * (sum + 1))
    let running = 0
    const index = left.findIndex(({ weight }) => (running += weight) >= mark)
    const [next] = left.splice(Math.max(index, 0), 1)
    if (next === undefined) break
    sum -= next.weight
    drawn.push(next)
  }
  return drawn
}

/** Fisher and Yates. Without it, records of equal weight 0 would always be tried in the order in which they were sent. */
function shuffle<T>(items: readonly T[], random: () => number): readonly T[] {
  const shuffled = [...items]
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const chosen = Math.floor(random() * (last + 1))
    const [a, b] = [shuffled[last], shuffled[chosen]]
    if (a === undefined || b === undefined) continue
    shuffled[last] = b
    shuffled[chosen] = a
  }
  return shuffled
}
