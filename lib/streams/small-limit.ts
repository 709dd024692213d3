import { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Observer } from '../observe/observer.ts'

/** RFC 6120 §13.12: no server may want stanzas smaller than so many bytes. */
const LEAST_BYTES = 10_000

/** A peer that takes less than it has to is obeyed (XEP-0478), and told of: once for each link, of which it has one at a time as a rule. */
export function warnOfSmallLimit(maxBytes: number | undefined, pair: DomainPair, observer: Observer): void {
  if (maxBytes === undefined || maxBytes >= LEAST_BYTES) return
  observer.warn(
    new FederationError('S2S_LIMIT', {
      pair,
      detail: `${pair.target} takes no stanza of more than ${maxBytes} bytes, and every server has to take ${LEAST_BYTES}`
    })
  )
}
