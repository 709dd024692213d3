import { FederationError } from '../errors.ts'
import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials, KeyStore, Tls, TlsContext } from '../model/plugs.ts'

/**
 * The domains this server speaks for, and what each shows the world: one TLS context per domain, made on first use and kept until
 * {@link reload}. Connections keep what they were made with.
 */
export class HostedDomains {
  readonly #store: KeyStore
  readonly #tls: Tls
  readonly #defaultName: string | undefined
  #domains: ReadonlySet<Domain>
  #default: Domain | undefined
  #contexts = new Map<Domain, Promise<TlsContext | undefined>>()
  #reloads: Promise<void> = Promise.resolve()

  /**
   * @param source credentials per domain (undefined: hosted, without a certificate), or a key store that is asked for them
   * @param defaultDomain whose certificate is shown where the peer names nobody; default: the first domain
   * @throws FederationError `S2S_CONFIG` naming a domain that is none, that is given twice, or that is the default and not hosted
   */
  constructor(source: Readonly<Record<string, Credentials | undefined>> | KeyStore, tls: Tls, defaultDomain?: string) {
    this.#store = isKeyStore(source) ? source : keyStoreOf(source)
    this.#tls = tls
    this.#defaultName = defaultDomain
    this.#domains = readDomains(this.#store.domains)
    this.#default = readDefault(defaultDomain, this.#domains)
  }

  get domains(): readonly Domain[] {
    return [...this.#domains]
  }

  get defaultDomain(): Domain | undefined {
    return this.#default
  }

  has(hosted: Domain): boolean {
    return this.#domains.has(hosted)
  }

  /**
   * What a hosted domain shows; undefined: it is not hosted or has no certificate.
   *
   * @throws FederationError `S2S_CONFIG` naming the domain, when its credentials cannot be had or used; asked again next time
   */
  context(hosted: Domain): Promise<TlsContext | undefined> {
    const known = this.#contexts.get(hosted)
    if (known !== undefined) return known
    if (!this.has(hosted)) return Promise.resolve(undefined)
    const contexts = this.#contexts
    const made = this.#make(hosted)
    contexts.set(hosted, made)
    made.catch(() => contexts.delete(hosted))
    return made
  }

  /**
   * What to show a peer that asks for a server name (RFC 6066 §3): that hosted domain's, else `fallback`'s (the `to` of a header in
   * clear: deployed peers send no server name with STARTTLS), else the default domain's ([ENG-CERT-a]).
   */
  async contextForServerName(servername: string | undefined, fallback: Domain | undefined): Promise<TlsContext | undefined> {
    const named = servername === undefined ? undefined : parseDomain(servername)
    for (const candidate of [named, fallback, this.#default]) {
      const context = candidate === undefined ? undefined : await this.context(candidate)
      if (context !== undefined) return context
    }
    return undefined
  }

  /**
   * Reads the list of domains and the credentials of each again: new domains and renewed certificates count from the next
   * connection on. One reload after another, so that the last one asked for is the one that stays.
   *
   * @throws FederationError `S2S_CONFIG`, as the constructor and {@link context}; then nothing has changed
   */
  reload(): Promise<void> {
    const reload = this.#reloads.then(() => this.#readAgain())
    this.#reloads = reload.catch(() => undefined)
    return reload
  }

  async #readAgain(): Promise<void> {
    const domains = readDomains(this.#store.domains)
    const first = readDefault(this.#defaultName, domains)
    const contexts = new Map([...domains].map(each => [each, this.#make(each)]))
    await Promise.all(contexts.values())
    this.#domains = domains
    this.#default = first
    this.#contexts = contexts
  }

  async #make(hosted: Domain): Promise<TlsContext | undefined> {
    try {
      const credentials = await this.#store.credentialsFor(hosted)
      return credentials === undefined ? undefined : this.#tls.createContext(credentials)
    } catch (cause) {
      const detail = `the credentials of ${hosted}: ${FederationError.is(cause) ? (cause.detail ?? cause.message) : 'the key store failed'}`
      throw new FederationError('S2S_CONFIG', { detail, cause })
    }
  }
}

function isKeyStore(source: Readonly<Record<string, Credentials | undefined>> | KeyStore): source is KeyStore {
  return typeof source['credentialsFor'] === 'function'
}

function keyStoreOf(record: Readonly<Record<string, Credentials | undefined>>): KeyStore {
  const credentials = new Map(Object.entries(record).map(([name, each]) => [parseDomain(name), each]))
  return { domains: Object.keys(record), credentialsFor: hosted => credentials.get(hosted) }
}

function readDomains(names: readonly string[]): ReadonlySet<Domain> {
  const domains = new Set<Domain>()
  for (const name of names) {
    const hosted = parseDomain(name)
    if (hosted === undefined) throw new FederationError('S2S_CONFIG', { detail: `domains: ${JSON.stringify(name)} is not a domain name` })
    if (domains.has(hosted)) throw new FederationError('S2S_CONFIG', { detail: `domains: ${hosted} is given twice` })
    domains.add(hosted)
  }
  return domains
}

function readDefault(name: string | undefined, domains: ReadonlySet<Domain>): Domain | undefined {
  if (name === undefined) return domains.values().next().value
  const wanted = parseDomain(name)
  if (wanted === undefined || !domains.has(wanted))
    throw new FederationError('S2S_CONFIG', { detail: `defaultDomain: ${JSON.stringify(name)} is not one of the hosted domains` })
  return wanted
}
