import type { JudgedCertificate } from '../auth/dialback-receiving.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { Domain } from '../model/domain.ts'
import type { CertificateUse, Proof } from '../model/level.ts'
import type { Admission, Peer, Rulebook, TlsWish } from '../model/policy.ts'
import { askAdmit, askCertificate, askProofs, askRejection, askTls, pinsFor } from '../rules/decide.ts'
import { describeProblems } from '../rules/sentences.ts'
import type { Trace } from './trace.ts'

/** The policy's questions about one pair on one stream, asked where they fall due, each answer in the trace. */
export class Questions {
  readonly peer: Peer
  readonly #book: Rulebook
  readonly #server: LocalServer
  readonly #trace: Trace
  #judged: JudgedCertificate | undefined

  constructor(peer: Peer, server: LocalServer, trace: Trace) {
    this.peer = peer
    this.#book = server.rulebook()
    this.#server = server
    this.#trace = trace
  }

  async admit(): Promise<Admission> {
    return this.#trace.decided('admit', await askAdmit(this.#book, this.peer))
  }

  tls(): TlsWish {
    return this.#trace.decided('tls', askTls(this.#book, this.peer))
  }

  proofs(encrypted: boolean, use: CertificateUse | undefined): readonly Proof[] {
    return this.#trace.decided('proofs', askProofs(this.#book, this.peer, encrypted, use))
  }

  /** How a stream whose certificate is rejected ends. */
  rejection(): 'end-tls' | 'not-authorized' {
    return askRejection(this.#book, this.peer).answer
  }

  /**
   * What the certificate of this connection says now about this sender, and what policy lets it say (XEP-0344, XEP-0178 §3). Asked
   * again whenever a proof depends on it; policy is asked again only if the verdict has changed since.
   */
  certificate(chain: readonly Buffer[], sender: Domain): JudgedCertificate {
    const startedAt = this.#server.clock.now()
    const verdict = this.#server.judge.judge(chain, sender, startedAt, pinsFor(this.#book, this.peer))
    const known = this.#judged
    if (known !== undefined && describeProblems(known.verdict) === describeProblems(verdict)) return known
    const use = this.#trace.decided('certificate', askCertificate(this.#book, this.peer, verdict))
    const facts = { verdict, use, ours: this.peer.ours }
    const took = this.#server.clock.now() - startedAt
    if (use === 'reject') {
      const message = `The certificate of the peer is not accepted: ${describeProblems(verdict)}.`
      this.#trace.enter('check-certificate', facts, { outcome: 'refused', code: 'S2S_CERTIFICATE', took, message })
    } else this.#trace.enter('check-certificate', facts, { outcome: 'ok', code: 'ok', took })
    this.#judged = { verdict, use }
    return this.#judged
  }
}
