import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import { domain, parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { Credentials, KeyStore, Tls, TlsContext } from '../model/plugs.ts'
import { asListed, isKeyStore, keyStoreOf, readDefault, readDomains } from './hosted-list.ts'
import { isSilence, KeyReader } from './key-reader.ts'
import type { KeyReaderOptions, Shown } from './key-reader.ts'

/** Former domains that are remembered; a store that comes and goes with thousands needs no more of them. */
const MOST_GONE = 10_000
/** So many domains a key store is asked about at once; when it answers for none of so many in a row, it is asked no more. */
const AHEAD = 100
/** A context takes about a millisecond, what is kept a hundredth of that: others have their turn after as much. */
const KEPT_IN_A_ROW = 100

export interface HostedOptions extends KeyReaderOptions {
  /** Whose certificate is shown where the peer names nobody; default: the first domain. */
  readonly defaultDomain?: string | undefined
}

/** What came of reading the credentials of every domain. */
export interface Reading {
  /** One error for each domain whose credentials could not be had or used. It shows what it did before; a new one is not hosted yet. */
  readonly failed: readonly FederationError[]
  /** Those hosted without a certificate. */
  readonly bare: readonly Domain[]
}

/**
 * The domains this server speaks for, and what each shows the world: one TLS context per domain, made on first use and kept until its
 * credentials are others. Connections keep what they were made with.
 */
export class HostedDomains {
  readonly #store: KeyStore
  /** What was given as a record; undefined: a key store was. */
  readonly #own: Map<Domain, Credentials | undefined> | undefined
  readonly #reader: KeyReader
  readonly #options: HostedOptions
  /** What the source has said last; all but what is new and cannot be used is hosted. */
  #listed: Set<Domain>
  #domains: Set<Domain>
  readonly #gone = new Set<Domain>()
  #default: Domain | undefined
  readonly #shown = new Map<Domain, Shown>()
  /** First uses under way. */
  readonly #asked = new Map<Domain, Promise<TlsContext | undefined>>()
  #readings: Promise<unknown> = Promise.resolve()

  /**
   * @param source credentials per domain (undefined: hosted, without a certificate), or a key store that is asked for them
   * @throws FederationError `S2S_CONFIG` naming a domain that is none, that is given twice, or that is the default and not hosted
   */
  constructor(source: Readonly<Record<string, Credentials | undefined>> | KeyStore, tls: Tls, options: HostedOptions) {
    if (isKeyStore(source)) this.#store = asListed(source)
    else {
      readDomains(Object.keys(source))
      const own = new Map(Object.entries(source).map(([name, credentials]) => [domain(name), credentials]))
      this.#own = own
      this.#store = keyStoreOf(own)
    }
    this.#options = options
    this.#reader = new KeyReader(this.#store, tls, options)
    this.#listed = readDomains(this.#store.domains)
    this.#domains = new Set(this.#listed)
    this.#default = readDefault(options.defaultDomain, this.#domains)
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
   * @throws FederationError naming the domain: `S2S_KEY_STORE` when its credentials cannot be had, `S2S_CONFIG` when they cannot be used;
   * asked again next time
   */
  context(hosted: Domain): Promise<TlsContext | undefined> {
    if (!this.has(hosted)) return Promise.resolve(undefined)
    const known = this.#shown.get(hosted)
    return known === undefined ? (this.#asked.get(hosted) ?? this.#firstUse(hosted)) : Promise.resolve(known.context)
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
   * Reads the list of domains again, and forgets those that are not on it any more.
   *
   * @returns whether there was one
   * @throws FederationError `S2S_CONFIG`, as the constructor; then nothing has changed
   */
  forgetUnlisted(): boolean {
    const listed = readDomains(this.#store.domains)
    const first = readDefault(this.#options.defaultDomain, listed)
    const unlisted = [...this.#domains].filter(each => !listed.has(each))
    this.#listed = listed
    for (const each of unlisted) this.#forget(each)
    this.#default = first
    return unlisted.length > 0
  }

  /**
   * Reads the list of domains and the credentials of each again: new domains and renewed certificates count from the next connection on.
   * One reload after another, so that the last one asked for is the one that stays.
   *
   * @throws FederationError `S2S_CONFIG` for a list that cannot be used; then nothing has changed
   */
  reload(): Promise<Reading> {
    return this.#inTurn(async () => {
      this.forgetUnlisted()
      const listed = [...this.#listed]
      const failed = await this.#readAll(listed)
      // In the order of the list.
      this.#domains = new Set([...this.#listed].filter(each => this.has(each)))
      this.#default = readDefault(this.#options.defaultDomain, this.#domains)
      return this.#reading(failed)
    })
  }

  /** Has a context made for every domain that has none yet. */
  prepare(): Promise<Reading> {
    return this.#inTurn(async () => this.#reading(await this.#readAll([...this.#domains].filter(each => !this.#shown.has(each)))))
  }

  /**
   * Hosts one more domain, or gives a hosted one other credentials.
   *
   * @throws FederationError `S2S_CONFIG` where a key store says what is hosted, and for credentials that cannot be used; then nothing has changed
   */
  add(hosted: Domain, credentials: Credentials | undefined): void {
    const own = this.#ownRecord()
    const shown = this.#reader.make(hosted, credentials, this.#shown.get(hosted))
    own.set(hosted, credentials)
    this.#listed.add(hosted)
    this.#show(hosted, shown)
  }

  /**
   * Hosts a domain no more.
   *
   * @throws FederationError `S2S_CONFIG` for one that is not hosted, for the default domain, and where a key store says what is hosted
   */
  remove(hosted: Domain): void {
    if (!this.has(hosted)) throw unusable(`${hosted} is not hosted`)
    if (hosted === this.#default && this.#options.defaultDomain !== undefined) throw unusable(`${hosted} is the default domain`)
    this.#ownRecord().delete(hosted)
    this.#listed.delete(hosted)
    this.#forget(hosted)
    this.#default = readDefault(this.#options.defaultDomain, this.#domains)
  }

  #ownRecord(): Map<Domain, Credentials | undefined> {
    if (this.#own === undefined) throw unusable('the key store says which domains are hosted: change it, and reload')
    return this.#own
  }

  #inTurn<T>(read: () => Promise<T>): Promise<T> {
    const done = this.#readings.then(read)
    this.#readings = done.catch(() => undefined)
    return done
  }

  /** What is shown from now on, by a domain that is hosted from now on. */
  #show(hosted: Domain, shown: Shown): void {
    this.#shown.set(hosted, shown)
    this.#asked.delete(hosted)
    this.#domains.add(hosted)
    this.#gone.delete(hosted)
    this.#default ??= hosted
  }

  #forget(hosted: Domain): void {
    this.#domains.delete(hosted)
    this.#shown.delete(hosted)
    this.#asked.delete(hosted)
    if (this.#gone.size < MOST_GONE) this.#gone.add(hosted)
  }

  #firstUse(hosted: Domain): Promise<TlsContext | undefined> {
    const asked = this.#reader
      .ask(hosted)
      .then(credentials => {
        // Something newer has been said meanwhile.
        if (this.#asked.get(hosted) !== asked) return this.context(hosted)
        const shown = this.#reader.make(hosted, credentials)
        this.#show(hosted, shown)
        return shown.context
      })
      .finally(() => {
        if (this.#asked.get(hosted) === asked) this.#asked.delete(hosted)
      })
    this.#asked.set(hosted, asked)
    return asked
  }

  /** One domain after the other, so that the event loop lives however many there are. */
  async #readAll(domains: readonly Domain[]): Promise<readonly FederationError[]> {
    const failed: FederationError[] = []
    const asked = domains.slice(0, AHEAD).map(each => this.#answerFor(each))
    let silent = 0
    for (const [index, each] of domains.entries()) {
      const answer = silent < AHEAD ? await asked.shift() : notAsked(each)
      const next = domains[index + AHEAD]
      if (next !== undefined && silent < AHEAD) asked.push(this.#answerFor(next))
      const result = FederationError.is(answer) ? answer : this.#take(each, answer)
      if (FederationError.is(result)) failed.push(result)
      silent = FederationError.is(result) && isSilence(result) ? silent + 1 : silent < AHEAD ? 0 : silent
      if (result !== 'kept' || index % KEPT_IN_A_ROW === 0) await new Promise(resolve => setImmediate(resolve))
      const { signal } = this.#options
      if (signal?.aborted === true) throw abortReason(signal)
    }
    return failed
  }

  async #answerFor(hosted: Domain): Promise<Credentials | undefined | FederationError> {
    try {
      return await this.#reader.ask(hosted)
    } catch (error) {
      return FederationError.from(error)
    }
  }

  #take(hosted: Domain, answer: Credentials | undefined): 'kept' | 'made' | FederationError {
    // It was removed, or given others, meanwhile.
    if (!this.#listed.has(hosted)) return 'kept'
    const credentials = this.#own === undefined ? answer : this.#own.get(hosted)
    const known = this.#shown.get(hosted)
    try {
      const shown = this.#reader.make(hosted, credentials, known)
      this.#show(hosted, shown)
      return shown === known ? 'kept' : 'made'
    } catch (error) {
      return FederationError.from(error)
    }
  }

  #reading(failed: readonly FederationError[]): Reading {
    const isBare = (each: Domain): boolean => this.#shown.has(each) && this.#shown.get(each)?.context === undefined
    return { failed, bare: [...this.#domains].filter(isBare) }
  }
}

function unusable(detail: string): FederationError {
  return new FederationError('S2S_CONFIG', { detail })
}

function notAsked(hosted: Domain): FederationError {
  return new FederationError('S2S_KEY_STORE', { detail: `the credentials of ${hosted}: the key store gives no answers` })
}
