import assert from 'node:assert/strict'
import { createElement, type Element } from 'ltx'
import {
  createFederation,
  dnsResolver,
  domain,
  type Credentials,
  type DomainPair,
  type Federation,
  type FederationOptions,
  type Policy,
  type SocketAddress,
  type Stanza
} from '../../lib/index.ts'
import { createAuthority, type Authority } from '../../lib/testing/certificates.ts'
import { startDnsServer, type DnsServer } from '../../lib/testing/dns-server.ts'
import { startEjabberd, type Ejabberd } from './ejabberd.ts'
import { ownAddress } from './process.ts'
import { startProsody, type Prosody } from './prosody.ts'
import { DOMAIN, needs, startServer, type PeerServer, type ServerKind, type ServerOptions, type ServerVariant } from './server.ts'

export const ENGINE = 'engine.test'
const NS_PING = 'urn:xmpp:ping'
const DEADLINE = 20_000

/** What both sides stand in: one authority that both trust, one DNS server that both ask, one engine and one server. */
export interface Lab<S extends PeerServer = PeerServer> {
  readonly dns: DnsServer
  readonly authority: Authority
  readonly server: S
  /** The server's domain. */
  readonly theirs: string
  /** Where engines listen. */
  readonly address: string
  /** Publishes where a domain listens for STARTTLS: an SRV record, and the address of its target. */
  publish(name: string, at: SocketAddress): void
  /** Starts an engine; one at a time. It answers pings. Each direction has a connection of its own, unless `bidi` is set. */
  engine(options?: EngineOptions): Promise<Engine>
  /** Stops its engines, its server and its DNS. */
  close(): Promise<void>
}

export interface LabOptions extends Partial<Pick<ServerOptions, 'verbose' | 'nagle'>> {
  readonly variant: ServerVariant
  /** What the server shows. Default: a certificate that is valid. */
  readonly credentials?: (authority: Authority) => Credentials
  /** The domains that engines will have. Default {@link ENGINE}. */
  readonly domains?: readonly string[]
}

export interface EngineOptions {
  /** What each domain shows; undefined: nothing. Default: {@link ENGINE} with a certificate that is valid. */
  readonly domains?: Readonly<Record<string, Credentials | undefined>>
  readonly policy?: Policy
  readonly bidi?: boolean
  readonly timeouts?: FederationOptions['timeouts']
  readonly random?: () => number
  /** Hears every stanza as well. */
  readonly hear?: (stanza: Stanza) => void
  /** Default: any that is free. */
  readonly port?: number
}

export interface Engine {
  readonly federation: Federation
  /** From the first domain to the server's. */
  readonly pair: DomainPair
  /** STARTTLS. */
  readonly at: SocketAddress
  /** TLS from the first byte. */
  readonly directAt: SocketAddress
  /** Sends a ping to the server's domain and gives the type of what comes back: over the server's own stream to us. */
  ping(from?: string): Promise<string | undefined>
  /** Has the server ping one of our domains, and says whether that came about. */
  pinged(domain?: string): Promise<boolean>
  stop(): Promise<void>
}

/** A Prosody of one domain. */
export function openProsodyLab(options: LabOptions): Promise<Lab<Prosody>> {
  return open('prosody', startProsody, options)
}

/** A server of one domain. */
export function openLab(kind: ServerKind, options: LabOptions): Promise<Lab> {
  return open(kind, all => startServer(kind, all), options)
}

/**
 * Opens a lab for all specs of a suite and closes it behind them; skips them where the server is missing.
 *
 * @param prepare what else the specs need
 * @returns gives the lab, once the specs run
 */
export function suiteLab(kind: ServerKind, options: LabOptions, prepare?: (lab: Lab) => Promise<void>): () => Lab {
  return suite(kind, () => openLab(kind, options), prepare)
}

/** The same, with a Prosody. */
export function suiteProsodyLab(options: LabOptions, prepare?: (lab: Lab<Prosody>) => Promise<void>): () => Lab<Prosody> {
  return suite('prosody', () => openProsodyLab(options), prepare)
}

/** The same, with an ejabberd. */
export function suiteEjabberdLab(options: LabOptions, prepare?: (lab: Lab<Ejabberd>) => Promise<void>): () => Lab<Ejabberd> {
  return suite('ejabberd', () => open('ejabberd', startEjabberd, options), prepare)
}

function suite<L extends Lab>(kind: ServerKind, start: () => Promise<L>, prepare?: (lab: L) => Promise<void>): () => L {
  let lab: L | undefined
  before(async function () {
    needs(kind, this)
    lab = await start()
    await prepare?.(lab)
  })
  after(() => lab?.close())
  return () => lab ?? assert.fail('there is no lab before the specs run')
}

async function open<S extends PeerServer>(
  kind: ServerKind,
  start: (options: ServerOptions) => Promise<S>,
  { credentials, domains = [ENGINE], ...rest }: LabOptions
): Promise<Lab<S>> {
  const authority = createAuthority()
  const dns = await startDnsServer()
  const theirs = DOMAIN[kind]
  const address = await ownAddress()
  const publish = (name: string, at: SocketAddress): void => {
    dns.zone.srv(`_xmpp-server._tcp.${name}`, [{ target: `host.${name}`, port: at.port }])
    dns.zone.addresses(`host.${name}`, [at.address])
  }
  const server = await start({
    ...rest,
    hosts: { [theirs]: credentials?.(authority) ?? authority.issue(theirs) },
    authority: authority.certificate,
    dns,
    names: Object.fromEntries(domains.flatMap(name => [name, `host.${name}`].map(host => [host, address])))
  })
  publish(theirs, server)
  const engines: Engine[] = []
  return {
    dns,
    authority,
    server,
    theirs,
    address,
    publish,
    engine: async (options = {}) => {
      const engine = await startEngine({
        domains: { [ENGINE]: authority.issue(ENGINE) },
        ...options,
        dns,
        server,
        theirs,
        address,
        authority: authority.certificate
      })
      engines.push(engine)
      for (const name of Object.keys(options.domains ?? { [ENGINE]: true })) publish(name, engine.at)
      return engine
    },
    close: async () => {
      await Promise.all(engines.map(engine => engine.stop()))
      await server.stop()
      await dns.close()
    }
  }
}

interface Surroundings {
  readonly domains: Readonly<Record<string, Credentials | undefined>>
  readonly dns: SocketAddress
  readonly server: PeerServer
  readonly theirs: string
  readonly address: string
  readonly authority: string
}

async function startEngine(options: EngineOptions & Surroundings): Promise<Engine> {
  const { domains, policy, bidi = false, timeouts, random, hear, dns, server, theirs, address, authority, port = 0 } = options
  const pending = new Map<string, (type: string | undefined) => void>()
  const awaited = new Map<string, () => void>()
  const onStanza = (stanza: Stanza): void => {
    hear?.(stanza)
    awaited.get(stanza.id ?? '')?.()
    if (stanza.type !== 'get') pending.get(stanza.id ?? '')?.(stanza.type)
    // A server that can be heard and not reached is not answered; what it makes of that is its own affair.
    else federation.send(answerTo(stanza)).catch(() => undefined)
  }
  const federation: Federation = createFederation({
    domains,
    trust: { default: [authority] },
    resolver: dnsResolver({ servers: [`${dns.address}:${dns.port}`] }),
    allowPrivateAddresses: true,
    listen: [
      { host: address, port },
      { host: address, port: 0, tls: 'direct' }
    ],
    onStanza,
    // Each direction is to be met by a negotiation of its own, unless told otherwise.
    extensions: { bidi },
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(random === undefined ? {} : { random }),
    ...(policy === undefined ? {} : { policy })
  })
  await federation.start()
  const [first = ENGINE] = Object.keys(domains)
  let pings = 0
  return {
    federation,
    at: { address, port: federation.addresses[0]?.port ?? 0 },
    directAt: { address, port: federation.addresses[1]?.port ?? 0 },
    pair: { sender: domain(first), target: domain(theirs) },
    ping: (from = first) => {
      pings += 1
      const id = `ping-${pings}`
      const request = createElement('iq', { from, to: theirs, id, type: 'get' }, createElement('ping', { xmlns: NS_PING }))
      return answered(request, id, federation, pending)
    },
    pinged: (to = first) =>
      server.ping(
        theirs,
        to,
        id =>
          new Promise(resolve => {
            awaited.set(id, resolve)
          })
      ),
    stop: () => federation.stop()
  }
}

function answered(
  request: Element,
  id: string,
  federation: Federation,
  pending: Map<string, (type: string | undefined) => void>
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no answer to ${id} in ${DEADLINE} ms`))
    }, DEADLINE)
    pending.set(id, type => {
      clearTimeout(timer)
      resolve(type)
    })
    federation.send(request).catch((error: unknown) => {
      clearTimeout(timer)
      reject(error instanceof Error ? error : new Error(String(error)))
    })
  })
}

function answerTo({ from, to, id }: Stanza): Element {
  return createElement('iq', { from: to.text, to: from.text, type: 'result', ...(id === undefined ? {} : { id }) })
}
