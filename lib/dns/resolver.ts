import type { Answer } from 'dns-packet'
import { FederationError } from '../errors.ts'
import type { Clock, DnsAnswer, HostAddress, Resolver, SrvRecord } from '../model/plugs.ts'
import { checkKeys, hasMethods, isBoolean, objectAt } from '../rules/option-value.ts'
import { addressesOfBoth } from './addresses.ts'
import { askServer } from './ask.ts'
import { AnswerCache } from './cache.ts'
import { Flights } from './flights.ts'
import { readAnswer } from './message.ts'
import type { Message, Said } from './message.ts'
import { isQueryName, isTooLong } from './question.ts'
import type { Question } from './question.ts'
import { formatServer, readServers } from './servers.ts'
import type { Server } from './servers.ts'
import { systemClock } from './system-clock.ts'

/** What {@link dnsResolver} takes. */
export interface DnsResolverOptions {
  /** Addresses with or without a port. Default: the servers of the operating system. */
  readonly servers?: readonly string[]
  /** Whether servers beyond loopback are believed that an answer was authenticated by DNSSEC. Default false. */
  readonly trustAd?: boolean
  /** Default: the process's own. */
  readonly clock?: Clock
}

/** Milliseconds that each server has for one answer, per round. With one server that says nothing, a lookup fails after 8 s. */
const ROUNDS = [1_500, 2_500, 4_000]
const MOST_ALIASES = 8
/** Of one answer: more is no service, but somebody who fills our memory. */
const MOST_RECORDS = 64

/**
 * A stub resolver: it asks recursive servers, over UDP and TCP, keeps answers for as long as they say (negative ones 60 to 300 s),
 * and asks for one name once at a time. Ports, ids and letters are random. It does not read /etc/hosts: `systemResolver` does.
 *
 * Lookups reject with `S2S_DNS_FAILED`, or with the reason of their signal; a lookup that fails is never "none".
 *
 * @throws FederationError `S2S_CONFIG` for an option that is not usable, such as a server that is none
 */
export function dnsResolver(options: DnsResolverOptions = {}): Resolver {
  checkKeys(objectAt(options, 'dnsResolver: options'), ['servers', 'trustAd', 'clock'], 'dnsResolver: options')
  const { servers, trustAd = false, clock = systemClock } = options
  isBoolean(trustAd, 'dnsResolver: options.trustAd')
  hasMethods('now', 'setTimeout')(clock, 'dnsResolver: options.clock')
  const lookups = new Lookups(readServers(servers, 'dnsResolver: options.servers'), trustAd, clock)
  const srv = new AnswersOf(lookups, 'SRV', srvRecord)
  const four = new AnswersOf(lookups, 'A', addressRecord(4))
  const six = new AnswersOf(lookups, 'AAAA', addressRecord(6))
  return {
    srv: (name, { signal }) => srv.of(name, signal),
    addresses: (host, { signal }) => addressesOfBoth(six.of.bind(six, host), four.of.bind(four, host), { clock: lookups.clock, signal })
  }
}

/** All answers of one type: cached, and asked for once at a time. */
class AnswersOf<T> {
  readonly #lookups: Lookups
  readonly #type: Question['type']
  readonly #read: (answer: Answer) => readonly T[]
  readonly #cache = new AnswerCache<T>()
  readonly #flights = new Flights<DnsAnswer<T>>()

  constructor(lookups: Lookups, type: Question['type'], read: (answer: Answer) => readonly T[]) {
    this.#lookups = lookups
    this.#type = type
    this.#read = read
  }

  async of(name: string, signal: AbortSignal): Promise<DnsAnswer<T>> {
    const question = { name: name.toLowerCase(), type: this.#type }
    const cached = this.#cache.get(question.name, this.#lookups.clock.now())
    if (cached !== undefined) return cached
    return await this.#flights.join(question.name, each => this.#look(question, each), signal)
  }

  async #look(question: Question, signal: AbortSignal): Promise<DnsAnswer<T>> {
    const { said, secure } = await this.#lookups.look(question, signal)
    const answer: DnsAnswer<T> =
      said.kind === 'records'
        ? { status: 'found', records: said.answers.slice(0, MOST_RECORDS).flatMap(this.#read), ttl: said.ttl, secure }
        : { status: said.status, ttl: said.ttl, secure }
    this.#cache.put(question.name, answer, this.#lookups.clock.now())
    return answer
  }
}

type Final = Extract<Said, { readonly kind: 'records' | 'none' }>

interface Looked {
  readonly said: Final
  readonly secure: boolean
}

class Lookups {
  readonly clock: Clock
  readonly #servers: readonly Server[]
  readonly #trustAd: boolean

  constructor(servers: readonly Server[], trustAd: boolean, clock: Clock) {
    this.#servers = servers
    this.#trustAd = trustAd
    this.clock = clock
  }

  /** Asks, and asks on where an alias leads out of the answer. */
  async look({ name, type }: Question, signal: AbortSignal): Promise<Looked> {
    if (!isQueryName(name)) throw failed({ name, type }, 'it is no name that DNS carries', { temporary: false })
    let ttl = Number.POSITIVE_INFINITY
    let secure = true
    let asked = name
    for (let aliases = 0; aliases <= MOST_ALIASES; aliases += 1) {
      if (isTooLong(asked)) return { said: { kind: 'none', status: 'no-such-domain', ttl: Math.min(ttl, 300) }, secure: false }
      const { said, secure: authentic } = await this.#ask({ name: asked, type }, signal)
      ttl = Math.min(ttl, said.ttl)
      secure &&= authentic
      if (said.kind !== 'elsewhere') return { said: { ...said, ttl }, secure }
      asked = said.name.toLowerCase()
      if (!isQueryName(asked)) break
    }
    throw failed({ name, type }, 'its aliases lead nowhere')
  }

  /** Server after server, round after round, until one says something that counts. */
  async #ask(question: Question, signal: AbortSignal): Promise<{ said: Exclude<Said, { kind: 'nothing' }>; secure: boolean }> {
    const left = new Set(this.#servers)
    const why = new Map<Server, string>()
    for (const timeout of ROUNDS)
      for (const server of left) {
        const asked = await askServer(server, question, { clock: this.clock, timeout, signal })
        if ('message' in asked) {
          const said = readAnswer(asked.message, question)
          if (said.kind !== 'nothing') return { said, secure: this.#isSecure(server, asked.message) }
          why.set(server, said.why)
          left.delete(server)
        } else {
          why.set(server, asked.why)
          if (asked.gone) left.delete(server)
        }
      }
    throw failed(question, [...why].map(([server, sentence]) => `${formatServer(server)}: ${sentence}`).join('; '))
  }

  /** RFC 6840 §5.8: the bit is as trustworthy as the way to who set it. */
  #isSecure(server: Server, message: Message): boolean {
    return message.flag_ad && (server.loopback || this.#trustAd)
  }
}

function failed({ name, type }: Question, why: string, details: { readonly temporary?: boolean } = {}): FederationError {
  return new FederationError('S2S_DNS_FAILED', { ...details, detail: `${type} ${JSON.stringify(name.slice(0, 253)).slice(1, -1)}: ${why}` })
}

function srvRecord(answer: Answer): readonly SrvRecord[] {
  if (answer.type !== 'SRV') return []
  const { target, port, priority = 0, weight = 0 } = answer.data
  return [{ target: target.toLowerCase(), port, priority, weight }]
}

function addressRecord(family: 4 | 6): (answer: Answer) => readonly HostAddress[] {
  return answer => (answer.type === 'A' || answer.type === 'AAAA' ? [{ address: answer.data, family }] : [])
}
