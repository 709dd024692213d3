import type { Element } from 'ltx'
import type { Address } from '../model/address.ts'
import { parseAddress } from '../model/address.ts'
import { FederationError } from '../errors.ts'
import type { Stanza } from '../model/stanza.ts'
import type { ElementFrame, Readdressing } from './frame.ts'

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

class FramedStanza implements Stanza {
  readonly name: Stanza['name']
  readonly from: Address
  readonly to: Address
  readonly id: string | undefined
  readonly type: string | undefined
  readonly #frame: ElementFrame
  #element: Element | undefined
  #bytes: Buffer | undefined

  constructor(frame: ElementFrame, name: Stanza['name'], from: Address, to: Address) {
    this.#frame = frame
    this.name = name
    this.from = from
    this.to = to
    this.id = frame.id
    this.type = frame.type
  }

  get element(): Element {
    this.#element ??= this.#frame.element()
    return this.#element
  }

  get bytes(): Buffer {
    this.#bytes ??= this.#frame.bytes()
    return this.#bytes
  }

  readdressed(header: Readdressing): Stanza {
    const from = header.from === undefined ? this.from : readAddress(header.from)
    const to = header.to === undefined ? this.to : readAddress(header.to)
    return createStanza(this.#frame.readdressed(header), from, to)
  }
}

function readAddress(text: string): Address {
  const address = parseAddress(text)
  if (address === undefined) throw new FederationError('S2S_ADDRESS', { detail: 'a stanza was readdressed to what is no address' })
  return address
}
