import { FederationError } from '../errors.ts'
import type { ApplicationCondition } from '../errors.ts'

const NS_SM = 'urn:xmpp:sm:3'
/** Counters are unsigned 32-bit integers on the wire: 4294967295 is followed by 0 (XEP-0198 §4). Here they are counted on. */
const WRAP = 2 ** 32
/** XEP-0198 §3, in bytes. */
const LONGEST_ID = 4_000

/** How many stanzas one side has sent since stream management was enabled, and how many of those the other has acknowledged. */
export interface SentCounts {
  readonly sent: number
  readonly acknowledged: number
}

/**
 * What an acknowledgement means. `fine`: so many more stanzas are acknowledged. `stale`: fewer than were acknowledged before.
 * `too-high`: more than were sent. `garbage`: no count at all.
 */
export type AckJudgement =
  | { readonly kind: 'fine'; readonly more: number }
  | { readonly kind: 'stale' | 'too-high'; readonly h: number }
  | { readonly kind: 'garbage' }

/** A count as it stands on the wire. */
export function wireCount(count: number): number {
  return count % WRAP
}

/**
 * What `<a h='…'/>` says, whatever the peer wrote there (XEP-0198 §4, §6). Which of two possible readings of a wrong count is meant
 * does not show modulo 2³²: what lies less than half the circle back, and was counted at some time, is stale.
 */
export function judgeAck(h: unknown, { sent, acknowledged }: SentCounts): AckJudgement {
  if (typeof h !== 'string' || !/^[0-9]{1,10}$/.test(h)) return { kind: 'garbage' }
  const count = Number(h)
  if (count >= WRAP) return { kind: 'garbage' }
  const more = distance(wireCount(acknowledged), count)
  if (more <= sent - acknowledged) return { kind: 'fine', more }
  const back = WRAP - more
  return { kind: back < WRAP / 2 && back <= acknowledged ? 'stale' : 'too-high', h: count }
}

/** From one count on to another, round the circle. */
function distance(from: number, to: number): number {
  return (to - from + WRAP) % WRAP
}

/**
 * Whether a stream that ended with this may be resumed (XEP-0198 §5): the connection broke or fell silent, and neither side has
 * said that the stream is over. A peer that ends a stream because it heard nothing has lost it as well.
 */
export function isLoss(error: FederationError): boolean {
  if (error.code === 'S2S_STREAM_ERROR_RECEIVED') return error.condition === 'connection-timeout'
  return error.code === 'S2S_STREAM_CLOSED' || error.code === 'S2S_TIMEOUT'
}

/** By which name the peer lets a managed stream be resumed, and for how many milliseconds after it was lost. */
export interface Resumption {
  readonly id: string
  readonly within: number
}

/**
 * What the attributes of `<enabled/>` say of resumption (XEP-0198 §3, §5). undefined: the stream cannot be resumed.
 *
 * @param most milliseconds; the peer's own maximum counts if it is less
 */
export function readResumption({ id, resume, max }: Readonly<Record<string, unknown>>, most: number): Resumption | undefined {
  if ((resume !== 'true' && resume !== '1') || typeof id !== 'string' || id === '' || Buffer.byteLength(id) > LONGEST_ID) return undefined
  const seconds = typeof max === 'string' && /^[0-9]{1,9}$/.test(max) ? Number(max) : Infinity
  return { id, within: Math.min(seconds * 1000, most) }
}

/** The stream error that an acknowledgement other than a fine one ends the stream with (XEP-0198 §6). undefined: it is fine. */
export function ackError(judged: AckJudgement, { sent }: SentCounts): FederationError | undefined {
  switch (judged.kind) {
    case 'fine':
      return undefined
    case 'garbage':
      return wrong('bad-format', 'an acknowledgement without a count')
    case 'stale':
      return wrong('undefined-condition', `${judged.h} stanzas were acknowledged after more had been`)
    case 'too-high':
      return wrong('undefined-condition', `${judged.h} stanzas were acknowledged, and ${wireCount(sent)} sent`, {
        name: 'handled-count-too-high',
        namespace: NS_SM,
        attributes: { h: String(judged.h), 'send-count': String(wireCount(sent)) }
      })
  }
}

function wrong(condition: string, detail: string, application?: ApplicationCondition): FederationError {
  const extra = application === undefined ? {} : { application }
  return new FederationError('S2S_STREAM_ERROR_SENT', { condition, stream: condition, detail, ...extra })
}
