import { FederationError } from '../errors.ts'
import type { CertificateVerdict } from '../model/certificate.ts'
import type { Attempt, Endpoint } from '../model/endpoint.ts'
import { asciiDomain, domain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { CertificateUse, Proof } from '../model/level.ts'
import type { Admission, Decision, OwnState, Peer, Rulebook } from '../model/policy.ts'
import type { VerifiedOver } from '../model/report.ts'
import type { Offers, Side } from '../model/side.ts'
import { NO_FEATURES } from '../model/stream.ts'
import { isThenable } from '../model/thenable.ts'
import { verdictOfState } from './certificate-states.ts'
import { askAdmit, askCertificate, askProofs, askRejection, askTls, pinsFor } from './decide.ts'
import { acceptsStartTls, offerInClear, offerInTls } from './offer.ts'
import type { Offer } from './offer.ts'
import { applyPins } from './pins.ts'
import { describeProblems, ownState } from './sentences.ts'
import { walk } from './walk.ts'
import type { Met, MetProof, MetStream, World } from './world.ts'

/** A side, read: what a walk needs to know of it. */
export interface Party {
  readonly domain: Domain
  readonly book: Rulebook
  readonly verdict: CertificateVerdict
  readonly own: OwnState
  readonly offers: Offers
}

/**
 * Reads the description of a side.
 *
 * @throws FederationError `S2S_ADDRESS` for its domain
 */
export function readSide(side: Side, role: 'initiator' | 'receiver'): Party {
  const name = domain(side.domain ?? `${role}.example`)
  const verdict = typeof side.certificate === 'string' ? verdictOfState(side.certificate, name) : side.certificate
  return {
    domain: name,
    book: { policy: side.policy, guards: side.guards ?? [] },
    verdict,
    own: ownState(verdict),
    offers: side.offers ?? {}
  }
}

/** Whom an outgoing walk of one party to another is about. */
export function outgoingPeer(us: Party, them: Party, purpose: Peer['purpose']): Peer {
  return { direction: 'outgoing', local: us.domain, remote: them.domain, purpose, ...us.own }
}

/**
 * A described side as the receiving server of another described side: its offers, its judgement on the client certificate, and for
 * dialback its call to the authoritative server, which is the other side's own listener.
 */
export class DescribedReceiver implements World {
  readonly hasPassword = false
  readonly #us: Party
  readonly #them: Party
  readonly #peer: Peer
  readonly #verdictOnUs: CertificateVerdict
  readonly #notes: string[]
  #offer: Offer = { starttls: 'absent', mechanisms: [], dialback: false }

  /**
   * @param us the side that receives
   * @param them the side that initiates
   * @param purpose what they call for
   */
  constructor(us: Party, them: Party, purpose: Peer['purpose'], notes: string[]) {
    this.#us = us
    this.#them = them
    this.#notes = notes
    this.#peer = { direction: 'incoming', local: us.domain, remote: them.domain, purpose: 'stanzas', ...us.own }
    this.#verdictOnUs = applyPins(us.verdict, pinsFor(them.book, outgoingPeer(them, us, purpose)))
  }

  resolve(): Met<'resolve'> {
    const endpoint: Endpoint = { host: asciiDomain(this.#us.domain), port: 5269, tls: 'starttls', source: 'srv' }
    return { facts: { endpoints: [endpoint], failures: [] } }
  }

  connect({ endpoint, encryption }: Attempt): Met<'connect'> {
    return { facts: { endpoint, encryption } }
  }

  openStream(_attempt: Attempt, encrypted: boolean): MetStream {
    const refused = this.#refusal(encrypted)
    if (refused === undefined) this.#offer = narrowed(encrypted ? this.#offerInTls() : this.#offerInClear(), this.#us.offers, encrypted)
    const features = { ...NO_FEATURES, ...this.#offer, dialbackErrors: this.#offer.dialback }
    const header = { encrypted, from: this.#us.domain, version: '1.0', declaresDialback: this.#offer.dialback }
    return refused === undefined
      ? { facts: { ...header, features }, features }
      : { facts: { ...header }, features: NO_FEATURES, error: refused }
  }

  negotiateTls(_attempt: Attempt, requiredByPeer: boolean): Met<'negotiate-tls'> {
    const facts = { requiredByPeer }
    const { starttls } = this.#us.offers
    if (starttls === false || !acceptsStartTls(this.#tlsFacts())) return { facts, error: new FederationError('S2S_TLS_REFUSED') }
    return starttls === 'fails' ? { facts, error: new FederationError('S2S_TLS_HANDSHAKE') } : { facts }
  }

  certificate(): CertificateVerdict {
    return this.#verdictOnUs
  }

  prove(proof: Proof, _attempt: Attempt, encrypted: boolean): MetProof {
    if (proof === 'dialback') return this.#dialback(encrypted)
    const mechanism = proof === 'sasl-external' ? 'EXTERNAL' : 'PLAIN'
    if (this.#us.offers.external !== 'refused' && this.#offer.mechanisms.includes(mechanism)) return { facts: {}, lives: true }
    const condition = 'not-authorized'
    return {
      facts: { condition },
      lives: true,
      error: new FederationError('S2S_SASL_REFUSED', { condition, detail: `${mechanism}, ${condition}` })
    }
  }

  restart(): Met<'open-stream'> {
    return {
      facts: { encrypted: true, from: this.#us.domain, version: '1.0', features: { ...NO_FEATURES, dialback: this.#offer.dialback } }
    }
  }

  verify(_attempt: Attempt, verifiedOver: VerifiedOver): Met<'dialback'> {
    return { facts: { encrypted: verifiedOver !== 'clear', answer: 'valid', verifiedOver } }
  }

  admitLater(): Admission {
    return admitLater(this.#them, this.#notes)
  }

  #tlsFacts(): { readonly tls: ReturnType<typeof askTls>['answer']; readonly haveCertificate: boolean } {
    return { tls: askTls(this.#us.book, this.#peer).answer, haveCertificate: this.#us.own.ours !== 'missing' }
  }

  #offerInClear(): Offer {
    return offerInClear({ ...this.#tlsFacts(), proofs: askProofs(this.#us.book, this.#peer, false, undefined).answer })
  }

  #offerInTls(): Offer {
    const use = this.#use().answer
    return offerInTls({ proofs: askProofs(this.#us.book, this.#peer, true, use).answer, use, hasPassword: this.hasPassword })
  }

  #use(): Decision<CertificateUse> {
    return askCertificate(this.#us.book, this.#peer, this.#verdictOnThem())
  }

  #verdictOnThem(): CertificateVerdict {
    return applyPins(this.#them.verdict, pinsFor(this.#us.book, this.#peer))
  }

  /** The stream error that a header gets: a peer that is not admitted, or inside TLS one whose certificate is rejected. */
  #refusal(encrypted: boolean): FederationError | undefined {
    const admission = askAdmit(this.#us.book, this.#peer)
    const admitted = isThenable(admission) ? admitLater(this.#us, this.#notes) : admission.answer
    const code = encrypted ? 'S2S_CERTIFICATE_REFUSED' : 'S2S_STREAM_ERROR_RECEIVED'
    if (admitted === 'refuse') return new FederationError(code, { condition: 'policy-violation', detail: 'policy-violation' })
    if (!encrypted || this.#use().answer !== 'reject') return undefined
    const problems = describeProblems(this.#verdictOnThem())
    if (askRejection(this.#us.book, this.#peer).answer === 'end-tls')
      return new FederationError(code, { detail: `the peer ended TLS: ${problems}` })
    return new FederationError(code, { condition: 'not-authorized', detail: `not-authorized, ${problems}` })
  }

  #dialback(encrypted: boolean): MetProof {
    const pair = { sender: this.#them.domain, target: this.#us.domain }
    const failed = (condition: string, detail: string): MetProof => {
      const facts = { encrypted, answer: 'error' as const, condition, pair }
      return { facts, lives: true, error: new FederationError('S2S_DIALBACK_ERROR', { condition, detail }) }
    }
    if (!this.#offer.dialback) return failed(encrypted ? 'not-authorized' : 'policy-violation', 'the peer does not take dialback')
    // XEP-0344: a certificate that authenticates the sender speaks for the pair, and nobody is called.
    if (encrypted && this.#use().answer === 'authenticate')
      return { facts: { encrypted, answer: 'valid', pair, withoutDialback: true }, lives: true }
    const authority = new DescribedReceiver(this.#them, this.#us, 'verification', this.#notes)
    const { verifiedOver, error } = walk(this.#us.book, outgoingPeer(this.#us, this.#them, 'verification'), authority)
    if (error !== undefined) return failed('remote-connection-failed', `the authoritative server could not be asked: ${error.message}`)
    return { facts: { encrypted, answer: 'valid', pair, ...(verifiedOver === undefined ? {} : { verifiedOver }) }, lives: true }
  }
}

function admitLater({ domain: name }: Party, notes: string[]): Admission {
  const note = `${name} answers admit with a promise: taken as admit`
  if (!notes.includes(note)) notes.push(note)
  return 'admit'
}

/** What is left of an offer under the description of the side. */
function narrowed(offer: Offer, { starttls, external, dialback }: Offers, encrypted: boolean): Offer {
  return {
    starttls: starttls === false ? 'absent' : offer.starttls,
    mechanisms:
      !encrypted || external === undefined || external === true
        ? offer.mechanisms
        : external === false
          ? offer.mechanisms.filter(each => each !== 'EXTERNAL')
          : ['EXTERNAL', ...offer.mechanisms.filter(each => each !== 'EXTERNAL')],
    dialback: offer.dialback && dialback !== false
  }
}
