import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import type { Clock } from '../model/plugs.ts'
import { within } from '../model/within.ts'
import type { Limits } from '../model/settings.ts'
import { Framer } from './framer.ts'
import type { CloseFrame, ElementFrame, Frame, HeaderFrame } from './framer.ts'
import { NS_STREAMS } from './namespaces.ts'
import { News } from './news.ts'
import { Outbox } from './outbox.ts'
import type { Taken } from './outbox.ts'
import { receivedStreamError, sentStreamError } from './stream-error.ts'

export interface XmlStreamOptions {
  readonly limits: Limits
  readonly encrypted: boolean
  readonly clock: Clock
  /** Milliseconds to wait for the peer's closing tag, and again for the connection to end. */
  readonly closeTimeout: number
}

const HEADER_BYTES = 16_384
const CLOSING_TAG = '</stream:stream>'

/**
 * One XML stream over one duplex (RFC 6120 §4): frames in, text out. It owns the duplex until {@link detach} gives it back, and
 * listens for its errors from the first moment. There is one reader at a time. Everything written in one event-loop turn leaves
 * in one write.
 */
export class XmlStream {
  readonly encrypted: boolean
  readonly #duplex: Duplex
  readonly #options: XmlStreamOptions
  readonly #outbox: Outbox
  #framer: Framer
  #failure: FederationError | undefined
  readonly #news = new News()
  #closingSent = false
  #closingReceived = false
  #detached = false
  #released = false
  #elementBytes: number
  #lastWord: (() => string) | undefined
  #release: () => void = () => undefined
  /** On the engine's clock: when bytes last arrived, be it white space (RFC 6120 §4.6.1), or an element, and when anything was written. */
  lastHeard: number
  lastElement: number
  lastWritten: number

  constructor(duplex: Duplex, options: XmlStreamOptions) {
    this.#duplex = duplex
    this.#options = options
    this.#outbox = new Outbox(duplex, () => options.clock.now(), options.limits)
    this.encrypted = options.encrypted
    this.#elementBytes = options.limits.preAuthBytes
    this.#framer = this.#newFramer()
    this.lastHeard = this.lastElement = this.lastWritten = options.clock.now()
    duplex.on('readable', this.#onReadable).on('end', this.#onEnd).on('error', this.#onError).on('close', this.#onClose)
    // What happened between the handshake and now was heard by nobody.
    if (duplex.errored !== null) this.#onError(duplex.errored)
    else if (duplex.destroyed) this.#onClose()
    else if (duplex.readableEnded) this.#onEnd()
  }

  /** Queues text for the end of this turn. `taken` is called when the socket has it. Nothing is written after the closing tag. */
  write(data: string | Buffer, taken?: Taken): void {
    if (!this.writable) {
      if (taken !== undefined) setImmediate(taken, this.#failure ?? new FederationError('S2S_STREAM_CLOSED'))
      return
    }
    this.lastWritten = this.#options.clock.now()
    this.#outbox.add(data, taken)
  }

  /** Whether what is written may leave: our closing tag is not sent, and the connection is there. */
  get writable(): boolean {
    return !this.#closingSent && !this.#detached && this.#outbox.isOpen
  }

  /** Hands what is queued to the socket now, in one write. */
  flush(): void {
    this.#outbox.flush()
  }

  /** Bytes that were written and that the peer has not yet taken. */
  get backlog(): number {
    return this.#duplex.writableLength
  }

  /** Since when the connection has taken nothing of what was written; undefined while it has taken everything. */
  get stalledSince(): number | undefined {
    return this.#outbox.stalledSince
  }

  /** Bytes that have arrived and of which an element may still come. */
  get unread(): number {
    return this.#framer.unread + this.#duplex.readableLength
  }

  /** Whether as much waits as may, written in this turn or before: the sender should await {@link drained}. */
  get full(): boolean {
    return this.#outbox.full
  }

  /** Resolves when the socket takes more, or will never. */
  async drained(): Promise<void> {
    await this.#outbox.drained()
  }

  /** For the reader: resolves when the work has settled, or when the connection is gone, which nobody sees who does not read. */
  unlessGone(work: Promise<void>): Promise<void> {
    if (this.#duplex.destroyed) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#release = resolve
      work.then(resolve, reject)
    })
  }

  /** The peer's stream header: the first thing on a stream and after each restart. */
  async readHeader(): Promise<HeaderFrame> {
    const frame = await this.#nextFrame()
    if (frame.kind === 'header') return frame
    throw new FederationError('S2S_NOT_WELL_FORMED', { detail: 'expected a stream header' })
  }

  /**
   * The next top-level element, or the peer's closing tag.
   *
   * @throws FederationError `S2S_STREAM_ERROR_RECEIVED` for a stream error, `S2S_STREAM_CLOSED` when the connection ended, and
   * what the framer finds wrong
   */
  async read(): Promise<ElementFrame | CloseFrame> {
    return this.#content(await this.#nextFrame())
  }

  /** As {@link read}, giving only what has already arrived. */
  take(): ElementFrame | CloseFrame | undefined {
    const frame = this.#takeFrame()
    return frame === undefined ? undefined : this.#content(frame)
  }

  /** Resolves when {@link take} may have something, or something to throw. */
  async readable(): Promise<void> {
    if (this.#failure !== undefined || this.#duplex.readableLength > 0) return
    await this.#news.wait()
  }

  /** The level at which the peer is known now allows whole stanzas (RFC 6120 §13.12). */
  allowStanzas(): void {
    this.#elementBytes = this.#options.limits.stanzaBytes
    this.#framer.setElementBytes(this.#elementBytes)
  }

  /**
   * A new parser for a new header on the same connection, after SASL (RFC 6120 §6.4.6).
   *
   * @throws FederationError when bytes came that belong to neither stream
   */
  restart(): void {
    if (this.#framer.pending > 0)
      throw new FederationError('S2S_NOT_WELL_FORMED', { detail: 'bytes arrived before the stream restart', stream: 'not-authorized' })
    this.#framer = this.#newFramer()
  }

  /**
   * Gives the duplex back for a TLS handshake, behind a last word in clear. The stream is over.
   *
   * @throws FederationError `S2S_TLS_INJECTION` when bytes in clear are already waiting where TLS has to begin
   */
  detach(lastWord?: string): Duplex {
    this.flush()
    if (this.#framer.pending > 0 || this.#duplex.readableLength > 0) throw new FederationError('S2S_TLS_INJECTION')
    if (this.#failure !== undefined) throw this.#failure
    this.#detached = true
    this.#released = true
    this.#outbox.leave(lastWord)
    // The error listener stays: the layer above gets one of its own only when the handshake has begun.
    this.#duplex.off('readable', this.#onReadable).off('end', this.#onEnd).off('close', this.#onClose)
    return this.#duplex
  }

  /**
   * Ends the stream: the stream error, if the error has one, and the closing tag in one write; then whatever the peer still sends
   * is only heard until its closing tag or the timeout; then the connection ends (RFC 6120 §4.4). Never rejects.
   */
  async end(error?: FederationError, heard?: (late: ElementFrame) => void): Promise<void> {
    if (this.#released) return
    this.sendClosing(error)
    const untilClosed = async (): Promise<void> => {
      while (!this.#closingReceived && this.#failure === undefined) {
        try {
          const frame = this.#takeFrame()
          if (frame === undefined) await this.readable()
          else if (frame.kind === 'element') heard?.(frame)
        } catch {
          // What follows our closing tag is not judged any more; a broken stream only means that no closing tag will come.
          return
        }
      }
    }
    await within(untilClosed(), this.#options.clock, this.#options.closeTimeout)
    await this.hangUp()
  }

  /** What is to be said before the closing tag, whatever the stream ends by: asked for when it does. */
  beforeClosing(lastWord: () => string): void {
    this.#lastWord = lastWord
  }

  /** Sends the stream error, if any, and the closing tag. Reading goes on. */
  sendClosing(error?: FederationError): void {
    if (this.#closingSent || this.#detached) return
    if (this.#lastWord !== undefined) this.write(this.#lastWord())
    this.write(error?.streamCondition === undefined ? CLOSING_TAG : sentStreamError(error, error.streamCondition))
    this.flush()
    this.#closingSent = true
  }

  /** Ends the connection: close_notify and FIN, then, if the peer does not follow in time, a reset. */
  async hangUp(): Promise<void> {
    this.#outbox.finish()
    await within(this.gone(), this.#options.clock, this.#options.closeTimeout)
    this.abandon()
  }

  /** Resolves when the connection is gone. Nothing is read any more: what still comes is thrown away. */
  async gone(): Promise<void> {
    if (this.#duplex.destroyed) return
    // An end that nobody reads is never seen.
    this.#duplex.off('readable', this.#onReadable)
    this.#duplex.resume()
    await new Promise<void>(resolve => this.#duplex.once('close', resolve))
  }

  /** Drops the connection without a word: after a failed handshake, or when words no longer help. */
  abandon(): void {
    if (this.#released) return
    this.#detached = true
    this.#duplex.destroy()
    const error = this.#failure ?? new FederationError('S2S_STREAM_CLOSED', { detail: 'we ended it' })
    this.#fail(error)
    this.#outbox.clear(error)
  }

  #newFramer(): Framer {
    const { depth, attributes } = this.#options.limits
    return new Framer({ headerBytes: HEADER_BYTES, elementBytes: this.#elementBytes, depth, attributes })
  }

  async #nextFrame(): Promise<Frame> {
    for (;;) {
      const frame = this.#takeFrame()
      if (frame !== undefined) return frame
      await this.readable()
    }
  }

  #takeFrame(): Frame | undefined {
    for (;;) {
      const frame = this.#framer.next()
      if (frame?.kind === 'close') this.#closingReceived = true
      if (frame !== undefined) {
        this.lastElement = this.lastHeard
        return frame
      }
      const chunk = this.#detached ? null : (this.#duplex.read() as Buffer | null)
      if (chunk === null) {
        if (this.#failure !== undefined) throw this.#failure
        return undefined
      }
      this.lastHeard = this.#options.clock.now()
      this.#framer.feed(chunk)
    }
  }

  #content(frame: Frame): ElementFrame | CloseFrame {
    if (frame.kind === 'header')
      throw new FederationError('S2S_NOT_WELL_FORMED', { detail: 'a second stream header', stream: 'not-authorized' })
    if (frame.kind === 'element' && frame.namespace === NS_STREAMS && frame.name === 'error') throw receivedStreamError(frame.element())
    return frame
  }

  readonly #onReadable = (): void => this.#news.tell()
  readonly #onEnd = (): void => this.#fail(new FederationError('S2S_STREAM_CLOSED', { detail: 'the peer ended the connection' }))
  readonly #onClose = (): void => {
    this.#outbox.end()
    this.#release()
    this.#fail(new FederationError('S2S_STREAM_CLOSED', { detail: 'the connection is gone' }))
  }
  readonly #onError = (cause: Error): void => {
    // The cause stays although an end may have been seen first: a TLS alert says more than a closed socket.
    if (this.#failure?.cause === undefined) this.#failure = undefined
    this.#fail(new FederationError('S2S_STREAM_CLOSED', { detail: 'the connection broke', cause }))
  }

  #fail(error: FederationError): void {
    this.#failure ??= error
    this.#onReadable()
  }
}
