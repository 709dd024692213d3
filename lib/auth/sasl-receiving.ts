import { createHash, timingSafeEqual } from 'node:crypto'
import type { DomainPair } from '../model/domain.ts'
import type { Proof } from '../model/level.ts'
import type { Password } from '../model/settings.ts'
import { decodeSasl, encodeSasl, isOwnAuthzid, readPlain } from '../rules/sasl.ts'
import type { SaslCondition } from '../rules/sasl.ts'
import { describeProblems } from '../rules/sentences.ts'
import { NS_SASL } from '../xml/namespaces.ts'
import { escapeText } from '../xml/writer.ts'
import { identityBy } from './dialback-receiving.ts'
import type { JudgedCertificate } from './dialback-receiving.ts'
import { mintEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'

/** What a mechanism is told about the stream it runs on, at the moment it decides: certificate and policy are asked then. */
export interface SaslContext {
  /** The `from` and `to` of the header inside TLS. */
  readonly pair: DomainPair
  /** The peer's certificate, judged now for the sender. */
  readonly certificate: JudgedCertificate
  /** The proofs that policy, floor and clamps accept now. */
  readonly proofs: readonly Proof[]
  /** The sender's pre-shared password; undefined: the sender is no such peer. */
  readonly password: Password | undefined
}

/** Where an exchange stands after one message. */
export type SaslStep =
  | { readonly kind: 'challenge'; readonly data: Buffer }
  | { readonly kind: 'success'; readonly evidence: Evidence }
  | { readonly kind: 'failure'; readonly condition: SaslCondition; readonly text?: string }

/**
 * The receiving half of a SASL mechanism, as `saslmechanisms` has the initiating one: by its name, one response in, one step out.
 * Both mechanisms of S2S are over after one response.
 */
export interface ReceivingMechanism {
  readonly name: string
  readonly proof: Proof
  /** Whether the mechanism exists for this peer at all; policy is not asked here. */
  isFor(context: SaslContext): boolean
  respond(response: Buffer, context: SaslContext): SaslStep
}

const failure = (condition: SaslCondition, text?: string): SaslStep => ({
  kind: 'failure',
  condition,
  ...(text === undefined ? {} : { text })
})

/** SASL EXTERNAL (RFC 4422 appendix A, XEP-0178 §3): the certificate is judged again when it counts, not only when it was offered. */
const external: ReceivingMechanism = {
  name: 'EXTERNAL',
  proof: 'sasl-external',
  isFor: () => true,
  respond(response, context) {
    const { pair, certificate, proofs } = context
    if (!isOwnAuthzid(response, pair.sender)) return failure('invalid-authzid')
    const peerIdentity = identityBy(certificate)
    if (peerIdentity === 'dns')
      return failure('not-authorized', `Your certificate is not accepted for ${pair.sender}: ${describeProblems(certificate.verdict)}`)
    if (!proofs.includes('sasl-external')) return failure('not-authorized', 'SASL EXTERNAL is not accepted here')
    return {
      kind: 'success',
      evidence: mintEvidence({ proof: 'sasl-external', pair, flow: 'receive', level: 'sasl-external', peerIdentity })
    }
  }
}

/**
 * SASL PLAIN (RFC 4616) for a peer with which a password was agreed: only for the very domain it was agreed with, and only where
 * that domain's certificate authenticates it as well, so that the password is never sent to, or taken from, anyone else.
 */
const plain: ReceivingMechanism = {
  name: 'PLAIN',
  proof: 'sasl-plain',
  isFor: context => context.password !== undefined,
  respond(response, context) {
    const { pair, certificate, proofs, password } = context
    const message = readPlain(response)
    if (message === undefined) return failure('malformed-request')
    if (!isOwnAuthzid(message.authzid, pair.sender)) return failure('invalid-authzid')
    const peerIdentity = identityBy(certificate)
    if (peerIdentity === 'dns' || !proofs.includes('sasl-plain') || password === undefined) return failure('not-authorized')
    const matches = [same(message.username, password.username), same(message.password, password.password)]
    if (matches.includes(false)) return failure('not-authorized')
    return { kind: 'success', evidence: mintEvidence({ proof: 'sasl-plain', pair, flow: 'receive', level: 'sasl-plain', peerIdentity }) }
  }
}

/** Compares digests of equal length, in constant time. */
function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

const MECHANISMS: ReadonlyMap<string, ReceivingMechanism> = new Map([external, plain].map(mechanism => [mechanism.name, mechanism]))

/** What one SASL message led to: the step, and the mechanism where one had been chosen. */
export interface SaslResult {
  readonly step: SaslStep
  readonly mechanism: ReceivingMechanism | undefined
  /** An exchange that was under way and that this `<auth/>` has put an end to: one more try that came to nothing. */
  readonly discarded?: ReceivingMechanism
}

/** The SASL negotiation of one stream, receiving (RFC 6120 §6.4): at most one exchange at a time, a new `<auth/>` discards the old one. */
export class SaslReceiver {
  #exchange: ReceivingMechanism | undefined
  readonly #context: () => SaslContext

  /** @param context asked anew for each message that decides */
  constructor(context: () => SaslContext) {
    this.#context = context
  }

  /** `<auth/>`: without text it asks for an empty challenge first (RFC 6120 §6.4.2). */
  auth(name: string | undefined, text: string): SaslResult {
    const discarded = this.#exchange
    this.#exchange = undefined
    return { ...this.#begin(name, text), ...(discarded === undefined ? {} : { discarded }) }
  }

  /** `<response/>`: none outstanding is malformed. Without text it is as empty as `=`. */
  response(text: string): SaslResult {
    const mechanism = this.#exchange
    this.#exchange = undefined
    if (mechanism === undefined) return { step: failure('malformed-request'), mechanism }
    const data = decodeSasl(text)
    if (data === 'incorrect-encoding') return { step: failure('incorrect-encoding'), mechanism }
    return { step: mechanism.respond(data === 'none' ? Buffer.alloc(0) : data, this.#context()), mechanism }
  }

  /** `<abort/>`. */
  abort(): SaslResult {
    const mechanism = this.#exchange
    this.#exchange = undefined
    return { step: failure('aborted'), mechanism }
  }

  #begin(name: string | undefined, text: string): SaslResult {
    const mechanism = name === undefined ? undefined : MECHANISMS.get(name)
    const context = this.#context()
    if (mechanism?.isFor(context) !== true) return { step: failure('invalid-mechanism'), mechanism: undefined }
    const data = decodeSasl(text)
    if (data === 'incorrect-encoding') return { step: failure('incorrect-encoding'), mechanism }
    if (data !== 'none') return { step: mechanism.respond(data, context), mechanism }
    this.#exchange = mechanism
    return { step: { kind: 'challenge', data: Buffer.alloc(0) }, mechanism }
  }
}

/** What is sent for a step (RFC 6120 §6.4). */
export function saslXml(step: SaslStep): string {
  switch (step.kind) {
    case 'challenge':
      return step.data.length === 0
        ? `<challenge xmlns='${NS_SASL}'/>`
        : `<challenge xmlns='${NS_SASL}'>${encodeSasl(step.data)}</challenge>`
    case 'success':
      return `<success xmlns='${NS_SASL}'/>`
    case 'failure':
      return saslFailureXml(step.condition, step.text)
  }
}

/** `<failure/>` with one condition of RFC 6120 §6.5 and perhaps a sentence. */
export function saslFailureXml(condition: SaslCondition, text?: string): string {
  const sentence = text === undefined ? '' : `<text xml:lang='en'>${escapeText(text)}</text>`
  return `<failure xmlns='${NS_SASL}'><${condition}/>${sentence}</failure>`
}
