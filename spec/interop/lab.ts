import { createElement, type Element } from 'ltx'
import {
  createFederation,
  dnsResolver,
  domain,
  type Credentials,
  type DomainPair,
  type Federation,
  type Policy,
  type SocketAddress,
  type Stanza
} from '../../lib/index.ts'
import { createAuthority, type Authority } from '../../lib/testing/certificates.ts'
import { startDnsServer, type DnsServer } from '../../lib/testing/dns-server.ts'
import { startProsody, type Prosody, type ProsodyVariant } from './prosody.ts'

export const ENGINE = 'engine.test'
export const PROSODY = 'prosody.test'
const NS_PING = 'urn:xmpp:ping'
const LOOPBACK = '127.0.0.1'
const DEADLINE = 20_000

/** What both sides stand in: one authority that both trust, one DNS server that both ask, one engine and one Prosody. */
export interface Lab {
  readonly dns: DnsServer
  readonly authority: Authority
  readonly prosody: Prosody
  /** Publishes where a domain listens for STARTTLS. */
  publish(name: string, port: number): void
  /** Starts the engine for {@link ENGINE}; one at a time. It answers pings. Each direction has a connection of its own, unless `bidi` is set. */
  engine(options?: {
    readonly credentials?: Credentials
    readonly policy?: Policy
    readonly bidi?: boolean
    /** Hears every stanza as well. */
    readonly hear?: (stanza: Stanza) => void
  }): Promise<Engine>
  close(): Promise<void>
}

export interface Engine {
  readonly federation: Federation
  readonly pair: DomainPair
  /** Sends a ping to the peer's domain and gives the type of what comes back: over the peer's own stream to us. */
  ping(): Promise<string | undefined>
  stop(): Promise<void>
}

/** Prosody with one domain, {@link PROSODY}, whose certificate is valid unless another is given. */
export async function openLab(variant: ProsodyVariant, credentials?: (authority: Authority) => Credentials): Promise<Lab> {
  const authority = createAuthority()
  const dns = await startDnsServer()
  const publish = (name: string, port: number): void => {
    dns.zone.srv(`_xmpp-server._tcp.${name}`, [{ target: `host.${name}`, port }])
    dns.zone.addresses(`host.${name}`, [LOOPBACK])
  }
  const hosts = { [PROSODY]: credentials?.(authority) ?? authority.issue(PROSODY) }
  const prosody = await startProsody({ variant, hosts, authority: authority.certificate, dns })
  publish(PROSODY, prosody.port)
  return {
    dns,
    authority,
    prosody,
    publish,
    engine: async options => {
      const engine = await startEngine({
        credentials: authority.issue(ENGINE),
        ...options,
        dns,
        authority: authority.certificate
      })
      publish(ENGINE, engine.port)
      return engine
    },
    close: async () => {
      await prosody.stop()
      await dns.close()
    }
  }
}

interface EngineOptions {
  readonly credentials: Credentials
  readonly policy?: Policy
  readonly bidi?: boolean
  readonly hear?: (stanza: Stanza) => void
  readonly dns: SocketAddress
  readonly authority: string
}

async function startEngine({
  credentials,
  policy,
  bidi = false,
  hear,
  dns,
  authority
}: EngineOptions): Promise<Engine & { readonly port: number }> {
  const pending = new Map<string, (type: string | undefined) => void>()
  const onStanza = (stanza: Stanza): void => {
    hear?.(stanza)
    if (stanza.type === 'get') void federation.send(answerTo(stanza))
    else pending.get(stanza.id ?? '')?.(stanza.type)
  }
  const federation: Federation = createFederation({
    domains: { [ENGINE]: credentials },
    trust: { default: [authority] },
    resolver: dnsResolver({ servers: [`${dns.address}:${dns.port}`] }),
    allowPrivateAddresses: true,
    listen: [{ host: LOOPBACK, port: 0 }],
    onStanza,
    // Each direction is to be met by a negotiation of its own, unless told otherwise.
    extensions: { bidi },
    ...(policy === undefined ? {} : { policy })
  })
  await federation.start()
  const ping = (): Promise<string | undefined> => {
    const id = `ping-${pending.size}`
    const request = createElement('iq', { from: ENGINE, to: PROSODY, id, type: 'get' }, createElement('ping', { xmlns: NS_PING }))
    return answered(request, id, federation, pending)
  }
  return {
    federation,
    port: federation.addresses[0]?.port ?? 0,
    pair: { sender: domain(ENGINE), target: domain(PROSODY) },
    ping,
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
