import { isIP } from 'node:net'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import { asciiDomain, domain } from '../model/domain.ts'
import type { Clock, DnsAnswer, HostAddress, Resolver, SrvRecord } from '../model/plugs.ts'

/** What a lookup is for: SRV records, or addresses of either family. */
export type RecordKind = 'srv' | 'addresses'

/** How records are answered. */
export interface RecordOptions {
  /** Seconds. Default 300. */
  readonly ttl?: number
  /** Whether the answer counts as DNSSEC-authenticated. Default false. */
  readonly secure?: boolean
}

/** One server of a domain, as {@link Zone.server} publishes it. */
export interface PublishedServer {
  /** Literal addresses. */
  readonly addresses: readonly string[]
  /** Default `xmpp.` before the domain. */
  readonly host?: string
  /** Default 5269, and 5270 for direct TLS. */
  readonly port?: number
  /** `direct` publishes `_xmpps-server` (XEP-0368). Default `starttls`. */
  readonly tls?: 'starttls' | 'direct'
  readonly priority?: number
  readonly weight?: number
}

/** A lookup that was made. */
export interface Lookup {
  readonly kind: RecordKind
  readonly name: string
}

/** DNS as specs need it: records, absences, failures and silence. Changes count from the next lookup on. */
export interface Zone {
  readonly resolver: Resolver
  /** Every lookup that was made, in order. */
  readonly lookups: readonly Lookup[]
  /** Milliseconds that an answer takes on the network's clock. Default 0. */
  latency: number
  /** Replaces the SRV records of a name, such as `_xmpp-server._tcp.verona.example`. Priority and weight default to 0, a target of `.` refuses the service. */
  srv(name: string, records: readonly (Partial<SrvRecord> & { readonly target: string })[], options?: RecordOptions): void
  /** Replaces the addresses of a host. */
  addresses(host: string, addresses: readonly string[], options?: RecordOptions): void
  /** Publishes one more server of a domain: an SRV record and the addresses of its host. */
  server(domain: string, server: PublishedServer): void
  /** Lookups of the name fail from now on, as after SERVFAIL; of one kind, or of both. */
  fail(name: string, kind?: RecordKind): void
  /** Lookups of the name are not answered from now on: they end with their signal. */
  silence(name: string, kind?: RecordKind): void
  /** Removes all that is known about a name; failures and silence too. */
  remove(name: string): void
}

interface Entry<T> {
  readonly records: readonly T[]
  readonly ttl: number
  readonly secure: boolean
}

type Trouble = 'fails' | 'is silent'

const TTL = 300

/** A zone of its own; networks come with one. `clock` is what `latency` runs on. */
export function createZone(clock?: Clock): Zone {
  const services = new Map<string, Entry<SrvRecord>>()
  const hosts = new Map<string, Entry<HostAddress>>()
  const troubles = new Map<string, Trouble>()
  const lookups: Lookup[] = []
  const zone = { latency: 0 }

  const exists = (name: string): boolean =>
    [...services.keys(), ...hosts.keys()].some(known => known === name || known.endsWith(`.${name}`))

  const answer = async <T>(
    kind: RecordKind,
    asked: string,
    records: ReadonlyMap<string, Entry<T>>,
    signal: AbortSignal
  ): Promise<DnsAnswer<T>> => {
    const name = normal(asked)
    lookups.push({ kind, name })
    if (signal.aborted) throw abortReason(signal)
    const trouble = troubles.get(`${kind} ${name}`)
    if (trouble === 'is silent') await endOf(signal)
    if (zone.latency > 0) await pass(zone.latency, signal, clock)
    if (trouble === 'fails') throw new FederationError('S2S_DNS_FAILED', { detail: `${kind} ${name}: SERVFAIL` })
    const entry = records.get(name)
    if (entry !== undefined) return { status: 'found', ...entry }
    return { status: exists(name) ? 'no-data' : 'no-such-domain', ttl: TTL, secure: false }
  }

  const trouble = (what: Trouble, name: string, kind?: RecordKind): void => {
    for (const each of kind === undefined ? (['srv', 'addresses'] as const) : [kind]) troubles.set(`${each} ${normal(name)}`, what)
  }

  const srv: Zone['srv'] = (name, records, options) =>
    void services.set(
      normal(name),
      entryOf(
        records.map(({ target, port = 5269, priority = 0, weight = 0 }) => ({ target: normal(target), port, priority, weight })),
        options
      )
    )

  const addresses: Zone['addresses'] = (host, literal, options) => void hosts.set(normal(host), entryOf(literal.map(hostAddress), options))

  const server: Zone['server'] = (domainText, wishes) => {
    const { tls = 'starttls', priority = 0, weight = 0 } = wishes
    const name = asciiDomain(domain(domainText))
    const { host = `xmpp.${name}`, port = tls === 'direct' ? 5270 : 5269 } = wishes
    const service = `_xmpp${tls === 'direct' ? 's' : ''}-server._tcp.${name}`
    srv(service, [...(services.get(service)?.records ?? []), { target: host, port, priority, weight }])
    addresses(host, wishes.addresses)
  }

  const remove = (asked: string): void => {
    const name = normal(asked)
    services.delete(name)
    hosts.delete(name)
    for (const kind of ['srv', 'addresses']) troubles.delete(`${kind} ${name}`)
  }

  return Object.assign(zone, {
    resolver: {
      srv: (name: string, { signal }: { readonly signal: AbortSignal }) => answer('srv', name, services, signal),
      addresses: (host: string, { signal }: { readonly signal: AbortSignal }) => answer('addresses', host, hosts, signal)
    },
    lookups,
    srv,
    addresses,
    server,
    fail: (name: string, kind?: RecordKind) => trouble('fails', name, kind),
    silence: (name: string, kind?: RecordKind) => trouble('is silent', name, kind),
    remove
  })
}

function entryOf<T>(records: readonly T[], { ttl = TTL, secure = false }: RecordOptions = {}): Entry<T> {
  return { records, ttl, secure }
}

function hostAddress(address: string): HostAddress {
  const family = isIP(address)
  if (family !== 4 && family !== 6) throw new FederationError('S2S_CONFIG', { detail: `${JSON.stringify(address)} is not an IP address` })
  return { address, family }
}

function normal(name: string): string {
  return name === '.' ? name : name.toLowerCase().replace(/\.$/, '')
}

function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true }))
}

/** Waits on a clock. Rejects with the reason of the signal. */
export function pass(ms: number, signal: AbortSignal, clock: Clock | undefined): Promise<void> {
  if (clock === undefined) throw new FederationError('S2S_CONFIG', { detail: 'latency needs the clock option of the network' })
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    const onAbort = (): void => {
      timer.cancel()
      reject(abortReason(signal))
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
