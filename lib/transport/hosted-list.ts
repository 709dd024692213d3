import { FederationError } from '../errors.ts'
import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials, KeyStore } from '../model/plugs.ts'

/** Which of both forms of the option `domains` it is. */
export function isKeyStore(source: Readonly<Record<string, Credentials | undefined>> | KeyStore): source is KeyStore {
  return typeof source['credentialsFor'] === 'function'
}

/** A record that may change, as a key store. */
export function keyStoreOf(credentials: ReadonlyMap<Domain, Credentials | undefined>): KeyStore {
  return {
    get domains() {
      return [...credentials.keys()]
    },
    credentialsFor: hosted => credentials.get(hosted)
  }
}

/** @throws FederationError `S2S_CONFIG` naming what is no domain, and what is given twice */
export function readDomains(names: readonly string[]): Set<Domain> {
  const domains = new Set<Domain>()
  for (const name of names) {
    const hosted = parseDomain(name)
    if (hosted === undefined) throw new FederationError('S2S_CONFIG', { detail: `domains: ${JSON.stringify(name)} is not a domain name` })
    if (domains.has(hosted)) throw new FederationError('S2S_CONFIG', { detail: `domains: ${hosted} is given twice` })
    domains.add(hosted)
  }
  return domains
}

/** @throws FederationError `S2S_CONFIG` when the default domain is not hosted */
export function readDefault(name: string | undefined, domains: ReadonlySet<Domain>): Domain | undefined {
  if (name === undefined) return domains.values().next().value
  const wanted = parseDomain(name)
  if (wanted === undefined || !domains.has(wanted))
    throw new FederationError('S2S_CONFIG', { detail: `defaultDomain: ${JSON.stringify(name)} is not one of the hosted domains` })
  return wanted
}
