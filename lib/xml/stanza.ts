import { Element } from 'ltx'
import type { Address } from '../model/address.ts'
import { addressText, parseAddress } from '../model/address.ts'
import { FederationError } from '../errors.ts'
import type { Stanza } from '../model/stanza.ts'
import type { ElementFrame, Readdressing } from './frame.ts'
import { buildTree } from './tree.ts'
import { serializeAlone } from './writer.ts'

/** RFC 6120 §8: the three kinds of stanza. */
export function isStanzaName(name: string): name is Stanza['name'] {
  return name === 'message' || name === 'presence' || name === 'iq'
}

/**
 * Makes the stanza of a checked element. Called by the incoming link once `from` and `to` have been read from that frame and
 * permitted: the addresses that were authorised are the ones that are routed.
 *
 * @throws FederationError `S2S_INTERNAL` if the element is no stanza
 */
export function createStanza(frame: ElementFrame, from: Address, to: Address): Stanza {
  if (!isStanzaName(frame.name)) throw new FederationError('S2S_INTERNAL', { detail: 'a stanza was to be made of something else' })
  return new FramedStanza(frame, frame.name, from, to)
}

/** For who keeps a stanza: it holds on to its own bytes, and no more to a much larger chunk that they came in. */
export function detachStanza(stanza: Stanza): void {
  if (isReceived(stanza)) stanza.detach()
}

/** Whether a value is a stanza that was received by this library, and nothing that looks like one. */
export function isReceived(value: unknown): value is FramedStanza {
  return FramedStanza.isOne(value)
}

class FramedStanza implements Stanza {
  readonly name: Stanza['name']
  readonly from: Address
  readonly to: Address
  readonly id: string | undefined
  readonly type: string | undefined
  readonly #frame: ElementFrame
  #element: Element | undefined

  constructor(frame: ElementFrame, name: Stanza['name'], from: Address, to: Address) {
    this.#frame = frame
    this.name = name
    this.from = from
    this.to = to
    this.id = frame.id
    this.type = frame.type
  }

  detach(): void {
    this.#frame.detach()
  }

  get element(): Element {
    this.#element ??= this.#frame.element()
    return this.#element
  }

  get bytes(): Buffer {
    const { content } = this
    return Buffer.isBuffer(content) ? content : Buffer.from(serializeAlone(content))
  }

  /** What leaves when it is sent: its bytes as they came, or its tree once somebody has asked for that and may have changed it. */
  get content(): Buffer | Element {
    return this.#element ?? this.#frame.bytes()
  }

  readdressed(header: Readdressing): Stanza {
    const from = header.from === undefined ? this.from : readAddress(header.from)
    const to = header.to === undefined ? this.to : readAddress(header.to)
    const written = {
      ...(header.id === undefined ? {} : { id: header.id }),
      ...(header.from === undefined ? {} : { from: from.text }),
      ...(header.to === undefined ? {} : { to: to.text })
    }
    const stanza = new FramedStanza(this.#frame.readdressed(written), this.name, from, to)
    if (this.#element !== undefined) stanza.#element = buildTree(serializeAlone(withHeader(this.#element, written)), new Map())
    return stanza
  }

  static isOne(value: unknown): value is FramedStanza {
    return typeof value === 'object' && value !== null && #frame in value
  }
}

/** The same element under other attributes: a new root over the same children. */
export function withHeader(element: Element, header: Readdressing): Element {
  const root = new Element(element.name, { ...element.attrs, ...header })
  root.children = element.children
  root.parent = element.parent
  return root
}

/** Under the one spelling of its domain. */
function readAddress(text: string): Address {
  const address = parseAddress(text)
  if (address === undefined) throw new FederationError('S2S_ADDRESS', { detail: 'a stanza was readdressed to what is no address' })
  return { ...address, text: addressText(address) }
}
