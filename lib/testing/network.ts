import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Clock, Listener, Resolver, SocketAddress, Transport } from '../model/plugs.ts'
import { formatAddress } from '../transport/tcp.ts'
import type { CutKind, CutPlace, End } from './cut.ts'
import { createWire } from './wire.ts'
import type { Wire } from './wire.ts'
import { createZone, pass } from './zone.ts'
import type { Zone } from './zone.ts'

/** What {@link createNetwork} takes: how its wires behave. */
export interface NetworkOptions {
  /** What latencies run on. Needed only where there are any. */
  readonly clock?: Clock
  /** Milliseconds that connecting takes, and bytes in one direction. Default 0: the next turn of the event loop. */
  readonly latency?: number
  /** Bytes that each of the three buffers of a connection's direction holds before the writer is pushed back. Default 16 KiB. */
  readonly highWaterMark?: number
  /** Bytes that arrive in one turn of the event loop, at most; 1 splits everything everywhere. Default: all. */
  readonly segment?: number
}

/** How the connections of one host behave. See {@link Network.transportFor}. */
export interface HostOptions {
  /** Whether connections of this host stay writable after the other end's FIN. Default false, as with Node's sockets. */
  readonly allowHalfOpen?: boolean
}

/** Which connections a fault is for, by what is dialled: an address, or an address and port. */
export type Target = string | { readonly address: string; readonly port?: number }

/** A fault that is in force until it is lifted. */
export interface Fault {
  /** How often it happened. */
  readonly hits: number
  lift(): void
}

/** How connections break. See {@link Network.cut}. */
export interface CutOptions {
  readonly how: CutKind
  /** Whose bytes are watched and cut. */
  readonly of: End
  /** Connections it happens to before it lifts itself. Default: all. */
  readonly times?: number
}

/** Hosts, DNS and the wires between them, in one process. */
export interface Network {
  readonly resolver: Resolver
  readonly zone: Zone
  /**
   * How a host with these addresses reaches others and is reached. It dials from the first of them that has the family of the
   * address dialled, listens on all of them for an unspecified host, and rejects as TCP does.
   */
  transportFor(addresses: string | readonly string[], options?: HostOptions): Transport
  /** Connections that are not gone at both ends. Empty when nothing is left open. */
  readonly wires: readonly Wire[]
  /** Connections that were ever made. */
  readonly opened: number
  /** Addresses that are listened on. */
  readonly listening: readonly SocketAddress[]
  /** Connecting is refused. */
  refuse(target: Target): Fault
  /** Connecting is never answered. */
  blackHole(target: Target): Fault
  /** Connections end, or stop, at a place in the bytes of one end. */
  cut(target: Target, options: CutOptions & CutPlace): Fault
}

interface Host {
  readonly addresses: readonly string[]
  readonly allowHalfOpen: boolean
}

interface Bound extends SocketAddress {
  readonly host: Host
  readonly onConnection: (connection: Duplex, from: SocketAddress) => void
}

interface Rule {
  readonly target: { readonly address: string; readonly port?: number }
  readonly happens: 'refuse' | 'black-hole' | (CutOptions & CutPlace)
  hits: number
}

const FIRST_FREE_PORT = 49_152

/** A network for specs: everything on it happens in this process, in turns of its event loop or on a test clock. */
export function createNetwork(options: NetworkOptions = {}): Network {
  const { clock, latency = 0, highWaterMark = 16_384, segment = Infinity } = options
  if (latency > 0 && clock === undefined) throw new FederationError('S2S_CONFIG', { detail: 'latency needs a clock' })
  const zone = createZone(clock)
  const bound = new Set<Bound>()
  const wires = new Set<Wire>()
  const rules = new Set<Rule>()
  const count = { opened: 0, ports: 0 }

  const freePort = (): number => {
    count.ports += 1
    return FIRST_FREE_PORT + (count.ports % (65_536 - FIRST_FREE_PORT))
  }

  const rulesFor = (to: SocketAddress): Rule[] =>
    [...rules].filter(({ target }) => target.address === to.address && (target.port ?? to.port) === to.port)

  const happen = (rule: Rule): void => {
    rule.hits += 1
    if (typeof rule.happens === 'object' && rule.hits >= (rule.happens.times ?? Infinity)) rules.delete(rule)
  }

  const fault = (target: Target, happens: Rule['happens']): Fault => {
    const rule: Rule = { target: readTarget(target), happens, hits: 0 }
    rules.add(rule)
    return {
      get hits() {
        return rule.hits
      },
      lift: () => void rules.delete(rule)
    }
  }

  const connect = async (host: Host, to: SocketAddress, signal: AbortSignal): Promise<Duplex> => {
    if (signal.aborted) throw abortReason(signal)
    if (isIP(to.address) === 0 || !isPort(to.port)) throw failed(to, 'is no address to dial')
    const found = rulesFor(to)
    const hole = found.find(rule => rule.happens === 'black-hole')
    if (hole !== undefined) happen(hole)
    await (hole === undefined ? arrival(latency, signal, clock) : endOf(signal))
    const refusal = found.find(rule => rule.happens === 'refuse')
    if (refusal !== undefined) happen(refusal)
    const listener = [...bound].find(each => listensAt(each, to))
    if (refusal !== undefined || listener === undefined) throw failed(to, 'ECONNREFUSED')
    return wireUp(host, listener, to, found)
  }

  const wireUp = (host: Host, listener: Bound, to: SocketAddress, found: readonly Rule[]): Duplex => {
    const from = { address: sourceFor(host, to), port: freePort() }
    const cuts = found.flatMap(rule =>
      typeof rule.happens === 'object' ? [{ of: rule.happens.of, how: rule.happens.how, at: rule.happens, hit: () => happen(rule) }] : []
    )
    const allowHalfOpen = { initiating: host.allowHalfOpen, receiving: listener.host.allowHalfOpen }
    const onGone = (): void => void wires.delete(wire)
    const { wire, ends } = createWire({ from, to, highWaterMark, segment, latency, clock, allowHalfOpen, cuts, onGone })
    wires.add(wire)
    count.opened += 1
    setImmediate(listener.onConnection, ends.receiving, from)
    return ends.initiating
  }

  const listen = (host: Host, at: { host: string; port: number }, onConnection: Bound['onConnection']): Listener => {
    const address = UNSPECIFIED.has(at.host) ? '::' : at.host
    const port = at.port === 0 ? freePort() : at.port
    const refuse = (code: string): FederationError =>
      new FederationError('S2S_CONFIG', { detail: `cannot listen on ${formatAddress({ address: at.host, port: at.port })} (${code})` })
    if (address !== '::' && !host.addresses.includes(address)) throw refuse('EADDRNOTAVAIL')
    const mine: Bound = { address, port, host, onConnection }
    const taken = [...bound].some(other => other.port === port && sharesAddress(other, mine))
    if (taken) throw refuse('EADDRINUSE')
    bound.add(mine)
    // Never `::`, which would stand for the addresses of the real machine.
    return {
      address: address === '::' ? (host.addresses[0] ?? address) : address,
      port,
      close: () => Promise.resolve(void bound.delete(mine))
    }
  }

  return {
    resolver: zone.resolver,
    zone,
    transportFor: (addresses, { allowHalfOpen = false } = {}) => {
      const host: Host = { addresses: readAddresses(addresses), allowHalfOpen }
      return {
        connect: (to, { signal }) => connect(host, to, signal),
        listen: (at, onConnection) => attempt(() => listen(host, at, onConnection))
      }
    },
    get wires() {
      return [...wires]
    },
    get opened() {
      return count.opened
    },
    get listening() {
      return [...bound].map(({ address, port }) => ({ address, port }))
    },
    refuse: target => fault(target, 'refuse'),
    blackHole: target => fault(target, 'black-hole'),
    cut: (target, happens) => fault(target, happens)
  }
}

const UNSPECIFIED: ReadonlySet<string> = new Set(['', '::', '0.0.0.0'])

function listensAt(bound: Bound, to: SocketAddress): boolean {
  return bound.port === to.port && (bound.address === '::' ? bound.host.addresses.includes(to.address) : bound.address === to.address)
}

function sharesAddress(a: Bound, b: Bound): boolean {
  const all = (bound: Bound): readonly string[] => (bound.address === '::' ? bound.host.addresses : [bound.address])
  return all(a).some(address => all(b).includes(address))
}

function sourceFor(host: Host, to: SocketAddress): string {
  return host.addresses.find(address => isIP(address) === isIP(to.address)) ?? host.addresses[0] ?? to.address
}

function readAddresses(addresses: string | readonly string[]): readonly string[] {
  const list = typeof addresses === 'string' ? [addresses] : addresses
  const wrong = list.find(address => isIP(address) === 0)
  if (wrong !== undefined) throw new FederationError('S2S_CONFIG', { detail: `${JSON.stringify(wrong)} is not an IP address` })
  return list
}

function readTarget(target: Target): { readonly address: string; readonly port?: number } {
  if (typeof target !== 'string') return target
  const written = /^\[(?<six>[^\]]+)\](?::(?<sixPort>\d+))?$|^(?<four>[^:]+)(?::(?<port>\d+))?$/.exec(target)?.groups
  const address = written?.['six'] ?? written?.['four'] ?? target
  const port = written?.['sixPort'] ?? written?.['port']
  if (isIP(address) === 0) throw new FederationError('S2S_CONFIG', { detail: `${JSON.stringify(target)} is not an address` })
  return port === undefined ? { address } : { address, port: Number(port) }
}

async function arrival(latency: number, signal: AbortSignal, clock: Clock | undefined): Promise<void> {
  if (latency > 0) await pass(latency, signal, clock)
  else await new Promise(resolve => setImmediate(resolve))
  if (signal.aborted) throw abortReason(signal)
}

function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true }))
}

function attempt<T>(make: () => T): Promise<T> {
  return new Promise(resolve => resolve(make()))
}

function failed(to: SocketAddress, why: string): FederationError {
  return new FederationError('S2S_CONNECT_FAILED', {
    detail: `${formatAddress(to)} ${why}`,
    cause: Object.assign(new Error(why), { code: why })
  })
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}
