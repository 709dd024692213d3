import { FederationError } from '../errors.ts'
import { domain, parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials, KeyStore, Tls, TlsContext } from '../model/plugs.ts'

/** Former domains that are remembered; a store that comes and goes with thousands needs no more of them. */
const MOST_GONE = 10_000

/**
 * The domains this server speaks for, and what each shows the world: one TLS context per domain, made on first use and kept until
 * {@link reload}. Connections keep what they were made with.
 */
export class HostedDomains {
  readonly #store: KeyStore
  /** What was given as a record; undefined: a key store was. */
  readonly #own: Map<Domain, Credentials | undefined> | undefined
  readonly #tls: Tls
  readonly #defaultName: string | undefined
  #domains: ReadonlySet<Domain>
  readonly #gone = new Set<Domain>()
  #default: Domain | undefined
  #contexts = new Map<Domain, Promise<TlsContext | undefined>>()
  #reloads: Promise<void> = Promise.resolve()

  /**
   * @param source credentials per domain (undefined: hosted, without a certificate), or a key store that is asked for them
   * @param defaultDomain whose certificate is shown where the peer names nobody; default: the first domain
   * @throws FederationError `S2S_CONFIG` naming a domain that is none, that is given twice, or that is the default and not hosted
   */
  constructor(source: Readonly<Record<string, Credentials | undefined>> | KeyStore, tls: Tls, defaultDomain?: string) {
    if (isKeyStore(source)) this.#store = source
    else {
      readDomains(Object.keys(source))
      const own = new Map(Object.entries(source).map(([name, credentials]) => [domain(name), credentials]))
      this.#own = own
      this.#store = keyStoreOf(own)
    }
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

  /** Whether a domain was hosted here once and is not any more: `host-gone`, not `host-unknown` (RFC 6120 §4.9.3.5). */
  isGone(domain: Domain): boolean {
    return this.#gone.has(domain)
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
    return this.#inTurn(() => this.#readAgain())
  }

  /**
   * Hosts one more domain, or gives a hosted one other credentials.
   *
   * @throws FederationError `S2S_CONFIG` where a key store says what is hosted, and for credentials that cannot be used; then nothing has changed
   */
  add(hosted: Domain, credentials: Credentials | undefined): Promise<void> {
    return this.#change(credentialsOf => credentialsOf.set(hosted, credentials))
  }

  /**
   * Hosts a domain no more.
   *
   * @throws FederationError `S2S_CONFIG` for one that is not hosted, for the default domain, and where a key store says what is hosted
   */
  remove(hosted: Domain): Promise<void> {
    if (!this.has(hosted)) return Promise.reject(unusable(`${hosted} is not hosted`))
    if (hosted === this.#default && this.#defaultName !== undefined) return Promise.reject(unusable(`${hosted} is the default domain`))
    return this.#change(credentialsOf => credentialsOf.delete(hosted))
  }

  #change(change: (credentialsOf: Map<Domain, Credentials | undefined>) => void): Promise<void> {
    const own = this.#own
    if (own === undefined) return Promise.reject(unusable('the key store says which domains are hosted: change it, and reload'))
    return this.#inTurn(async () => {
      const before = new Map(own)
      change(own)
      try {
        await this.#readAgain()
      } catch (error) {
        own.clear()
        for (const [name, credentials] of before) own.set(name, credentials)
        throw error
      }
    })
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#reloads.then(change)
    this.#reloads = done.catch(() => undefined)
    return done
  }

  async #readAgain(): Promise<void> {
    const domains = readDomains(this.#store.domains)
    const first = readDefault(this.#defaultName, domains)
    const contexts = new Map([...domains].map(each => [each, this.#make(each)]))
    await Promise.all(contexts.values())
    for (const each of this.#domains) if (!domains.has(each) && this.#gone.size < MOST_GONE) this.#gone.add(each)
    for (const each of domains) this.#gone.delete(each)
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

function keyStoreOf(credentials: ReadonlyMap<Domain, Credentials | undefined>): KeyStore {
  return {
    get domains() {
      return [...credentials.keys()]
    },
    credentialsFor: hosted => credentials.get(hosted)
  }
}

function unusable(detail: string): FederationError {
  return new FederationError('S2S_CONFIG', { detail })
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
