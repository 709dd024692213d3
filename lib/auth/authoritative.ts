import { parseDomain } from '../model/domain.ts'
import { isDialbackKey } from '../rules/dialback-key.ts'
import { dialbackAnswerXml, dialbackErrorXml } from './dialback-answer.ts'
import type { LocalServer } from './local-server.ts'

/** A `<db:verify/>` as received, but for its key still as written: what we answer repeats the peer's own spelling. */
export interface VerifyRequest {
  readonly from: string
  readonly to: string
  readonly id: string
  readonly key: string
}

const CONFIRMED = " type='valid'/>"

/**
 * The authoritative server's answer (XEP-0220 §2.2.2): whether the key is ours for this pair and this stream id. It needs nothing
 * but the secret, so that any node of a cluster can answer, and is due to anyone, authenticated or not.
 *
 * @returns the `<db:verify/>` to send back; undefined for addresses that are no domains
 */
export function answerVerify(request: VerifyRequest, server: Pick<LocalServer, 'hosted' | 'dialbackSecrets'>): string | undefined {
  const target = parseDomain(request.from)
  const sender = parseDomain(request.to)
  if (target === undefined || sender === undefined) return undefined
  const reply = { name: 'verify', from: request.to, to: request.from, id: request.id } as const
  if (!server.hosted.has(sender)) return dialbackErrorXml(reply, 'item-not-found')
  const { current, accepted } = server.dialbackSecrets
  const isOurs = isDialbackKey(request.key, [current, ...accepted], { pair: { sender, target }, streamId: request.id })
  return dialbackAnswerXml(reply, isOurs ? 'valid' : 'invalid')
}

/** Whether such an answer says that the key is ours: whoever asked has been called by us, or by who has the secret. */
export function isConfirmation(answer: string): boolean {
  return answer.endsWith(CONFIRMED)
}
