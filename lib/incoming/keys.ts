import { dialbackAnswerXml, dialbackErrorXml } from '../auth/dialback-answer.ts'
import type { DialbackReply } from '../auth/dialback-answer.ts'
import { verifiedByAuthority, vouchedByCertificate } from '../auth/dialback-receiving.ts'
import type { JudgedCertificate } from '../auth/dialback-receiving.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { underBoth } from '../model/aborted.ts'
import { pairKey, parseDomain } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import { trimKey } from '../rules/dialback-key.ts'
import type { ElementFrame } from '../xml/framer.ts'
import type { IncomingParts } from './parts.ts'
import { addressGroup, askerOf, takeAll } from './quota.ts'
import type { RefusedKeys } from './refused-keys.ts'
import type { StepFacts } from './trace.ts'

const LONGEST_KEY = 255

/** A `<db:result/>` as read: the pair, and the two spellings of it that an answer repeats. */
interface ReceivedKey {
  readonly pair: DomainPair
  readonly reply: DialbackReply
  readonly key: string
}

/** A stream on which keys come, whoever opened it: an incoming one, or an outgoing one that goes both ways (XEP-0288 §2.2). */
export interface KeyStream {
  readonly parts: IncomingParts
  readonly encrypted: boolean
  /** The id that keys on it are made for (XEP-0220 §2.1.1). */
  readonly id: string
  readonly address: string | undefined
  /** Aborted when what is asked about now cannot count any more. */
  readonly signal: AbortSignal
  /** Pairs whose keys are being verified, by `pairKey`. */
  readonly pending: Set<string>
  readonly refusedKeys: RefusedKeys
  /** How many pairs are authenticated on it, in whichever direction. */
  readonly pairs: number
  /** Whether nothing can be said on it any more. */
  isOver(): boolean
  /** Whether the pair is authenticated in the direction of the key. */
  has(pair: DomainPair): boolean
  write(xml: string): void
  /** Runs the verification under its deadline, and writes it into the trace. */
  step<T>(facts: StepFacts<'dialback'>, run: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** What policy says of the pair on this stream. */
  allowed(pair: DomainPair): Promise<{ readonly certificate: JudgedCertificate | undefined } | FederationError>
  /** Lets the pair's stanzas come, if the pair stands under the settings of now. */
  accept(evidence: Evidence): Promise<FederationError | undefined>
  remember(error: FederationError): void
  /** Ends the stream. */
  stop(error: FederationError): void
}

/**
 * `<db:result/>`: the receiving server's part, step 1 (XEP-0220 §2.2.1). What takes time goes on beside the stream, which is read
 * on meanwhile: two servers that dial back to each other would otherwise wait for ever.
 */
export function receiveKeyOn(on: KeyStream, frame: ElementFrame): void {
  const received = readKey(frame)
  if (on.has(received.pair)) on.write(dialbackAnswerXml(received.reply, 'valid'))
  else if (!on.pending.has(pairKey(received.pair))) begin(received, on)
}

function begin(received: ReceivedKey, on: KeyStream): void {
  if (on.parts.isLeaving() && on.pairs === 0) return on.stop(leaving())
  const refusal = refusalAtOnce(received, on)
  const release = refusal === undefined ? takeRoom(received.pair, on) : undefined
  if (release === undefined) {
    refuse(refusal ?? limit('too many keys are being verified'), received, on)
    return
  }
  const name = pairKey(received.pair)
  on.pending.add(name)
  const work = decide(received, on).finally(() => {
    if (!on.signal.aborted) on.pending.delete(name)
    release()
  })
  on.parts.server.background(work)
}

/** A key where none is taken, such as in clear where TLS has to come first. */
export function refuseKeyOn(on: KeyStream, condition: string, frame: ElementFrame): void {
  refuse(denied(condition, 'TLS has to be negotiated first'), readKey(frame), on)
}

function readKey(frame: ElementFrame): ReceivedKey {
  const { from = '', to = '' } = frame
  const sender = parseDomain(from)
  const target = parseDomain(to)
  if (sender === undefined || target === undefined) throw unaddressed()
  return { pair: { sender, target }, reply: { name: 'result', from: to, to: from }, key: trimKey(frame.element().getText()) }
}

/** A dialback element that names no two domains ends the stream. */
export function unaddressed(): FederationError {
  const condition = 'improper-addressing'
  return new FederationError('S2S_STREAM_ERROR_SENT', { condition, stream: condition, detail: 'a dialback element names no two domains' })
}

/** XEP-0220 §2.2.1: what needs no asking. */
function refusalAtOnce({ pair, key }: ReceivedKey, on: KeyStream): FederationError | undefined {
  const { hosted, limits } = on.parts.server
  if (on.parts.isLeaving()) return leaving()
  if (on.pairs + on.pending.size >= limits.pairsPerStream) return limit('too many pairs on one stream')
  if (!hosted.has(pair.target)) return denied('item-not-found', `${pair.target} is not served here`)
  if (hosted.has(pair.sender)) return denied('not-authorized', `${pair.sender} is served here`)
  if (on.refusedKeys.tooMany) return limit('too many keys were refused')
  if (key === '' || key.length > LONGEST_KEY) return denied('not-acceptable', 'the key is empty or too long')
  return undefined
}

/** Room for one more verification: on this stream, for its address, for the sender from there. undefined: there is none. */
function takeRoom(pair: DomainPair, { parts, pending, address }: KeyStream): (() => void) | undefined {
  if (pending.size >= parts.server.limits.verificationsPerStream) return undefined
  const { perAddress, perSender } = parts.verifications
  // Keys of a domain come from anywhere: none may use up what is there for those of its own server.
  const bySender = [perSender, `${pair.sender} ${askerOf(address) ?? ''}`] as const
  return takeAll(address === undefined ? [bySender] : [bySender, [perAddress, addressGroup(address)]])
}

/** Decides about one key and answers, if the header that it came under is still the stream's. Never rejects. */
async function decide(received: ReceivedKey, on: KeyStream): Promise<void> {
  const proved = await proveNow(received, on)
  if (on.isOver()) return
  const refused = FederationError.is(proved) ? proved : on.parts.isLeaving() ? leaving() : await on.accept(proved)
  if (refused !== undefined) on.refusedKeys.add()
  if (on.isOver()) return
  if (refused === undefined) on.write(dialbackAnswerXml(received.reply, 'valid'))
  else refuse(refused, received, on)
}

/** So often a key is judged anew because settings have changed meanwhile. */
const MOST_JUDGEMENTS = 3

/** What the authoritative server said counts only if it was asked under the settings of now. */
async function proveNow(received: ReceivedKey, on: KeyStream): Promise<Evidence | FederationError> {
  const { server } = on.parts
  for (let judged = 0; judged < MOST_JUDGEMENTS; judged += 1) {
    const { epoch } = server
    const proved = await prove(received, on).catch((thrown: unknown) => {
      const error = FederationError.from(thrown)
      return new FederationError('S2S_DIALBACK_ERROR', { condition: 'remote-server-timeout', detail: error.message, cause: error })
    })
    if (epoch === server.epoch) return proved
  }
  return new FederationError('S2S_DIALBACK_ERROR', { condition: 'remote-server-timeout', detail: 'settings changed all the while' })
}

async function prove({ pair, key }: ReceivedKey, on: KeyStream): Promise<Evidence | FederationError> {
  const { encrypted, parts } = on
  const facts: StepFacts<'dialback'> = { encrypted, pair }
  return await on.step(facts, async ofStep => {
    const allowed = await on.allowed(pair)
    if (FederationError.is(allowed)) return allowed
    const vouched = vouchedByCertificate(pair, allowed.certificate)
    if (vouched === undefined) {
      const request = { pair, streamId: on.id, key, asker: askerOf(on.address) }
      return await underBoth(ofStep, on.signal, async signal => {
        return await verifiedByAuthority(request, { verify: parts.verify, server: parts.server, signal, encrypted }, facts)
      })
    }
    facts.answer = 'valid'
    facts.withoutDialback = true
    return vouched
  })
}

/**
 * The answer that says no (XEP-0220 §2.2.1, §2.5). A key that the authoritative server does not know ends the stream, unless other
 * pairs are authenticated on it.
 */
function refuse(error: FederationError, { reply }: ReceivedKey, on: KeyStream): void {
  on.remember(error)
  const isInvalid = error.code === 'S2S_DIALBACK_INVALID'
  if (isInvalid && on.pairs === 0) {
    on.write(dialbackAnswerXml(reply, 'invalid'))
    on.stop(error)
  } else {
    const condition = isInvalid ? 'forbidden' : (error.condition ?? 'remote-server-timeout')
    on.write(dialbackErrorXml(reply, condition))
  }
}

export function denied(condition: string, detail: string): FederationError {
  return new FederationError('S2S_DIALBACK_ERROR', { condition, detail })
}

/** To whom that is answered by a dialback error, a connection of its own is the next thing to try: that hears `system-shutdown`. */
function leaving(): FederationError {
  return new FederationError('S2S_STOPPED', { condition: 'resource-constraint' })
}

function limit(detail: string): FederationError {
  return new FederationError('S2S_LIMIT', { condition: 'resource-constraint', detail })
}
