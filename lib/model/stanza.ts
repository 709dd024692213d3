import type { Element } from 'ltx'
import type { Address } from './address.ts'

/** One received stanza. Header fields cost nothing; the tree is built on first use of `element`. */
export interface Stanza {
  readonly name: 'message' | 'presence' | 'iq'
  readonly from: Address
  readonly to: Address
  readonly id: string | undefined
  readonly type: string | undefined
  /**
   * The caller's own, self-contained: namespaces and `xml:lang` inherited from the stream header are declared in it. What is changed
   * in it counts wherever the stanza goes from here: in `bytes`, in `readdressed` and in `send`.
   */
  readonly element: Element
  /** The same as UTF-8, a new copy each time. */
  readonly bytes: Buffer
  /** A new stanza: this payload, certified once, under a header written anew. */
  readdressed(header: { readonly from?: string; readonly to?: string; readonly id?: string }): Stanza
}

/** How a stanza left: the socket took it, or the peer acknowledged it (XEP-0198). */
export type Delivery = 'written' | 'acknowledged'
