import { createSocket } from 'node:dgram'
import type { Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { decode } from 'dns-packet'
import { FederationError } from '../errors.ts'
import type { SocketAddress } from '../model/plugs.ts'
import { answerTo, edited, encodeAnswer, SERVFAIL } from './dns-answers.ts'
import type { Alias, Asked } from './dns-answers.ts'
import type { DnsFailure } from './dns-failure.ts'
import { createZone } from './zone.ts'
import type { Zone } from './zone.ts'

export type { DnsFailure } from './dns-failure.ts'

/** What the server was asked, in order. */
export interface DnsQuery {
  readonly id: number
  /** As asked, letters included. */
  readonly name: string
  readonly type: string
  readonly via: 'udp' | 'tcp'
  readonly edns: boolean
  /** The asker's port. */
  readonly port: number
}

/** Which queries a failure is for; default: all. Names are compared without regard to case. */
export interface DnsFailureScope {
  readonly name?: string
  readonly type?: 'SRV' | 'A' | 'AAAA'
  /** After so many queries it is over. */
  readonly times?: number
}

/** What {@link startDnsServer} takes. */
export interface DnsServerOptions {
  /** What it answers from. Default: a new one. */
  readonly zone?: Zone
  /** A loopback address. Default 127.0.0.1. */
  readonly host?: string
  /** Seconds, in the SOA of negative answers; undefined: they carry none. Default 60. */
  readonly negativeTtl?: number | undefined
}

/** A recursive DNS server on loopback: `dnsResolver({ servers: [`${dns.address}:${dns.port}`] })` asks it. */
export interface DnsServer extends SocketAddress {
  /** Its records; they may be changed at any time. What fails there is answered SERVFAIL, what is silent is not answered. */
  readonly zone: Zone
  readonly queries: readonly DnsQuery[]
  /** Makes a name an alias (CNAME) of another. `ttl` is in seconds, default 300. */
  alias(name: string, target: string, ttl?: number): void
  /** Goes wrong from now on; of several failures that fit a query, the latest counts. */
  fail(failure: DnsFailure, scope?: DnsFailureScope): void
  /** Ends all failures. */
  heal(): void
  close(): Promise<void>
}

/**
 * Starts a DNS server for specs and demonstrations, over UDP and TCP: real datagrams and connections, so that a resolver is tested
 * whole. Close it when done.
 */
export async function startDnsServer(options: DnsServerOptions = {}): Promise<DnsServer> {
  const address = options.host ?? '127.0.0.1'
  return new LoopbackDns(await bothOnOnePort(address), address, options)
}

interface Sockets {
  readonly tcp: Server
  readonly udp: UdpSocket
  readonly port: number
}

interface Failing {
  readonly failure: DnsFailure
  readonly scope: DnsFailureScope
  left: number
}

class LoopbackDns implements DnsServer {
  readonly address: string
  readonly port: number
  readonly zone: Zone
  readonly queries: DnsQuery[] = []
  readonly #negativeTtl: number | undefined
  readonly #tcp: Server
  readonly #udp: UdpSocket
  readonly #aliases = new Map<string, Alias>()
  readonly #connections = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #closed = new AbortController()
  #failing: Failing[] = []

  constructor({ tcp, udp, port }: Sockets, address: string, options: DnsServerOptions) {
    this.address = address
    this.port = port
    this.zone = options.zone ?? createZone()
    this.#negativeTtl = 'negativeTtl' in options ? options.negativeTtl : 60
    this.#tcp = tcp
    this.#udp = udp
    udp.on('message', (bytes, from) => this.#onQuery(bytes, 'udp', from.port, reply => this.#udp.send(reply, from.port, from.address)))
    tcp.on('connection', connection => this.#onConnection(connection))
  }

  alias(name: string, target: string, ttl = 300): void {
    this.#aliases.set(name.toLowerCase(), { target, ttl })
  }

  fail(failure: DnsFailure, scope: DnsFailureScope = {}): void {
    this.#failing.unshift({ failure, scope, left: scope.times ?? Number.POSITIVE_INFINITY })
  }

  heal(): void {
    this.#failing = []
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    for (const timer of this.#timers) clearTimeout(timer)
    for (const connection of this.#connections) connection.destroy()
    const closed = [once(this.#tcp, 'close'), once(this.#udp, 'close')]
    this.#tcp.close()
    this.#udp.close()
    await Promise.all(closed)
  }

  #onConnection(connection: Socket): void {
    this.#connections.add(connection)
    connection.on('error', () => undefined).on('close', () => this.#connections.delete(connection))
    if (this.#failing.some(({ failure }) => failure === 'no-tcp')) return void connection.destroy()
    let pending: Buffer = Buffer.alloc(0)
    connection.on('data', chunk => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0)
        this.#onQuery(pending.subarray(2, end), 'tcp', connection.remotePort ?? 0, reply => void connection.write(framed(reply)))
        pending = pending.subarray(end)
      }
    })
  }

  #onQuery(bytes: Buffer, via: DnsQuery['via'], port: number, send: (reply: Buffer) => void): void {
    const query = decodedQuery(bytes)
    if (query === undefined) return
    const { id, question, payload } = query
    const edns = payload !== undefined
    this.queries.push({ id, name: question.name, type: question.type, via, edns, port })
    const failure = this.#failureFor(question)
    const most = via === 'tcp' ? 65_535 : (payload ?? 512)
    void answerTo(question, { resolver: this.zone.resolver, aliases: this.#aliases, negativeTtl: this.#negativeTtl }, this.#closed.signal)
      .catch(() => SERVFAIL)
      .then(answer => {
        if (this.#closed.signal.aborted) return
        const replies = edited({ id, question, answer, edns, via, failure }).map(message => encodeAnswer(message, most))
        this.#later(() => replies.forEach(send), typeof failure === 'object' ? failure.delay : 0)
      })
  }

  #failureFor({ name, type }: Asked): DnsFailure | undefined {
    const fits = ({ scope, left }: Failing): boolean =>
      left > 0 && (scope.name ?? name).toLowerCase() === name.toLowerCase() && (scope.type ?? type) === type
    const failing = this.#failing.find(fits)
    if (failing !== undefined) failing.left -= 1
    return failing?.failure
  }

  #later(run: () => void, delay: number): void {
    if (delay === 0) return run()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, delay)
    this.#timers.add(timer)
  }
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

function decodedQuery(bytes: Buffer): { id: number; question: Asked; payload: number | undefined } | undefined {
  try {
    const { id = 0, questions = [], additionals = [] } = decode(bytes)
    const [question] = questions
    const opt = additionals.find(each => each.type === 'OPT')
    return question === undefined ? undefined : { id, question, payload: opt?.type === 'OPT' ? opt.udpPayloadSize : undefined }
  } catch {
    return undefined
  }
}

const MOST_TRIES = 20

/** A port that is free for TCP is taken for UDP now and then: then the next. */
async function bothOnOnePort(host: string): Promise<Sockets> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const tcp = createServer().listen(0, host)
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    try {
      await once(tcp, 'listening')
      const bound = tcp.address()
      const port = bound === null || typeof bound === 'string' ? 0 : bound.port
      const listening = once(udp, 'listening')
      udp.bind(port, host)
      await listening
      for (const each of [tcp, udp]) each.on('error', () => undefined)
      return { tcp, udp, port }
    } catch (cause) {
      tcp.close()
      udp.close()
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'))
        throw new FederationError('S2S_CONFIG', { detail: `cannot serve DNS on ${host}`, cause })
    }
  }
  throw new FederationError('S2S_CONFIG', { detail: `no port of ${host} is free for both UDP and TCP` })
}
