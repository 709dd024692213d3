import { NS_STANZA_ERRORS } from '../xml/namespaces.ts'
import { escapeAttribute } from '../xml/writer.ts'

/** What an answer is about: the addresses of the request, swapped, and for `verify` its id. */
export interface DialbackReply {
  readonly name: 'result' | 'verify'
  readonly from: string
  readonly to: string
  readonly id?: string
}

/** `<db:result/>` or `<db:verify/>` of type `valid` or `invalid` (XEP-0220 §2.1). */
export function dialbackAnswerXml(reply: DialbackReply, type: 'valid' | 'invalid'): string {
  return `<db:${reply.name}${addressesOf(reply)} type='${type}'/>`
}

/** The same of type `error` (XEP-0220 §2.5). The stream lives on. */
export function dialbackErrorXml(reply: DialbackReply, condition: string): string {
  const error = `<error type='cancel'><${condition} xmlns='${NS_STANZA_ERRORS}'/></error>`
  return `<db:${reply.name}${addressesOf(reply)} type='error'>${error}</db:${reply.name}>`
}

function addressesOf({ from, to, id }: DialbackReply): string {
  const correlation = id === undefined ? '' : ` id='${escapeAttribute(id)}'`
  return ` from='${escapeAttribute(from)}' to='${escapeAttribute(to)}'${correlation}`
}
