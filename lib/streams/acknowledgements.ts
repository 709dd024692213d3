import { FederationError } from '../errors.ts'
import { ackError, judgeAck, readResumption, wireCount } from '../rules/stream-management.ts'
import type { Resumption, SentCounts } from '../rules/stream-management.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_SM } from '../xml/namespaces.ts'
import { News } from '../xml/news.ts'
import type { Taken } from '../xml/outbox.ts'
import { escapeAttribute } from '../xml/writer.ts'
import { AckRequests } from './ack-requests.ts'
import { written } from './consignment.ts'
import type { Consignment, Ended } from './consignment.ts'
import type { AcknowledgementsOptions } from './acknowledgements-options.ts'
import { KeptStream } from './kept-stream.ts'
import { abandon, LostStream } from './lost-stream.ts'
import type { Remains } from './lost-stream.ts'
import { Ledger, Unacknowledged, unlucky } from './unacknowledged.ts'

/**
 * Stream management (XEP-0198) for the stanzas that we send on one stream: which of them the peer has taken responsibility for.
 * `off`: they count as delivered when the socket has them. `asked`: `<enable/>` is sent; what follows it counts already, but nothing
 * does where the stream is to be resumable: it would be in doubt if the stream were lost before the peer has said how to resume it.
 * `resuming`: `<resume/>` is sent, and nothing follows it until the peer has said what it lacks of the stream that was lost.
 */
export class Acknowledgements {
  readonly #options: AcknowledgementsOptions
  #state: 'off' | 'asked' | 'resuming' | 'on' | 'over' = 'off'
  readonly #unacknowledged = new Ledger()
  /** Of a stream that goes on here: what had been handled of what came the other way. */
  #handledBefore = 0
  #sent = 0
  #acknowledged = 0
  readonly #requests: AckRequests
  readonly #changed = new News()
  #resumption: Resumption | undefined
  #remains: Remains | undefined

  constructor(options: AcknowledgementsOptions) {
    this.#options = options
    this.#requests = new AckRequests(options, () => (this.#state === 'on' ? this.#sent : undefined))
  }

  /** Asks the peer to manage the stream. To be called before the first stanza, where the peer offers it. */
  enable(): void {
    this.#state = 'asked'
    this.#options.write(`<enable xmlns='${NS_SM}'${this.#options.resumption === undefined ? '' : " resume='true'"}/>`)
    this.#requests.await()
  }

  /**
   * The peer manages the stream from here on: it has asked for it, and been told.
   *
   * @param count of a stream that was lost: what of it the peer has handled
   * @param again what it has not handled, and is sent again
   */
  begin(count = 0, again: readonly Unacknowledged[] = []): void {
    this.#acknowledged = count
    for (const one of again) this.#unacknowledged.add(one)
    this.#goOn()
  }

  /** How many were sent since it began, and how many of those were acknowledged. */
  get counts(): SentCounts {
    return { sent: this.#sent, acknowledged: this.#acknowledged }
  }

  /** Asks the peer to go on with a stream that was lost (XEP-0198 §5). To be called instead of {@link enable}. */
  resume(remains: Remains): void {
    this.#state = 'resuming'
    this.#remains = remains
    this.#resumption = remains.resumption
    this.#sent = remains.counts.sent
    this.#acknowledged = remains.counts.acknowledged
    for (const one of remains.unacknowledged) this.#unacknowledged.add(one)
    this.#handledBefore = remains.handled
    const h = wireCount(remains.handled)
    this.#options.write(`<resume xmlns='${NS_SM}' previd='${escapeAttribute(remains.resumption.id)}' h='${h}'/>`)
    this.#requests.await()
  }

  /** Whether as much is unacknowledged as may be; {@link room} says when it no longer is. */
  get full(): boolean {
    const { unackedStanzas, unackedBytes } = this.#options
    if (this.#state === 'resuming' || (this.#state === 'asked' && this.#options.resumption !== undefined)) return true
    return this.#unacknowledged.size >= unackedStanzas || this.#unacknowledged.bytes >= unackedBytes
  }

  /** Resolves when more may be sent, or nothing will ever be. */
  async room(): Promise<void> {
    while (this.full) await this.#changed.wait()
  }

  /** Whether the peer still owes acknowledgements. */
  get pending(): boolean {
    return this.#unacknowledged.size > 0
  }

  /** Asks for what is unacknowledged, and resolves when nothing is, or will ever be acknowledged. */
  async settled(): Promise<void> {
    if (this.pending) this.#requests.askForAll()
    while (this.pending) await this.#changed.wait()
  }

  send(consignment: Consignment, ended: Ended): void {
    if (this.#state === 'off' || this.#state === 'over') {
      this.#write(consignment, error => ended(consignment, error === undefined ? 'written' : unlucky(error)))
      return
    }
    if (!this.pending) this.#requests.moved()
    const one = new Unacknowledged(consignment, ended)
    this.#unacknowledged.add(one)
    this.#sent += 1
    one.writeTo(this.#write)
    if (this.#state === 'on') this.#requests.askInTime()
  }

  /**
   * An element of stream management from the peer.
   *
   * @returns false if it has no business here now
   * @throws FederationError for an acknowledgement that cannot be
   */
  receive(frame: ElementFrame): boolean {
    const isOn = this.#state === 'on'
    if (frame.name === 'a' && isOn) this.#acknowledge(frame.element().attrs['h'])
    else if (frame.name === 'r' && isOn) this.#answer()
    else if (frame.name === 'enabled' && this.#state === 'asked') this.#begin(frame.element().attrs)
    else if (frame.name === 'failed' && this.#state === 'asked') this.#goWithout()
    else if (frame.name === 'resumed' && this.#remains !== undefined) this.#resumed(frame.element().attrs['h'])
    else if (frame.name === 'failed' && this.#remains !== undefined) this.#beginAnew(this.#remains, frame.element().attrs['h'])
    else return false
    return true
  }

  /**
   * The connection is gone. What is unacknowledged is handed over to whoever resumes the stream; undefined: nobody can, or there is
   * nothing to resume it for. A peer that does not answer `<resume/>`, or ends the stream for it, is asked no second time.
   *
   * @param isLost neither side has ended the stream: where it goes both ways, the peer may have something that did not arrive
   */
  suspend(cause: FederationError, isLost: boolean): LostStream | undefined {
    const { clock } = this.#options
    const resumption = this.#resumption
    const remains = this.#remains
    if (resumption === undefined || this.#state === 'over') return undefined
    const isUnread = this.pending || remains?.isUnread === true
    const goesBack = isLost && this.#options.received !== undefined
    if (remains === undefined ? !isUnread && !goesBack : cause.code !== 'S2S_STREAM_CLOSED') return undefined
    const isOwed = goesBack && this.#begun > this.#handledBefore
    const until = remains?.until ?? clock.now() + resumption.within
    const counts = { sent: this.#sent, acknowledged: this.#acknowledged }
    const unacknowledged = this.#unacknowledged.takeAll()
    this.end(cause)
    return new LostStream({ resumption, counts, handled: this.#begun, unacknowledged, until, isUnread, isOwed, cause }, clock)
  }

  /**
   * The connection is lost, and only the peer can resume the stream.
   *
   * @param within milliseconds for which it may
   * @returns what is unacknowledged; undefined: nothing is
   */
  keep(cause: FederationError, within: number): KeptStream | undefined {
    if (this.#state !== 'on' || !this.pending) return undefined
    const unacknowledged = this.#unacknowledged.takeAll()
    this.end(cause)
    return new KeptStream({ unacknowledged, within, cause }, this.#options.clock)
  }

  /** Nothing will be acknowledged any more: what was written is in doubt. */
  end(cause: FederationError | undefined): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#remains = undefined
    this.#requests.rest()
    abandon(this.#unacknowledged.takeAll(), cause)
    this.#changed.tell()
  }

  readonly #write = (consignment: Consignment, taken: Taken): void => {
    const { clock, maxBytes, write } = this.#options
    write(written(consignment, clock.now(), maxBytes), taken)
  }

  #answer(): void {
    const { received, write } = this.#options
    if (received?.handled.isEnabled === true) received.handled.acknowledge()
    else write(`<a xmlns='${NS_SM}' h='${wireCount(this.#handledBefore)}'/>`)
  }

  /** How many of those that came the other way were handled or are in hand. */
  get #begun(): number {
    const { received } = this.#options
    return received?.handled.isEnabled === true ? received.handled.begun : this.#handledBefore
  }

  /** What comes the other way counts from here on. */
  #countReceived(): void {
    const { received } = this.#options
    received?.handled.enable(received.stream, this.#handledBefore)
  }

  #begin(attributes: Readonly<Record<string, unknown>>): void {
    this.#state = 'on'
    if (this.#options.resumption !== undefined) this.#resumption = readResumption(attributes, this.#options.resumption)
    this.#countReceived()
    this.#requests.rest()
    if (this.pending) this.#requests.ask()
    this.#changed.tell()
  }

  /** `<resumed/>`: what the peer has not counted is sent again. */
  #resumed(h: unknown): void {
    this.#take(h)
    this.#options.onResumption?.('resumed')
    this.#remains = undefined
    this.#countReceived()
    this.#requests.rest()
    this.#goOn()
  }

  /** From what is acknowledged on: what is not is written again, in order, before anything else. */
  #goOn(): void {
    // What was given up is not sent again: the next stanza follows on the last that the peer has counted.
    this.#sent = this.#acknowledged + this.#unacknowledged.size
    this.#requests.startFrom(this.#acknowledged)
    this.#state = 'on'
    for (const one of this.#unacknowledged.all) one.writeTo(this.#write)
    if (this.pending) this.#requests.ask()
    this.#changed.tell()
  }

  /** `<failed/>` after `<resume/>`: what the peer has not counted before it forgot the stream is in doubt. */
  #beginAnew({ cause }: Remains, h: unknown): void {
    if (h !== undefined) this.#take(h)
    this.#options.onResumption?.('refused')
    abandon(this.#unacknowledged.takeAll(), cause)
    this.#remains = undefined
    this.#resumption = undefined
    this.#handledBefore = 0
    this.#sent = 0
    this.#acknowledged = 0
    this.#requests.startFrom(0)
    this.enable()
    this.#changed.tell()
  }

  /** `<failed/>`: the stream goes on as one that was never managed. */
  #goWithout(): void {
    this.#state = 'off'
    this.#requests.rest()
    for (const one of this.#unacknowledged.takeAll()) one.conclude('written')
    this.#changed.tell()
  }

  #acknowledge(h: unknown): void {
    const more = this.#take(h)
    this.#requests.answered({ isOwed: this.pending, hasMoved: more > 0 })
    if (more > 0) this.#changed.tell()
  }

  /** So many have been handled by the peer. */
  #take(h: unknown): number {
    const counts = { sent: this.#sent, acknowledged: this.#acknowledged }
    const judged = judgeAck(h, counts)
    if (judged.kind !== 'fine') throw ackError(judged, counts) ?? new FederationError('S2S_INTERNAL')
    this.#acknowledged += judged.more
    if (judged.more > 0) this.#requests.moved()
    for (let left = judged.more; left > 0; left -= 1) this.#unacknowledged.take()?.acknowledge()
    return judged.more
  }
}
