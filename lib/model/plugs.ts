import type { Duplex } from 'node:stream'
import type { MaybePromise } from './policy.ts'

/** RFC 2782. A target of `.` says that the service is not offered. */
export interface SrvRecord {
  readonly target: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** One address of a host, as its A or AAAA record says. */
export interface HostAddress {
  readonly address: string
  readonly family: 4 | 6
}

/** What DNS said. A lookup that fails (timeout, SERVFAIL, bogus) rejects; it never answers "none". `ttl` is in seconds. */
export type DnsAnswer<T> =
  | { readonly status: 'found'; readonly records: readonly T[]; readonly ttl: number; readonly secure: boolean }
  | { readonly status: 'no-data' | 'no-such-domain'; readonly ttl: number; readonly secure: boolean }

/** Names are absolute A-labels without the trailing dot. Rejections are FederationErrors with `S2S_DNS_FAILED`. */
export interface Resolver {
  srv(name: string, options: { readonly signal: AbortSignal }): Promise<DnsAnswer<SrvRecord>>
  addresses(host: string, options: { readonly signal: AbortSignal }): Promise<DnsAnswer<HostAddress>>
}

/** Where to connect, or where something listens or called from: an address, no name. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** What listens, with the address and port that it got. `close` accepts nothing more; connections that are there stay. That it fails is a `warning`. */
export interface Listener extends SocketAddress {
  close(): Promise<void>
}

/** How bytes reach other hosts: TCP by default, anything that gives a Duplex otherwise. */
export interface Transport {
  connect(to: SocketAddress, options: { readonly signal: AbortSignal }): Promise<Duplex>
  listen(
    at: { readonly host: string; readonly port: number },
    onConnection: (connection: Duplex, from: SocketAddress) => void
  ): Promise<Listener>
}

/** A key and its certificate chain, leaf first, PEM. */
export interface Credentials {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  readonly passphrase?: string
}

/** Where credentials come from when a plain object will not do: asked once per domain, and again after a reload. */
export interface KeyStore {
  readonly domains: readonly string[]
  /** @param name - as `domains` has it, in whatever spelling */
  credentialsFor(name: string): MaybePromise<Credentials | undefined>
}

/** A timer that was set; one that has fired or was cancelled may be cancelled again. */
export interface Timer {
  cancel(): void
}

/** Time, in milliseconds since the epoch. Every deadline of the engine runs on it. */
export interface Clock {
  now(): number
  setTimeout(run: () => void, delay: number): Timer
}

/** Label values are from small closed sets; never a domain. */
export interface Metrics {
  count(name: string, labels?: Readonly<Record<string, string>>): void
  gauge(name: string, value: number, labels?: Readonly<Record<string, string>>): void
  observe(name: string, value: number, labels?: Readonly<Record<string, string>>): void
}

/** The part of pino's interface that the engine uses. */
export interface Logger {
  debug(fields: object, message?: string): void
  info(fields: object, message?: string): void
  warn(fields: object, message?: string): void
  error(fields: object, message?: string): void
  child(bindings: object): Logger
}

/** A key and chain made ready for handshakes, once per domain. What it holds beside the chain is its Tls's own business. */
export interface TlsContext {
  /** What we present, DER, leaf first. */
  readonly chain: readonly Buffer[]
}

/** What a finished handshake gave. `duplex` carries the plaintext; ending or destroying it ends the connection beneath. */
export interface Secured {
  readonly duplex: Duplex
  /** What the peer presented, DER, leaf first, captured once; empty when it presented nothing. */
  readonly chain: readonly Buffer[]
  readonly facts: { readonly protocol: string; readonly cipher: string }
  readonly alpn: string | undefined
  /** Receiving: the server name the peer asked for. Initiating: the one we sent. */
  readonly servername: string | undefined
}

/**
 * Upgrades a duplex in either role. Neither role judges certificates, and the receiving one always asks for one. A handshake
 * that fails rejects with `S2S_TLS_HANDSHAKE`, or `S2S_CERTIFICATE_REFUSED` when the peer refused our certificate, and the
 * connection is destroyed. Other errors are faults of ours (`S2S_INTERNAL`), after which nothing goes on in clear. Nothing is left of a
 * handshake that goes on when its signal is aborted: the engine sees to that where the plug does not.
 */
export interface Tls {
  createContext(credentials: Credentials): TlsContext
  client(
    connection: Duplex,
    options: {
      readonly context: TlsContext | undefined
      readonly servername: string
      readonly alpn: readonly string[]
      readonly signal: AbortSignal
    }
  ): Promise<Secured>
  server(
    connection: Duplex,
    options: { readonly contextFor: (servername: string | undefined) => Promise<TlsContext | undefined>; readonly signal: AbortSignal }
  ): Promise<Secured>
}
