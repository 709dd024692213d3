import { AUTHENTIC_DATA, decode, encode, RECURSION_DESIRED } from 'dns-packet'
import type { Answer, DecodedPacket } from 'dns-packet'
import { isAffordable } from './affordable.ts'
import { sameName } from './question.ts'
import type { Question } from './question.ts'

/** RFC 9715 §3: what travels unfragmented almost everywhere. */
const PAYLOAD = 1232
const HEADER_BYTES = 12
const MOST_HOPS = 8

const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']

export type Message = DecodedPacket

/** A query with recursion wanted. The AD bit asks to be told whether the answer was authenticated (RFC 6840 §5.7). */
export function encodeQuery(id: number, { name, type }: Question, edns: boolean): Buffer {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ name, type }],
    additionals: edns
      ? [{ type: 'OPT', name: '.', udpPayloadSize: PAYLOAD, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
      : []
  })
}

/**
 * What a datagram or TCP message is to us. `stranger`: not an answer to this query, whoever sent it. `truncated`, `garbled`: an
 * answer that has to be fetched over TCP. `case`: one to this name in other letters, which somebody may have guessed.
 */
export type Received =
  | { readonly kind: 'message' | 'case'; readonly message: Message }
  | { readonly kind: 'truncated' | 'garbled' }
  | { readonly kind: 'stranger' }

export function readMessage(bytes: Buffer, id: number, asked: Question): Received {
  const isResponse = bytes.length >= HEADER_BYTES && bytes.readUInt16BE(0) === id && ((bytes[2] ?? 0) & 0x80) !== 0
  if (!isResponse) return { kind: 'stranger' }
  const message = isAffordable(bytes) ? decoded(bytes) : undefined
  if (message === undefined) return { kind: 'garbled' }
  const [question, ...more] = message.questions ?? []
  // Servers that could not read a query need not repeat it.
  if (question === undefined) return rcodeOf(message) === 'NOERROR' ? { kind: 'stranger' } : { kind: 'message', message }
  if (more.length > 0 || question.type !== asked.type || question.class !== 'IN' || !sameName(question.name, asked.name))
    return { kind: 'stranger' }
  if (message.flag_tc) return { kind: 'truncated' }
  return { kind: question.name === asked.name ? 'message' : 'case', message }
}

function decoded(bytes: Buffer): Message | undefined {
  try {
    return decode(bytes)
  } catch {
    return undefined
  }
}

export function rcodeOf({ flags = 0 }: Message): string {
  const rcode = flags & 15
  return RCODES[rcode] ?? `RCODE${rcode}`
}

/**
 * What a response says. `elsewhere`: an alias leads out of it, ask again. `nothing`: no answer that counts, such as SERVFAIL or a
 * referral, which is not the same as none.
 */
export type Said =
  | { readonly kind: 'records'; readonly answers: readonly Answer[]; readonly ttl: number }
  | { readonly kind: 'none'; readonly status: 'no-data' | 'no-such-domain'; readonly ttl: number }
  | { readonly kind: 'elsewhere'; readonly name: string; readonly ttl: number }
  | { readonly kind: 'nothing'; readonly why: string }

/** Follows aliases inside a response (RFC 1034 §3.6.2) and tells no data from a referral (RFC 2308 §2). */
export function readAnswer(message: Message, { name, type }: Question): Said {
  const rcode = rcodeOf(message)
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { kind: 'nothing', why: rcode }
  const answers = (message.answers ?? []).filter(each => 'class' in each && each.class === 'IN')
  let owner = name
  let ttl = Number.POSITIVE_INFINITY
  for (let hop = 0; hop <= MOST_HOPS; hop += 1) {
    const own = answers.filter(each => sameName(each.name, owner))
    const wanted = own.filter(each => each.type === type)
    if (wanted.length > 0 && rcode === 'NOERROR') return { kind: 'records', answers: wanted, ttl: Math.min(ttl, ...wanted.map(ttlOf)) }
    const alias = own.find(each => each.type === 'CNAME')
    if (alias?.type !== 'CNAME') return withoutRecords(message, { name: owner, aliased: hop > 0, ttl })
    ttl = Math.min(ttl, ttlOf(alias))
    owner = alias.data
  }
  return { kind: 'nothing', why: 'an alias that leads in a circle' }
}

function withoutRecords(message: Message, end: { readonly name: string; readonly aliased: boolean; readonly ttl: number }): Said {
  const authorities = message.authorities ?? []
  const soa = authorities.find(each => each.type === 'SOA')
  const ttl = Math.min(end.ttl, negativeTtl(soa))
  if (rcodeOf(message) === 'NXDOMAIN') return { kind: 'none', status: 'no-such-domain', ttl }
  if (soa !== undefined) return { kind: 'none', status: 'no-data', ttl }
  if (end.aliased) return { kind: 'elsewhere', name: end.name, ttl: end.ttl }
  if (authorities.some(each => each.type === 'NS')) return { kind: 'nothing', why: 'a referral: the server does not recurse' }
  return { kind: 'none', status: 'no-data', ttl }
}

const SHORTEST_NEGATIVE = 60
const LONGEST_NEGATIVE = 300
const LONGEST = 86_400

/** RFC 2308 §5, in bounds: a peer that was just set up is found within minutes, and one that is not there is not asked for every second. */
function negativeTtl(soa: Answer | undefined): number {
  const said = soa?.type === 'SOA' ? Math.min(ttlOf(soa), soa.data.minimum ?? 0) : SHORTEST_NEGATIVE
  return Math.min(Math.max(said, SHORTEST_NEGATIVE), LONGEST_NEGATIVE)
}

/** Seconds. RFC 2181 §8: a value with the first bit set is none. */
function ttlOf(answer: Answer): number {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0
  return ttl > 0x7fffffff ? 0 : Math.min(ttl, LONGEST)
}
