import { FederationError } from '../errors.ts'
import { domain, parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials, KeyStore } from '../model/plugs.ts'
import { kindOf, wrong } from '../rules/option-value.ts'

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
    credentialsFor: hosted => credentials.get(domain(hosted))
  }
}

/**
 * A key store that is asked about each domain under the name that it has listed it by, whatever the spelling: one that looks
 * names up as its operator wrote them would otherwise know nothing of `Verona.Example`, and that domain would have no certificate.
 *
 * @throws FederationError `S2S_CONFIG` from `domains`, when that cannot be read or is no list of names
 */
export function asListed(store: KeyStore): KeyStore {
  const listed = new Map<Domain, string>()
  return {
    get domains() {
      const names = namesOf(store)
      listed.clear()
      for (const name of names) {
        const hosted = parseDomain(name)
        if (hosted !== undefined) listed.set(hosted, name)
      }
      return names
    },
    credentialsFor: hosted => store.credentialsFor(listed.get(domain(hosted)) ?? hosted)
  }
}

function namesOf(store: KeyStore): readonly string[] {
  let names: unknown
  try {
    names = store.domains
  } catch (cause) {
    throw new FederationError('S2S_CONFIG', { detail: 'the domains of the key store cannot be read', cause })
  }
  if (!Array.isArray(names)) throw wrong('domains of the key store', 'a list of names', kindOf(names))
  return names.map((name: unknown, index) => {
    if (typeof name !== 'string') throw wrong(`domains[${index}] of the key store`, 'text', kindOf(name))
    return name
  })
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
