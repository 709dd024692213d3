import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Clock, HostAddress, Resolver, SocketAddress, Timer, Transport } from '../model/plugs.ts'
import { dialOrder } from '../rules/dial-order.ts'
import { isForbiddenAddress } from './forbidden.ts'
import { formatAddress } from './tcp.ts'

/** RFC 8305 §8: the time that one address has to itself before the next is dialled as well. */
const ATTEMPT_DELAY = 250

export interface Dialled {
  readonly connection: Duplex
  readonly address: SocketAddress
}

export interface DialOptions {
  readonly resolver: Resolver
  readonly transport: Transport
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Whether DNS may point to private, loopback and other reserved addresses. */
  readonly allowPrivate: boolean
  /** Whether we listen there: such an address is not dialled unless the operator wrote it down. */
  readonly isOwnListener: (address: SocketAddress) => boolean
}

/**
 * Connects to one endpoint: its host's addresses, raced (RFC 8305). What is dialled is what was checked: names are resolved once,
 * here, and only addresses travel on. An operator's override may point anywhere.
 *
 * The connection has an error listener; it is the caller's from here on. Losers are cancelled.
 *
 * @throws FederationError `S2S_DNS_FAILED`; `S2S_DNS_NO_SERVICE`: the host has no address; `S2S_DNS_FORBIDDEN_ADDRESS`: none that
 * may be dialled; `S2S_CONNECT_FAILED` with an AggregateError as cause; or the reason of the signal
 */
export async function dialEndpoint(endpoint: Endpoint, by: DialOptions): Promise<Dialled> {
  return await new Race(await dialable(endpoint, by), by).winner
}

/** Where an endpoint may lead: the addresses of its host that may be dialled, in the order to dial them; at least one. */
export async function dialable(endpoint: Endpoint, by: Omit<DialOptions, 'transport' | 'clock'>): Promise<readonly SocketAddress[]> {
  const found = dialOrder(await addressesOf(endpoint.host, by))
  const addresses = found.map(({ address }): SocketAddress => ({ address, port: endpoint.port }))
  const allowed = endpoint.source === 'override' ? addresses : addresses.filter(address => mayBeDialled(address, by))
  if (allowed.length === 0)
    throw new FederationError('S2S_DNS_FORBIDDEN_ADDRESS', { detail: `${endpoint.host} is ${addresses.map(formatAddress).join(', ')}` })
  return allowed
}

async function addressesOf(host: string, { resolver, signal }: Pick<DialOptions, 'resolver' | 'signal'>): Promise<readonly HostAddress[]> {
  const family = isIP(host)
  if (family === 4 || family === 6) return [{ address: host, family }]
  const { status, records } = await asked(host, resolver, signal)
  if (records.length > 0) return records
  throw new FederationError('S2S_DNS_NO_SERVICE', {
    detail: status === 'no-such-domain' ? `${host} does not exist` : `${host} has no address`
  })
}

/** Whatever a resolver does but answer is a lookup that failed. */
async function asked(
  host: string,
  resolver: Resolver,
  signal: AbortSignal
): Promise<{ readonly status: string; readonly records: readonly HostAddress[] }> {
  try {
    const answer = await resolver.addresses(host, { signal })
    return { status: answer.status, records: answer.status === 'found' ? answer.records.map(asAddress) : [] }
  } catch (cause) {
    if (FederationError.is(cause)) throw cause
    const because = cause instanceof Error ? cause.message : String(cause)
    throw new FederationError('S2S_DNS_FAILED', { detail: `addresses of ${host}: ${because}`, cause })
  }
}

function asAddress({ address }: HostAddress): HostAddress {
  const family = isIP(address)
  if (family === 4 || family === 6) return { address, family }
  throw new TypeError('the resolver gave a record without an address')
}

function mayBeDialled(
  address: SocketAddress,
  { allowPrivate, isOwnListener }: Pick<DialOptions, 'allowPrivate' | 'isOwnListener'>
): boolean {
  return (allowPrivate || !isForbiddenAddress(address.address)) && !isOwnListener(address)
}

/** One attempt after another, each with a head start over the next; the first connection wins. */
class Race {
  readonly winner: Promise<Dialled>
  readonly #by: DialOptions
  readonly #left: SocketAddress[]
  readonly #runners = new Set<AbortController>()
  readonly #failures: FederationError[] = []
  readonly #onAbort = (): void => this.#end(() => this.#reject(abortReason(this.#by.signal)))
  #timer: Timer | undefined
  #over = false
  #resolve: (dialled: Dialled) => void = () => undefined
  #reject: (error: FederationError) => void = () => undefined

  constructor(addresses: readonly SocketAddress[], by: DialOptions) {
    this.#by = by
    this.#left = [...addresses]
    this.winner = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    by.signal.addEventListener('abort', this.#onAbort, { once: true })
    if (by.signal.aborted) this.#onAbort()
    else this.#startNext()
  }

  #startNext(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const address = this.#left.shift()
    if (address === undefined) return
    if (this.#left.length > 0) this.#timer = this.#by.clock.setTimeout(() => this.#startNext(), ATTEMPT_DELAY)
    void this.#run(address)
  }

  async #run(address: SocketAddress): Promise<void> {
    const runner = new AbortController()
    this.#runners.add(runner)
    try {
      const connection = await this.#by.transport.connect(address, { signal: runner.signal })
      connection.on('error', () => undefined)
      this.#runners.delete(runner)
      if (this.#over) connection.destroy()
      else this.#end(() => this.#resolve({ connection, address }))
    } catch (cause) {
      this.#runners.delete(runner)
      if (!this.#over) this.#lost(address, cause)
    }
  }

  #lost(address: SocketAddress, cause: unknown): void {
    this.#failures.push(
      FederationError.is(cause)
        ? cause
        : new FederationError('S2S_CONNECT_FAILED', { detail: `${formatAddress(address)} ${String(cause)}`, cause })
    )
    if (this.#left.length > 0) this.#startNext()
    else if (this.#runners.size === 0) this.#end(() => this.#reject(allFailed(this.#failures)))
  }

  #end(settle: () => void): void {
    this.#over = true
    this.#timer?.cancel()
    this.#by.signal.removeEventListener('abort', this.#onAbort)
    settle()
    for (const runner of this.#runners) runner.abort(new FederationError('S2S_ABORTED', { detail: 'another address was faster' }))
  }
}

function allFailed(failures: readonly FederationError[]): FederationError {
  return new FederationError('S2S_CONNECT_FAILED', {
    detail: failures.map(error => error.detail ?? error.message).join('; '),
    cause: new AggregateError(failures)
  })
}
