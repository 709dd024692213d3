import { FederationError } from '../errors.ts'
import { asciiDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Resolver, SrvRecord } from '../model/plugs.ts'
import type { Override } from '../model/settings.ts'
import { chooseEndpoints, STARTTLS_PORT } from '../rules/endpoints.ts'
import type { ServiceLookup } from '../rules/endpoints.ts'

/** No port is registered for direct TLS (XEP-0368); deployed servers use this one by habit. */
const DIRECT_PORT = 5270

/** Where a domain may be dialled, best first. */
export interface Discovery {
  readonly endpoints: readonly Endpoint[]
  /** A sentence for each kind of service whose lookup failed although there is somewhere to dial. */
  readonly failures: readonly string[]
}

interface DiscoverOptions {
  readonly resolver: Resolver
  /** Uniform in 0 ≤ x < 1. */
  readonly random: () => number
  readonly signal: AbortSignal
  /** How many endpoints at most. */
  readonly limit: number
  /** The operator's word, instead of DNS. */
  readonly override?: Override
}

/**
 * Finds where a domain's server is (RFC 6120 §3.2): the operator's override, else both SRV services together, else the domain
 * itself at 5269. Every domain is looked up on its own; nothing is derived from a parent's records.
 *
 * @throws FederationError `S2S_DNS_FAILED`: DNS did not say enough; `S2S_DNS_SERVICE_REFUSED`: the domain says that it offers no
 * federation; or the reason of the signal
 */
export async function discoverEndpoints(target: Domain, by: DiscoverOptions): Promise<Discovery> {
  if (by.override !== undefined) return { endpoints: [overridden(by.override)], failures: [] }
  const host = asciiDomain(target)
  const [direct, starttls] = await Promise.all([lookUp(`_xmpps-server._tcp.${host}`, by), lookUp(`_xmpp-server._tcp.${host}`, by)])
  const choice = chooseEndpoints(host, { direct, starttls }, by)
  if (choice.outcome === 'endpoints') return { endpoints: choice.endpoints, failures: choice.failures }
  if (choice.outcome === 'refused') throw new FederationError('S2S_DNS_SERVICE_REFUSED', { detail: `SRV of ${host}` })
  throw new FederationError('S2S_DNS_FAILED', { detail: choice.failures.join('; ') })
}

function overridden({ host, tls = 'starttls', port = tls === 'direct' ? DIRECT_PORT : STARTTLS_PORT }: Override): Endpoint {
  return { host, port, tls, source: 'override' }
}

async function lookUp(name: string, { resolver, signal }: DiscoverOptions): Promise<ServiceLookup> {
  try {
    const answer = await resolver.srv(name, { signal })
    if (answer.status !== 'found' || answer.records.length === 0) return { outcome: 'absent' }
    if (!answer.records.every(isWhole)) throw new TypeError('the resolver gave a record without target, port, priority or weight')
    return { outcome: 'found', records: answer.records }
  } catch (error) {
    if (signal.aborted) throw FederationError.from(error)
    return { outcome: 'failed', because: FederationError.is(error) ? (error.detail ?? error.message) : `${name}: ${String(error)}` }
  }
}

function isWhole(record: Partial<SrvRecord> | null | undefined): boolean {
  return typeof record?.target === 'string' && [record.port, record.priority, record.weight].every(Number.isSafeInteger)
}
