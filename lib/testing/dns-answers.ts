import { AUTHENTIC_DATA, encode, RECURSION_AVAILABLE, RECURSION_DESIRED, TRUNCATED_RESPONSE } from 'dns-packet'
import type { Answer, Packet, Question, RecordType } from 'dns-packet'
import type { DnsAnswer, Resolver } from '../model/plugs.ts'
import type { DnsFailure } from './dns-failure.ts'

/** What the server is asked. */
export interface Asked {
  readonly name: string
  readonly type: string
}

/** A name that is another one's alias: a CNAME record. */
export interface Alias {
  readonly target: string
  /** Seconds. */
  readonly ttl: number
}

interface Section {
  readonly rcode: number
  readonly flags: number
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
}

interface Knowledge {
  readonly resolver: Resolver
  readonly aliases: ReadonlyMap<string, Alias>
  readonly negativeTtl: number | undefined
}

const RCODE = { formerr: 1, servfail: 2, nxdomain: 3, refused: 5 } as const
const MOST_ALIASES = 12

/** What is said when nothing goes wrong: the aliases, then what the zone knows about the last of them. */
export async function answerTo(asked: Asked, { resolver, aliases, negativeTtl }: Knowledge, signal: AbortSignal): Promise<Section> {
  const answers: Answer[] = []
  let owner = asked.name
  for (let alias = aliases.get(owner.toLowerCase()); alias !== undefined && answers.length < MOST_ALIASES;) {
    answers.push({ type: 'CNAME', name: owner, class: 'IN', ttl: alias.ttl, data: alias.target })
    owner = alias.target
    alias = aliases.get(owner.toLowerCase())
  }
  const answer = await lookUp(asked.type, owner, resolver, signal)
  const flags = RECURSION_DESIRED | RECURSION_AVAILABLE | (answer.secure ? AUTHENTIC_DATA : 0)
  if (answer.status === 'found') return { rcode: 0, flags, answers: [...answers, ...answer.records], authorities: [] }
  return { rcode: answer.status === 'no-data' ? 0 : RCODE.nxdomain, flags, answers, authorities: soaOf(owner, negativeTtl) }
}

/** What is said when the zone's lookup fails. */
export const SERVFAIL: Section = { rcode: RCODE.servfail, flags: RECURSION_DESIRED | RECURSION_AVAILABLE, answers: [], authorities: [] }

async function lookUp(type: string, owner: string, resolver: Resolver, signal: AbortSignal): Promise<DnsAnswer<Answer>> {
  if (type === 'SRV') {
    const answer = await resolver.srv(owner, { signal })
    if (answer.status !== 'found') return answer
    return { ...answer, records: answer.records.map(data => ({ type, name: owner, class: 'IN', ttl: answer.ttl, data: { ...data } })) }
  }
  const answer = await resolver.addresses(owner, { signal })
  if (answer.status !== 'found') return answer
  const family = type === 'A' ? 4 : type === 'AAAA' ? 6 : undefined
  const records = answer.records
    .filter(each => each.family === family)
    .map(({ address }): Answer => ({ type: family === 4 ? 'A' : 'AAAA', name: owner, class: 'IN', ttl: answer.ttl, data: address }))
  return records.length > 0 ? { ...answer, records } : { status: 'no-data', ttl: answer.ttl, secure: answer.secure }
}

function soaOf(name: string, minimum: number | undefined): readonly Answer[] {
  if (minimum === undefined) return []
  const apex = name.split('.').slice(-2).join('.')
  const data = { mname: `ns.${apex}`, rname: `hostmaster.${apex}`, serial: 1, refresh: 3600, retry: 600, expire: 86_400, minimum }
  return [{ type: 'SOA', name: apex, class: 'IN', ttl: 3600, data }]
}

interface Exchange {
  readonly id: number
  readonly question: Asked
  readonly answer: Section
  readonly edns: boolean
  readonly via: 'udp' | 'tcp'
  readonly failure: DnsFailure | undefined
}

type Message = { readonly id: number; readonly question: Asked; readonly edns: boolean } & (Section | { readonly raw: Buffer })

/** The messages that go out for a query, with what is to go wrong gone wrong. */
export function edited({ id, question, answer, edns, via, failure }: Exchange): readonly Message[] {
  const message = { id, question, edns, ...answer }
  const empty = { ...message, answers: [], authorities: [] }
  switch (failure) {
    case 'timeout':
      return []
    case 'servfail':
    case 'refused':
      return [{ ...empty, rcode: RCODE[failure] }]
    case 'truncated':
      return [via === 'udp' ? { ...empty, rcode: 0, flags: answer.flags | TRUNCATED_RESPONSE } : message]
    case 'garbled':
      return [
        via === 'udp' ? { id, question, edns, raw: Buffer.from([id >> 8, id & 255, 0x81, 0x80, 0, 9, 0, 0, 0, 0, 0, 0, 0xff]) } : message
      ]
    case 'wrong-id':
      return [{ ...forged(message), id: (id + 1) & 0xffff }, message]
    case 'wrong-question':
      return [{ ...forged(message), question: { ...question, name: `not.${question.name}` } }, message]
    case 'no-edns':
      return [edns ? { ...empty, edns: false, rcode: RCODE.formerr } : message]
    case 'lower-case':
      return [{ ...message, question: { ...question, name: question.name.toLowerCase() } }]
    case 'alias-only':
      return [{ ...message, rcode: 0, answers: answer.answers.slice(0, 1), authorities: [] }]
    case 'referral':
      return [{ ...empty, rcode: 0, flags: 0, authorities: [{ type: 'NS', name: 'example', class: 'IN', ttl: 300, data: 'ns.example' }] }]
    default:
      return [message]
  }
}

/** What somebody off the path would like to be believed. */
function forged<M extends Section & { readonly question: Asked }>(message: M): M {
  const { name, type } = message.question
  const evil: Answer[] =
    type === 'SRV'
      ? [{ type: 'SRV', name, class: 'IN', ttl: 86_400, data: { target: 'forged.example', port: 5269, priority: 0, weight: 0 } }]
      : [{ type: 'A', name, class: 'IN', ttl: 86_400, data: '192.0.2.66' }]
  return { ...message, rcode: 0, answers: evil, authorities: [] }
}

/** The bytes of a message; cut down to a truncated one when it does not fit (RFC 2181 §9). */
export function encodeAnswer(message: Message, most: number): Buffer {
  if ('raw' in message) return message.raw
  const { id, question, edns, rcode, flags, answers, authorities } = message
  const packet: Packet = {
    type: 'response',
    id,
    flags: flags | rcode,
    questions: [questionOf(question)],
    answers: [...answers],
    authorities: [...authorities],
    additionals: edns
      ? [{ type: 'OPT', name: '.', udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
      : []
  }
  const bytes = encode(packet)
  return bytes.length <= most ? bytes : encode({ ...packet, flags: flags | rcode | TRUNCATED_RESPONSE, answers: [], authorities: [] })
}

function questionOf({ name, type }: Asked): Question {
  // The type came out of dns-packet's own decoder.
  return { name, type: type as RecordType }
}
