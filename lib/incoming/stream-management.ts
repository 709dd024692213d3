import { ackError, judgeAck, wireCount } from '../rules/stream-management.ts'
import type { SentCounts } from '../rules/stream-management.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_SM, NS_STANZA_ERRORS } from '../xml/namespaces.ts'
import { escapeAttribute } from '../xml/writer.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { countsOf } from './resumable.ts'
import type { ResumableStream } from './resumable.ts'
import type { OpenStream } from './stage.ts'

/**
 * An element of stream management from the initiating entity (XEP-0198 §3–5). What comes too early or twice is refused on a stream
 * that goes on.
 */
export function receiveManagement(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Promise<void> | undefined {
  const { handled, reversed } = n.authenticated
  const { name } = frame
  // Our closing tag is sent: what is acknowledged counts, and nothing begins.
  if (n.isClosing && name !== 'a') return undefined
  if (name === 'enable' || name === 'resume') {
    const { streamManagement } = n.server.extensions
    if (!streamManagement || n.authenticated.size === 0 || handled.isEnabled) open.stream.write(failedXml('unexpected-request'))
    else if (name === 'resume') return resume(frame, open, n)
    else enable(frame, open, n)
  } else if (name === 'r' && handled.isEnabled) handled.acknowledge()
  else if (name === 'a' && handled.isEnabled && reversed !== undefined) reversed.acknowledgements.receive(frame)
  else if (name === 'a' && handled.isEnabled) checkCount(frame.element().attrs['h'], n.authenticated.sentCounts)
  else throw n.refused('unsupported-stanza-type', 'stream management is not under way here')
  return undefined
}

function enable(frame: ElementFrame, { stream }: OpenStream, n: IncomingNegotiation): void {
  const wish: unknown = frame.element().attrs['resume']
  n.parts.resumable.giveUp(n)
  n.authenticated.manage(stream)
  if (!n.server.extensions.resumption || (wish !== 'true' && wish !== '1')) stream.write(`<enabled xmlns='${NS_SM}'/>`)
  else {
    const { id } = n.parts.resumable.begin(n)
    const seconds = Math.max(1, Math.floor(n.server.timeouts.resumption / 1000))
    stream.write(`<enabled xmlns='${NS_SM}' id='${id}' resume='true' max='${seconds}'/>`)
  }
}

/** `<resume/>`: a stream is resumed by whoever has authenticated its pairs, and whose count of what we sent on it can be right. */
function resume(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Promise<void> | undefined {
  if (!n.server.extensions.resumption) {
    refuse('feature-not-implemented', open, n)
    return undefined
  }
  const { previd, h } = frame.element().attrs as Readonly<Record<string, unknown>>
  const one = typeof previd === 'string' ? n.parts.resumable.find(previd, n) : undefined
  if (one === undefined) {
    n.parts.resumable.giveUp(n)
    refuse('item-not-found', open, n)
    return undefined
  }
  try {
    const counted = checkCount(h, countsOf(one))
    return moveHere(one, counted, open, n)
  } catch (error) {
    n.parts.resumable.forget(one)
    throw error
  }
}

/**
 * The count of the stream that was lost goes on here, once nothing of it is in hand any more. What we had sent on it is sent again
 * from what the peer has counted on, where it is still kept and its pair may be sent here; so does our own count.
 */
async function moveHere(one: ResumableStream, counted: number, open: OpenStream, n: IncomingNegotiation): Promise<void> {
  const { stream } = open
  const moved = await n.parts.resumable.moveTo(n, one, counted)
  if (n.signal.aborted) return
  if (!moved) {
    refuse('item-not-found', open, n, wireCount(one.handled.handled))
    return
  }
  const handled = one.handled.begun
  n.server.observer.traffic.resumption('incoming', 'resumed')
  stream.write(`<resumed xmlns='${NS_SM}' previd='${escapeAttribute(one.id)}' h='${wireCount(handled)}'/>`)
  const { kept } = one
  const carrier = n.authenticated.reversed?.only
  if (carrier === undefined) kept?.giveUp()
  n.authenticated.manage(stream, { handled, sent: counted, again: kept?.take() ?? [] })
  one.handled = n.authenticated.handled
  if (carrier !== undefined) kept?.carryOn(carrier)
}

/** The stream does not go on; the one that the peer has now does. */
function refuse(condition: string, { stream }: OpenStream, n: IncomingNegotiation, handled?: number): void {
  n.server.observer.traffic.resumption('incoming', 'refused')
  stream.write(failedXml(condition, handled))
}

/** How many of our stanzas the peer says it has handled: none on a stream that goes one way, and never more than were sent. */
function checkCount(h: unknown, counts: SentCounts): number {
  const judged = judgeAck(h, counts)
  const error = ackError(judged, counts)
  if (error !== undefined) throw error
  return counts.acknowledged + (judged.kind === 'fine' ? judged.more : 0)
}

function failedXml(condition: string, handled?: number): string {
  const h = handled === undefined ? '' : ` h='${handled}'`
  return `<failed xmlns='${NS_SM}'${h}><${condition} xmlns='${NS_STANZA_ERRORS}'/></failed>`
}
