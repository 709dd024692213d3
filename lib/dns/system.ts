import { promises as dns } from 'node:dns'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { DnsAnswer, HostAddress, Resolver, SrvRecord } from '../model/plugs.ts'
import { checkKeys, objectAt } from '../rules/option-value.ts'
import { isQueryName } from './question.ts'
import { formatServer, readServers } from './servers.ts'

/** What {@link systemResolver} takes. */
export interface SystemResolverOptions {
  /** Whom c-ares asks for SRV records, `198.51.100.53` or `198.51.100.53:5353`. Default: the servers of the operating system. */
  readonly servers?: readonly string[]
}

/**
 * The operating system's resolver: SRV by c-ares, addresses by getaddrinfo, which knows /etc/hosts and whatever else the host is set
 * up with, a search list included. It tells no time to live (answers say 0: keep nothing) and never that an answer was authenticated.
 *
 * Lookups reject with `S2S_DNS_FAILED`, or with the reason of their signal. getaddrinfo cannot be called off: its answer is not
 * waited for any more.
 *
 * @throws FederationError `S2S_CONFIG` for an option that is not usable, such as a server that is none
 */
export function systemResolver(options: SystemResolverOptions = {}): Resolver {
  checkKeys(objectAt(options, 'systemResolver: options'), ['servers'], 'systemResolver: options')
  const { servers } = options
  const asked = servers === undefined ? undefined : readServers(servers, 'systemResolver: options.servers').map(formatServer)
  return { srv: (name, { signal }) => resolveSrv(name, asked, signal), addresses: resolveAddresses }
}

async function resolveSrv(name: string, servers: readonly string[] | undefined, signal: AbortSignal): Promise<DnsAnswer<SrvRecord>> {
  // One of its own: cancelling ends all that a resolver is asking.
  const resolver = new dns.Resolver()
  if (servers !== undefined) resolver.setServers(servers)
  return await answered(`SRV ${name}`, signal, async () => {
    if (!isQueryName(name)) throw new TypeError('it is no name that DNS carries')
    const records = await unlessAborted(resolver.resolveSrv(name), signal, () => resolver.cancel())
    // c-ares writes the root as an empty name.
    return records.map(({ name: target, port, priority, weight }) => ({
      target: target === '' ? '.' : target.toLowerCase(),
      port,
      priority,
      weight
    }))
  })
}

async function resolveAddresses(host: string, { signal }: { readonly signal: AbortSignal }): Promise<DnsAnswer<HostAddress>> {
  return await answered(`addresses of ${host}`, signal, async () => {
    if (!isQueryName(host)) throw new TypeError('it is no name that DNS carries')
    const found = await unlessAborted(dns.lookup(host, { all: true, verbatim: true }), signal, () => undefined)
    return found.map(({ address, family }): HostAddress => ({ address, family: family === 6 ? 6 : 4 }))
  })
}

async function answered<T>(what: string, signal: AbortSignal, look: () => Promise<readonly T[]>): Promise<DnsAnswer<T>> {
  try {
    const records = await look()
    return records.length > 0 ? { status: 'found', records, ttl: 0, secure: false } : { status: 'no-data', ttl: 0, secure: false }
  } catch (error) {
    if (signal.aborted) throw abortReason(signal)
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    if (code === 'ENOTFOUND') return { status: 'no-such-domain', ttl: 0, secure: false }
    if (code === 'ENODATA') return { status: 'no-data', ttl: 0, secure: false }
    throw new FederationError('S2S_DNS_FAILED', {
      detail: `${what}: ${code ?? (error instanceof Error ? error.message : String(error))}`,
      cause: error
    })
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, cancel: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel()
      reject(abortReason(signal))
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject)
  })
}
