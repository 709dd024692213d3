import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { DomainPair } from '../model/domain.ts'

/** What a dialback key is bound to: the pair of the `db:result`, and the id that the receiving server gave its stream. */
export interface KeySubject {
  readonly pair: DomainPair
  readonly streamId: string
}

const XML_WHITE_SPACE = /^[\t\n\r ]+|[\t\n\r ]+$/g

/**
 * The dialback key for a pair on a stream (XEP-0185 §3): HMAC-SHA256 under the hexadecimal SHA-256 of the secret, over the
 * receiving domain, the originating domain and the stream id. The separators keep one domain's key from meaning another's
 * (CVE-2016-0756); the domains are canonical, so that what a peer did to their spelling does not matter.
 */
export function dialbackKey(secret: string | Buffer, about: KeySubject): string {
  const { pair, streamId } = about
  const hmacKey = createHash('sha256').update(secret).digest('hex')
  return createHmac('sha256', hmacKey).update(`${pair.target} ${pair.sender} ${streamId}`).digest('hex')
}

/**
 * Whether a key is ours under any of the secrets (XEP-0220 §2.2.2). Digests of equal length are compared, in constant time, and
 * every secret is tried whatever the others gave.
 */
export function isDialbackKey(key: string, secrets: readonly (string | Buffer)[], about: KeySubject): boolean {
  const given = digest(trimKey(key))
  return secrets.map(secret => timingSafeEqual(given, digest(dialbackKey(secret, about)))).includes(true)
}

/** A key as it counts: without the white space that some servers put around it. */
export function trimKey(text: string): string {
  return text.replace(XML_WHITE_SPACE, '')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
