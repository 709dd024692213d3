import { answerVerify, isConfirmation } from '../auth/authoritative.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { denied, receiveKeyOn, refuseKeyOn, unaddressed } from './keys.ts'
import type { KeyStream } from './keys.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { Questions } from './questions.ts'
import type { OpenStream } from './stage.ts'
import { authenticate } from './standing.ts'

/** `<db:verify/>`, whoever asks: the authoritative server's part (XEP-0220 §2.2.2). */
export function receiveVerify(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): undefined {
  const { from = '', to = '', id = '' } = frame
  const answer = answerVerify({ from, to, id, key: frame.element().getText() }, n.server)
  if (answer === undefined) throw unaddressed()
  n.verified += 1
  if (isConfirmation(answer)) n.hasShownKey = true
  open.stream.write(answer)
}

export function receiveKey(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): undefined {
  receiveKeyOn(keyStream(open, n), frame)
}

/** A key where none is taken, such as in clear where TLS has to come first. */
export function refuseKey(condition: string, frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): void {
  refuseKeyOn(keyStream(open, n), condition, frame)
}

/** An incoming stream as one on which keys come, as long as the header is the stream's that they came under. */
export function keyStream(open: OpenStream, n: IncomingNegotiation): KeyStream {
  const signal = n.headerSignal
  const isOver = (): boolean => signal.aborted || n.signal.aborted || n.isClosing
  return {
    parts: n.parts,
    encrypted: open.stream.encrypted,
    id: open.id,
    address: n.arrival.address,
    signal,
    pending: n.pending,
    refusedKeys: n.refusedKeys,
    get pairs() {
      return n.authenticated.size
    },
    isOver,
    has: pair => n.authenticated.pairs.has(pairKey(pair)),
    write: xml => open.stream.write(xml),
    step: (facts, run) => n.step('dialback', facts, run),
    allowed: pair => isAllowed(pair, open, n),
    accept: evidence => authenticate(evidence, open, n, isOver),
    remember: error => n.remember(error),
    stop: error => n.stop(error)
  }
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
