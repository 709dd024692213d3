import { MISSING_CERTIFICATE } from '../model/certificate.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import { levelOf, weakest } from '../model/level.ts'
import type { CertificateUse, Proof, SecurityLevel } from '../model/level.ts'
import type { Decision, Peer, Rulebook } from '../model/policy.ts'
import type { PolicyFacts, Prediction, Report, TraceEntry } from '../model/report.ts'
import { askAdmit, askCertificate, askProofs, askTls } from './decide.ts'
import { isThenable } from '../model/thenable.ts'
import { acceptsStartTls, offerInClear, offerInTls } from './offer.ts'
import type { Offer } from './offer.ts'
import { policyFacts } from './policy-entry.ts'
import { UnknownFact } from './recorded-world.ts'

type ProofEntry = Extract<TraceEntry, { step: Proof }>

/**
 * What an incoming stream would have come to: the peer did what it did, so only what it would have been offered and answered can be
 * told. Where another offer may have changed what the peer does, that is the unknown fact.
 */
export function replayIncoming(report: Report, book: Rulebook): Prediction {
  const replay = new IncomingReplay(report, book)
  const levels = report.trace.filter(isProof).flatMap(entry => replay.levelOf(entry) ?? [])
  if (levels.length === 0 && !report.trace.some(isProof)) replay.checkStranger()
  const level = levels.reduce<SecurityLevel | undefined>((lowest, each) => (lowest === undefined ? each : weakest(lowest, each)), undefined)
  return { level, steps: replay.steps, notes: [] }
}

class IncomingReplay {
  readonly steps: TraceEntry[] = []
  readonly #report: Report
  readonly #book: Rulebook

  constructor(report: Report, book: Rulebook) {
    this.#report = report
    this.#book = book
  }

  /** The level of one recorded proof under the other policy; undefined where it would not have been accepted. */
  levelOf(entry: ProofEntry): SecurityLevel | undefined {
    const peer = this.#peerOf(entry)
    if (!this.#isAdmitted(peer)) return undefined
    const encrypted = entry.step !== 'dialback' || entry.facts.encrypted
    this.#checkTls(peer, encrypted)
    const use = encrypted ? this.#use(peer, entry) : undefined
    if (use === 'reject') return undefined
    const offer = this.#offer(peer, encrypted, use)
    if (!this.#isAccepted(entry, offer, use)) return undefined
    this.steps.push(entry)
    const level = levelOf(entry.step, encrypted)
    this.steps.push({ at: entry.at, attempt: entry.attempt, took: 0, step: 'establish', outcome: 'ok', code: 'ok', facts: { level } })
    return level
  }

  /** A peer that proved nothing: what it would have done under another policy is for nobody to say, unless it would be turned away. */
  checkStranger(): void {
    const { peer, trace } = this.#report
    if (!this.#isAdmitted(peer)) return
    const judged = trace.find(entry => entry.step === 'check-certificate')
    if (
      judged?.step === 'check-certificate' &&
      this.#decided('certificate', askCertificate(this.#book, peer, judged.facts.verdict)) === 'reject'
    )
      return
    throw new UnknownFact('how the peer would have proved itself')
  }

  #peerOf(entry: ProofEntry): Peer {
    const pair = entry.step === 'dialback' ? entry.facts.pair : undefined
    return pair === undefined ? this.#report.peer : { ...this.#report.peer, local: pair.target, remote: pair.sender }
  }

  #isAdmitted(peer: Peer): boolean {
    const decision = askAdmit(this.#book, peer)
    if (isThenable(decision)) throw new UnknownFact('admit')
    return this.#decided('admit', decision) === 'admit'
  }

  #checkTls(peer: Peer, encrypted: boolean): void {
    const tls = this.#decided('tls', askTls(this.#book, peer))
    const canTls = acceptsStartTls({ tls, haveCertificate: peer.ours !== 'missing' })
    if (encrypted && !canTls) throw new UnknownFact('what the peer would have done without STARTTLS')
    if (!encrypted && tls === 'required' && canTls) throw new UnknownFact('whether the peer would have used STARTTLS')
  }

  #use(peer: Peer, entry: ProofEntry): CertificateUse {
    return this.#decided('certificate', askCertificate(this.#book, peer, this.#verdictFor(entry)))
  }

  /** What was judged last before the proof was decided: every pair's certificate is judged anew. */
  #verdictFor(entry: ProofEntry): CertificateVerdict {
    const before = this.#report.trace.slice(0, this.#report.trace.indexOf(entry))
    const judged = before.findLast(each => each.step === 'check-certificate')
    return judged?.step === 'check-certificate' ? judged.facts.verdict : MISSING_CERTIFICATE
  }

  #offer(peer: Peer, encrypted: boolean, use: CertificateUse | undefined): Offer {
    const proofs = this.#decided('proofs', askProofs(this.#book, peer, encrypted, use))
    const hasPassword = this.#report.trace.some(each => each.step === 'sasl-plain')
    if (encrypted && use !== undefined) return offerInTls({ proofs, use, hasPassword })
    return offerInClear({ tls: askTls(this.#book, peer).answer, haveCertificate: peer.ours !== 'missing', proofs })
  }

  #isAccepted(entry: ProofEntry, offer: Offer, use: CertificateUse | undefined): boolean {
    if (entry.step !== 'dialback') return this.#isSaslAccepted(entry, offer)
    const wasOffered = this.#report.trace.some(
      each => each.step === 'open-stream' && each.facts.features?.mechanisms.includes('EXTERNAL') === true
    )
    if (offer.mechanisms.includes('EXTERNAL') && !wasOffered) throw new UnknownFact('whether the peer would have used EXTERNAL')
    if (!offer.dialback) return false
    const { answer, withoutDialback } = entry.facts
    if (entry.facts.encrypted && use === 'authenticate') return true
    if (answer === undefined || withoutDialback === true) throw new UnknownFact('what the authoritative server would have answered')
    return answer === 'valid'
  }

  #isSaslAccepted(entry: ProofEntry, offer: Offer): boolean {
    const mechanism = entry.step === 'sasl-external' ? 'EXTERNAL' : 'PLAIN'
    if (offer.mechanisms.includes(mechanism)) return entry.outcome === 'ok'
    if (entry.outcome === 'ok' && offer.dialback) throw new UnknownFact('whether the peer would have used dialback')
    return false
  }

  #decided<T extends string | readonly string[]>(question: PolicyFacts['question'], decision: Decision<T>): T {
    this.steps.push({ at: 0, attempt: 1, took: 0, step: 'policy', outcome: 'ok', code: 'ok', facts: policyFacts(question, decision) })
    return decision.answer
  }
}

function isProof(entry: TraceEntry): entry is ProofEntry {
  const isTaken = entry.outcome !== 'skipped' && entry.outcome !== 'absent'
  return isTaken && (entry.step === 'sasl-external' || entry.step === 'sasl-plain' || entry.step === 'dialback')
}
