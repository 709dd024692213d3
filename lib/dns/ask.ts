import { askByTcp, askByUdp } from './exchange.ts'
import type { Exchanged, ExchangeOptions } from './exchange.ts'
import { rcodeOf } from './message.ts'
import type { Message } from './message.ts'
import { mixCase } from './question.ts'
import type { Question } from './question.ts'
import type { Server } from './servers.ts'

/** The answer of one server, or why it gave none. `gone`: asking it again soon is pointless. */
export type Asked = { readonly message: Message } | { readonly why: string; readonly gone: boolean }

/**
 * Asks one server, the way it can be asked: UDP with EDNS; without, when it does not know that (RFC 6891 §7); TCP, when the answer
 * did not fit, could not be read, or repeats the name in other letters than ours; and plainly, when it mangles letters and has no TCP.
 */
export async function askServer(server: Server, question: Question, options: ExchangeOptions): Promise<Asked> {
  const mixed = { ...question, name: mixCase(question.name) }
  let edns = true
  let reply = await askByUdp(server, mixed, edns, options)
  if (reply.kind === 'message' && knowsNoEdns(reply.message)) {
    edns = false
    reply = await askByUdp(server, mixed, edns, options)
  }
  if (reply.kind === 'message' || reply.kind === 'silence') return asked(reply)
  const fetched = await askByTcp(server, mixed, edns, options)
  if (fetched.kind === 'silence' && reply.kind === 'case') return asked(await askByUdp(server, question, edns, options))
  return asked(fetched)
}

function knowsNoEdns(message: Message): boolean {
  const rcode = rcodeOf(message)
  return rcode === 'FORMERR' || rcode === 'NOTIMP'
}

function asked(reply: Exchanged): Asked {
  switch (reply.kind) {
    case 'message':
    case 'case':
      return { message: reply.message }
    case 'silence':
      return { why: reply.why, gone: reply.gone }
    case 'truncated':
    case 'garbled':
      return { why: `its answer is ${reply.kind}`, gone: true }
  }
}
