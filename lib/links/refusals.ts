import { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import { escapeText } from '../rules/escape.ts'

/** More waits than may: there may be room later. */
export function queueFull(pair: DomainPair, stanzas: number, bytes: number): FederationError {
  return new FederationError('S2S_QUEUE_FULL', { pair, detail: `${stanzas} stanzas of ${bytes} bytes are waiting` })
}

/** Every pair together has more waiting than may. */
export function queuesFull(pair: DomainPair, stanzas: number, bytes: number): FederationError {
  const detail = `${stanzas} stanzas of ${bytes} bytes are waiting for all pairs together (limits.totalQueuedStanzas, limits.totalQueuedBytes)`
  return new FederationError('S2S_QUEUE_FULL', { pair, detail })
}

/** Each of so many pairs has a link or something waiting. */
export function tooManyRoutes(pair: DomainPair, most: number): FederationError {
  return new FederationError('S2S_BUSY', { pair, detail: `${most} pairs have a link or something waiting (limits.routes)` })
}

/** There will never be room for it. */
export function tooLargeToWait(pair: DomainPair, size: number, most: number): FederationError {
  return new FederationError('S2S_TOO_LARGE', { pair, detail: `${size} bytes, and the queue of a pair takes ${most} (limits.queuedBytes)` })
}

/** XEP-0478 §3: what the peer would end the stream for is refused here, and the stream goes on. */
export function tooLargeForPeer(pair: DomainPair, size: number, most: number): FederationError {
  return new FederationError('S2S_TOO_LARGE', { pair, detail: `${size} bytes, and the peer takes ${most}` })
}

export function noLinkInTime(pair: DomainPair, most: number): FederationError {
  return new FederationError('S2S_TIMEOUT', { pair, detail: `it waited for a link for ${most} ms` })
}

/** The peer ends every link, without an error, before it takes anything. */
export function closedAgain(pair: DomainPair, times: number): FederationError {
  return new FederationError('S2S_STREAM_CLOSED', { pair, detail: `the peer closed ${times} links in a row before it took anything` })
}

/** There is a link, and what was sent before fills it. */
export function noRoomInTime(pair: DomainPair, most: number): FederationError {
  return new FederationError('S2S_TIMEOUT', { pair, detail: `it waited for room on a link for ${most} ms` })
}

/** An element that a receiving entity does not send. */
export function outOfPlace(name: string): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    detail: `<${escapeText(name)}/> from the receiving entity, which has no business here`,
    condition: 'unsupported-stanza-type',
    stream: 'unsupported-stanza-type'
  })
}
