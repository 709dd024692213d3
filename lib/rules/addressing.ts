import { parseAddress } from '../model/address.ts'
import type { Address } from '../model/address.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'

/** A stanza that may pass: its addresses, parsed once, and what authenticated its pair. */
export interface Addressed<T> {
  readonly admitted: true
  readonly from: Address
  readonly to: Address
  readonly status: T
}

/** A stanza that ends the stream it came on (RFC 6120 §4.9.3, §8.1). */
export interface Misaddressed {
  readonly admitted: false
  readonly condition: 'not-authorized' | 'improper-addressing' | 'invalid-from' | 'host-unknown'
  readonly because: string
}

/**
 * Who may send a stanza here (RFC 6120 §8.1.1.2, §8.1.2.2): its exact pair of domains must have been authenticated on this stream,
 * in this direction. A stream carries a set of pairs, not every combination of their halves.
 *
 * @param pairs what is authenticated, by {@link pairKey}
 */
export function admitStanza<T extends { readonly pair: DomainPair }>(
  stanza: { readonly from: string | undefined; readonly to: string | undefined },
  pairs: ReadonlyMap<string, T>
): Addressed<T> | Misaddressed {
  if (pairs.size === 0) return refused('not-authorized', 'nobody is authenticated on this stream')
  const from = parseAddress(stanza.from ?? '')
  const to = parseAddress(stanza.to ?? '')
  if (from === undefined) return refused('improper-addressing', "the stanza has no valid 'from'")
  if (to === undefined) return refused('improper-addressing', "the stanza has no valid 'to'")
  const status = pairs.get(pairKey({ sender: from.domain, target: to.domain }))
  if (status !== undefined) return { admitted: true, from, to, status }
  const senderKnown = [...pairs.values()].some(each => each.pair.sender === from.domain)
  return senderKnown
    ? refused('host-unknown', "the domain of 'to' is not validated for this sender on this stream")
    : refused('invalid-from', "the domain of 'from' is not authenticated on this stream")
}

function refused(condition: Misaddressed['condition'], because: string): Misaddressed {
  return { admitted: false, condition, because }
}
