import { dialbackAnswerXml, dialbackErrorXml } from '../auth/dialback-answer.ts'
import type { DialbackReply } from '../auth/dialback-answer.ts'
import { answerVerify } from '../auth/authoritative.ts'
import { verifiedByAuthority, vouchedByCertificate } from '../auth/dialback-receiving.ts'
import type { Evidence } from '../auth/evidence.ts'
import { FederationError } from '../errors.ts'
import { pairKey, parseDomain } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import { trimKey } from '../rules/dialback-key.ts'
import type { ElementFrame } from '../xml/framer.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { Questions } from './questions.ts'
import { authenticate } from './standing.ts'
import { addressGroup, takeAll } from './quota.ts'
import type { OpenStream } from './stage.ts'
import type { StepFacts } from './trace.ts'

const LONGEST_KEY = 255

/** A `<db:result/>` as read: the pair, and the two spellings of it that an answer repeats. */
interface ReceivedKey {
  readonly pair: DomainPair
  readonly reply: DialbackReply
  readonly key: string
}

/** `<db:verify/>`, whoever asks: the authoritative server's part (XEP-0220 §2.2.2). */
export function receiveVerify(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): undefined {
  const { from = '', to = '', id = '' } = frame
  const answer = answerVerify({ from, to, id, key: frame.element().getText() }, n.server)
  if (answer === undefined) throw n.refused('improper-addressing', 'a dialback element names no two domains')
  n.verified += 1
  open.stream.write(answer)
}

/**
 * `<db:result/>`: the receiving server's part, step 1 (XEP-0220 §2.2.1). What takes time goes on beside the stream, which is read
 * on meanwhile: two servers that dial back to each other would otherwise wait for ever.
 */
export function receiveKey(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): undefined {
  const received = readKey(frame, n)
  const name = pairKey(received.pair)
  if (n.authenticated.pairs.has(name)) open.stream.write(dialbackAnswerXml(received.reply, 'valid'))
  else if (!n.pending.has(name)) begin(received, open, n)
}

function begin(received: ReceivedKey, open: OpenStream, n: IncomingNegotiation): void {
  const refusal = refusalAtOnce(received, n)
  const release = refusal === undefined ? takeRoom(received.pair, n) : undefined
  if (release === undefined) {
    refuse(refusal ?? limit('too many keys are being verified'), received, open, n)
    return
  }
  const name = pairKey(received.pair)
  const header = n.headerSignal
  n.pending.add(name)
  const work = decide(received, open, header, n).finally(() => {
    if (!header.aborted) n.pending.delete(name)
    release()
  })
  n.server.background(work)
}

/** A key where none is taken, such as in clear where TLS has to come first. */
export function refuseKey(condition: string, frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): void {
  const received = readKey(frame, n)
  refuse(denied(condition, 'TLS has to be negotiated first'), received, open, n)
}

function readKey(frame: ElementFrame, n: IncomingNegotiation): ReceivedKey {
  const { from = '', to = '' } = frame
  const sender = parseDomain(from)
  const target = parseDomain(to)
  if (sender === undefined || target === undefined) throw n.refused('improper-addressing', 'a dialback element names no two domains')
  return { pair: { sender, target }, reply: { name: 'result', from: to, to: from }, key: trimKey(frame.element().getText()) }
}

/** XEP-0220 §2.2.1: what needs no asking. */
function refusalAtOnce({ pair, key }: ReceivedKey, n: IncomingNegotiation): FederationError | undefined {
  const { hosted, limits } = n.server
  if (n.authenticated.size + n.pending.size >= limits.pairsPerStream) return limit('too many pairs on one stream')
  if (!hosted.has(pair.target)) return denied('item-not-found', `${pair.target} is not served here`)
  if (hosted.has(pair.sender)) return denied('not-authorized', `${pair.sender} is served here`)
  if (key === '' || key.length > LONGEST_KEY) return denied('not-acceptable', 'the key is empty or too long')
  return undefined
}

/** Room for one more verification: on this stream, for its address, for the sender. undefined: there is none. */
function takeRoom(pair: DomainPair, n: IncomingNegotiation): (() => void) | undefined {
  if (n.pending.size >= n.server.limits.verificationsPerStream) return undefined
  const { perAddress, perSender } = n.parts.verifications
  const { address } = n.arrival
  const bySender = [perSender, pair.sender] as const
  return takeAll(address === undefined ? [bySender] : [bySender, [perAddress, addressGroup(address)]])
}

/** Decides about one key and answers, if the header that it came under is still the stream's. Never rejects. */
async function decide(received: ReceivedKey, open: OpenStream, header: AbortSignal, n: IncomingNegotiation): Promise<void> {
  const isOver = (): boolean => header.aborted || n.signal.aborted || n.isClosing
  const proved = await proveNow(received, open, header, n)
  if (isOver()) return
  const refused = FederationError.is(proved) ? proved : await authenticate(proved, open, n, isOver)
  if (isOver()) return
  if (refused === undefined) open.stream.write(dialbackAnswerXml(received.reply, 'valid'))
  else refuse(refused, received, open, n)
}

/** So often a key is judged anew because settings have changed meanwhile. */
const MOST_JUDGEMENTS = 3

/** What the authoritative server said counts only if it was asked under the settings of now. */
async function proveNow(
  received: ReceivedKey,
  open: OpenStream,
  header: AbortSignal,
  n: IncomingNegotiation
): Promise<Evidence | FederationError> {
  for (let judged = 0; judged < MOST_JUDGEMENTS; judged += 1) {
    const { epoch } = n.server
    const proved = await prove(received, open, header, n).catch((thrown: unknown) => {
      const error = FederationError.from(thrown)
      return new FederationError('S2S_DIALBACK_ERROR', { condition: 'remote-server-timeout', detail: error.message, cause: error })
    })
    if (epoch === n.server.epoch) return proved
  }
  return new FederationError('S2S_DIALBACK_ERROR', { condition: 'remote-server-timeout', detail: 'settings changed all the while' })
}

async function prove(
  received: ReceivedKey,
  open: OpenStream,
  header: AbortSignal,
  n: IncomingNegotiation
): Promise<Evidence | FederationError> {
  const { pair, key } = received
  const { encrypted } = open.stream
  const facts: StepFacts<'dialback'> = { encrypted, pair }
  return await n.step('dialback', facts, async ofStep => {
    const signal = AbortSignal.any([ofStep, header])
    const allowed = await isAllowed(pair, open, n)
    if (FederationError.is(allowed)) return allowed
    const vouched = vouchedByCertificate(pair, allowed.certificate)
    if (vouched === undefined) {
      const by = { verify: n.parts.verify, server: n.server, signal, encrypted }
      return await verifiedByAuthority({ pair, streamId: open.id, key }, by, facts)
    }
    facts.answer = 'valid'
    facts.withoutDialback = true
    return vouched
  })
}

/** What policy says of this pair on this stream: asked anew for every pair but the header's own, which has been admitted. */
async function isAllowed(pair: DomainPair, open: OpenStream, n: IncomingNegotiation) {
  const { encrypted } = open.stream
  const isHeaders = pair.sender === open.remote && pair.target === open.local && open.epoch === n.server.epoch
  const questions = isHeaders ? open.questions : new Questions(await n.peerOf(pair.target, pair.sender), n.server, n.trace)
  if (!isHeaders && (await questions.admit()) === 'refuse') return n.fail('S2S_POLICY', { condition: 'not-authorized', pair })
  if (!encrypted && questions.tls() === 'required') return denied('policy-violation', 'TLS has to be negotiated first')
  const certificate = open.tls === undefined ? undefined : questions.certificate(open.tls.chain, pair.sender)
  if (certificate?.use === 'reject') return n.fail('S2S_CERTIFICATE', { condition: 'not-authorized', pair })
  const proofs = questions.proofs(encrypted, certificate?.use)
  if (!proofs.includes('dialback')) return denied(encrypted ? 'not-authorized' : 'policy-violation', 'dialback is not accepted here')
  return { certificate }
}

/**
 * The answer that says no (XEP-0220 §2.2.1, §2.5). A key that the authoritative server does not know ends the stream, unless other
 * pairs are authenticated on it.
 */
function refuse(error: FederationError, { reply }: ReceivedKey, open: OpenStream, n: IncomingNegotiation): void {
  n.remember(error)
  const isInvalid = error.code === 'S2S_DIALBACK_INVALID'
  if (isInvalid && n.authenticated.size === 0) {
    open.stream.write(dialbackAnswerXml(reply, 'invalid'))
    n.stop(error)
  } else {
    const condition = isInvalid ? 'forbidden' : (error.condition ?? 'remote-server-timeout')
    open.stream.write(dialbackErrorXml(reply, condition))
  }
}

function denied(condition: string, detail: string): FederationError {
  return new FederationError('S2S_DIALBACK_ERROR', { condition, detail })
}

function limit(detail: string): FederationError {
  return new FederationError('S2S_LIMIT', { condition: 'resource-constraint', detail })
}
