import { FederationError } from '../errors.ts'
import { parseDomain, reversed } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import { levelOf } from '../model/level.ts'
import type { PairStatus } from '../model/report.ts'
import { dialbackKey } from '../rules/dialback-key.ts'
import { escapeText } from '../rules/escape.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_DIALBACK, NS_STANZA_ERRORS } from '../xml/namespaces.ts'
import type { XmlStream } from '../xml/stream.ts'
import { escapeAttribute } from '../xml/writer.ts'
import { mintEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'

export interface DialbackRequest {
  readonly pair: DomainPair
  /** The id of the peer's last response header: the one the key is made for (XEP-0220 §2.1.1). */
  readonly streamId: string
  readonly secret: string | Buffer
  readonly peerIdentity: PairStatus['peerIdentity']
}

/** What the peer answered, for the trace. */
export interface DialbackOutcome {
  answer?: 'valid' | 'invalid' | 'error'
  condition?: string
}

/**
 * Proves the sender domain by dialback (XEP-0220 §2.1.1, initiating server): sends the key and waits for the answer to exactly
 * this pair on exactly this stream.
 *
 * @returns evidence, or the dialback error, after which the stream lives on
 * @throws FederationError `S2S_DIALBACK_INVALID`: the peer is about to close the stream
 */
export async function proveByDialback(
  stream: XmlStream,
  request: DialbackRequest,
  facts: DialbackOutcome
): Promise<Evidence | FederationError> {
  stream.write(keyXml(request))
  return readAnswer(await answerTo('result', reversed(request.pair), stream), request, stream.encrypted, facts)
}

/** `<db:result/>` with the key for a pair on one stream. */
export function keyXml({ pair, streamId, secret }: Pick<DialbackRequest, 'pair' | 'streamId' | 'secret'>): string {
  const key = dialbackKey(secret, { pair, streamId })
  return `<db:result from='${escapeAttribute(pair.sender)}' to='${escapeAttribute(pair.target)}'>${key}</db:result>`
}

/**
 * What the answer to a key says. The caller has seen that it came on the stream of the key, from and for the two domains of the
 * request, and that it is the first.
 *
 * @throws FederationError `S2S_DIALBACK_INVALID`
 */
export function readAnswer(
  answer: ElementFrame,
  { pair, peerIdentity }: Pick<DialbackRequest, 'pair' | 'peerIdentity'>,
  encrypted: boolean,
  facts: DialbackOutcome
): Evidence | FederationError {
  facts.answer = typeOf(answer)
  if (facts.answer === 'valid')
    return mintEvidence({ proof: 'dialback', pair, flow: 'send', level: levelOf('dialback', encrypted), peerIdentity })
  if (facts.answer === 'invalid') throw new FederationError('S2S_DIALBACK_INVALID')
  facts.condition = conditionOf(answer)
  return new FederationError('S2S_DIALBACK_ERROR', { detail: `the peer answered ${facts.condition}`, condition: facts.condition })
}

/** The next typed dialback element from and for these two domains; anything else but it is not expected on this stream. */
async function answerTo(name: 'result' | 'verify', addresses: DomainPair, stream: XmlStream): Promise<ElementFrame> {
  for (;;) {
    const frame = await stream.read()
    if (frame.kind === 'close')
      throw new FederationError('S2S_STREAM_CLOSED', { detail: 'the peer closed the stream while dialback was pending' })
    if (frame.namespace !== NS_DIALBACK) throw unexpected(frame)
    const isOurs = frame.name === name && isAddressed(frame, addresses) && frame.type !== undefined
    if (isOurs) return frame
    // An answer that nobody asked for is dropped: correlating is the one defence against unsolicited dialback (XEP-0220 §3.1).
    if (frame.type === undefined) throw unexpected(frame)
  }
}

function isAddressed(frame: ElementFrame, { sender, target }: DomainPair): boolean {
  return parseDomain(frame.from ?? '') === sender && parseDomain(frame.to ?? '') === target
}

function typeOf(frame: ElementFrame): 'valid' | 'invalid' | 'error' {
  return frame.type === 'valid' || frame.type === 'invalid' ? frame.type : 'error'
}

function conditionOf(frame: ElementFrame): string {
  const error = frame
    .element()
    .getChildElements()
    .find(child => child.getName() === 'error')
  const children = error?.getChildElements() ?? []
  const condition =
    children.find(child => child.getNS() === NS_STANZA_ERRORS && child.getName() !== 'text') ??
    children.find(child => child.getName() !== 'text')
  return condition === undefined ? 'undefined-condition' : escapeText(condition.getName())
}

function unexpected(frame: ElementFrame): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    detail: `<${escapeText(frame.name)}/> where a dialback answer had to be`,
    condition: 'unsupported-stanza-type',
    stream: 'unsupported-stanza-type'
  })
}

export interface VerificationRequest {
  /** The pair of the `db:result` that is to be verified. */
  readonly pair: DomainPair
  readonly streamId: string
  readonly key: string
}

/**
 * Asks the authoritative server about a key (XEP-0220 §2.1.2, receiving server, steps 2 and 3). The answer counts only for these
 * addresses and this id, on this stream.
 */
export async function askAuthority(
  stream: XmlStream,
  request: VerificationRequest
): Promise<{ answer: 'valid' | 'invalid' | 'error'; condition?: string }> {
  const { sender, target } = request.pair
  const id = escapeAttribute(request.streamId)
  stream.write(
    `<db:verify from='${escapeAttribute(target)}' to='${escapeAttribute(sender)}' id='${id}'>${escapeAttribute(request.key)}</db:verify>`
  )
  for (;;) {
    const frame = await answerTo('verify', request.pair, stream)
    if (frame.id !== request.streamId) continue
    const answer = typeOf(frame)
    return answer === 'error' ? { answer, condition: conditionOf(frame) } : { answer }
  }
}
