import { FederationError } from '../../lib/errors.ts'
import { Framer } from '../../lib/xml/framer.ts'
import type { ElementFrame, Frame, FramerLimits } from '../../lib/xml/framer.ts'

/** The start tag of a server-to-server stream, as peers send it. */
export const HEADER =
  "<stream:stream from='a.example' to='b.example' version='1.0' xmlns='jabber:server' xmlns:db='jabber:server:dialback' " +
  "xmlns:stream='http://etherx.jabber.org/streams'>"
export const CLOSE = '</stream:stream>'

export const LIMITS: FramerLimits = { headerBytes: 16_384, elementBytes: 262_144, depth: 64, attributes: 64 }

/** All that a reader of a stream learns. */
export interface Reading {
  readonly frames: readonly unknown[]
  /** `not-well-formed`, or the like: the stream error to send. */
  readonly refused: string | undefined
  readonly code: string | undefined
  readonly midElement: boolean
}

/** Feeds some bytes in pieces that begin at `cuts`, taking every frame as soon as it is there. */
export function read(input: string | Buffer, cuts: readonly number[] = [], limits: FramerLimits = LIMITS): Reading {
  const bytes = Buffer.from(input)
  const framer = new Framer(limits)
  const frames: unknown[] = []
  const bounds = [...cuts, bytes.length]
  let at = 0
  try {
    for (const to of bounds) {
      // A chunk of its own: nothing may depend on what lies beside it.
      framer.feed(Buffer.from(bytes.subarray(at, to)))
      at = to
      for (let frame = framer.next(); frame !== undefined; frame = framer.next()) frames.push(summary(frame))
    }
  } catch (error) {
    if (!FederationError.is(error)) throw error
    return { frames, refused: error.streamCondition, code: error.code, midElement: false }
  }
  return { frames, refused: undefined, code: undefined, midElement: framer.midElement }
}

function summary(frame: Frame): unknown {
  if (frame.kind !== 'element') return frame
  const { name, prefix, namespace, from, to, id, type, lang, size } = frame
  return { name, prefix, namespace, from, to, id, type, lang, size, tree: frame.element().toString(), bytes: frame.bytes().toString() }
}

/** Every byte a chunk of its own. */
export function byteByByte(input: string | Buffer): readonly number[] {
  return Array.from({ length: Math.max(0, Buffer.byteLength(input) - 1) }, (_, index) => index + 1)
}

/** The elements of one stream with this content, in the framer's own frames. */
export function elementsOf(content: string | Buffer, header = HEADER, limits = LIMITS): readonly ElementFrame[] {
  const framer = new Framer(limits)
  framer.feed(Buffer.concat([Buffer.from(header), Buffer.from(content)]))
  const frames: ElementFrame[] = []
  for (let frame = framer.next(); frame !== undefined; frame = framer.next()) if (frame.kind === 'element') frames.push(frame)
  return frames
}

/** The only element of a stream with this content. */
export function elementOf(content: string | Buffer, header = HEADER, limits = LIMITS): ElementFrame {
  const [frame, ...more] = elementsOf(content, header, limits)
  if (frame === undefined || more.length > 0) throw new Error('the content is not one element')
  return frame
}
