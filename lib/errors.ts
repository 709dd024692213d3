import type { DomainPair } from './model/domain.ts'
import type { Step } from './model/policy.ts'

/** The closed set of what can go wrong. */
export type ErrorCode = keyof typeof ERRORS

/** Whose fault it is: ours, the peer's, the network's between, a policy's, or the caller's of the engine. */
export type Fault = 'us' | 'peer' | 'network' | 'policy' | 'caller'

/** RFC 6120 §8.3.2: what the sender of a bounced stanza may do: nothing, try later, authenticate, change it. */
export type StanzaErrorType = 'cancel' | 'wait' | 'auth' | 'modify'

/** What follows from a code, for every error that has it. */
export interface ErrorRow {
  readonly fault: Fault
  readonly temporary: boolean
  /** RFC 6120 §8.3.3 condition and type for a stanza that could not be sent because of it. */
  readonly bounce: readonly [condition: string, type: StanzaErrorType]
  /** RFC 6120 §4.9.3 condition for the stream it happened on; undefined: the stream is closed without one. */
  readonly stream: string | undefined
  readonly sentence: string
}

const row = (
  fault: Fault,
  temporary: boolean,
  condition: string,
  type: StanzaErrorType,
  stream: string | undefined,
  sentence: string
): ErrorRow => ({ fault, temporary, bounce: [condition, type], stream, sentence })

/** One table from code to everything that follows from it (RFC 6120 §4.9, §8.3; XEP-0220 §2.5). */
export const ERRORS = {
  S2S_CONFIG: row('caller', false, 'internal-server-error', 'cancel', undefined, 'An option is not usable'),
  S2S_ADDRESS: row('caller', false, 'jid-malformed', 'modify', 'improper-addressing', 'An address is missing or malformed'),
  S2S_NOT_HOSTED: row('caller', false, 'not-allowed', 'cancel', 'host-gone', 'The sender is not of a domain that is hosted here'),
  S2S_LOCAL_DOMAIN: row(
    'caller',
    false,
    'not-allowed',
    'cancel',
    'policy-violation',
    'Both domains are hosted here; the stanza belongs to local delivery'
  ),
  S2S_DNS_FAILED: row(
    'network',
    true,
    'remote-server-timeout',
    'wait',
    undefined,
    'The DNS lookup failed, which is not the same as finding nothing'
  ),
  S2S_DNS_NO_SERVICE: row('peer', false, 'remote-server-not-found', 'cancel', undefined, 'DNS has no server for the domain'),
  S2S_DNS_SERVICE_REFUSED: row(
    'peer',
    false,
    'remote-server-not-found',
    'cancel',
    undefined,
    'The domain says in DNS that it offers no federation'
  ),
  S2S_DNS_FORBIDDEN_ADDRESS: row(
    'policy',
    false,
    'remote-server-not-found',
    'cancel',
    undefined,
    'DNS points only to addresses that are not dialled (allowPrivateAddresses)'
  ),
  S2S_CONNECT_FAILED: row('network', true, 'remote-server-timeout', 'wait', undefined, 'No address of the server accepted a connection'),
  S2S_TIMEOUT: row('network', true, 'remote-server-timeout', 'wait', 'connection-timeout', 'The peer took too long'),
  S2S_ABORTED: row('caller', true, 'remote-server-timeout', 'wait', undefined, 'The negotiation was called off'),
  S2S_STOPPED: row('us', true, 'remote-server-timeout', 'wait', 'system-shutdown', 'The federation engine was stopped'),
  S2S_TLS_NOT_OFFERED: row('peer', false, 'remote-server-timeout', 'wait', 'policy-violation', 'The peer does not offer TLS'),
  S2S_TLS_REFUSED: row('peer', true, 'remote-server-timeout', 'wait', undefined, 'The peer refused STARTTLS'),
  S2S_TLS_HANDSHAKE: row('peer', true, 'remote-server-timeout', 'wait', undefined, 'The TLS handshake failed'),
  S2S_TLS_INJECTION: row('peer', false, 'remote-server-timeout', 'wait', undefined, 'Bytes arrived in clear where TLS had to begin'),
  S2S_CERTIFICATE: row('peer', false, 'remote-server-timeout', 'wait', 'not-authorized', 'The certificate of the peer is not accepted'),
  S2S_CERTIFICATE_REFUSED: row('peer', false, 'remote-server-timeout', 'wait', undefined, 'The peer refused us because of our certificate'),
  S2S_SASL_NOT_OFFERED: row('peer', false, 'remote-server-timeout', 'wait', undefined, 'The peer does not offer the SASL mechanism'),
  S2S_SASL_REFUSED: row('peer', false, 'remote-server-timeout', 'wait', 'not-authorized', 'SASL authentication was refused'),
  S2S_DIALBACK_INVALID: row('peer', false, 'internal-server-error', 'cancel', 'not-authorized', 'Dialback did not confirm the key'),
  S2S_DIALBACK_ERROR: row('peer', true, 'remote-server-timeout', 'wait', undefined, 'Dialback could not be carried out'),
  S2S_NO_PROOF_LEFT: row(
    'policy',
    false,
    'remote-server-timeout',
    'wait',
    'policy-violation',
    'No proof of identity that both sides allow is left'
  ),
  S2S_BELOW_FLOOR: row(
    'policy',
    false,
    'remote-server-timeout',
    'wait',
    'policy-violation',
    'The level reached is below the minimum level'
  ),
  S2S_STREAM_ERROR_RECEIVED: row('peer', true, 'remote-server-timeout', 'wait', undefined, 'The peer ended the stream with an error'),
  S2S_STREAM_ERROR_SENT: row(
    'peer',
    false,
    'remote-server-timeout',
    'wait',
    undefined,
    'The stream was ended with an error because of what the peer sent'
  ),
  S2S_STREAM_CLOSED: row('network', true, 'remote-server-timeout', 'wait', undefined, 'The stream ended'),
  S2S_NOT_WELL_FORMED: row('peer', false, 'remote-server-timeout', 'wait', 'not-well-formed', 'The peer sent what is not XMPP'),
  S2S_POLICY: row('policy', false, 'not-allowed', 'cancel', 'policy-violation', 'Policy refuses the peer'),
  S2S_LIMIT: row('peer', true, 'resource-constraint', 'wait', 'policy-violation', 'A limit was reached'),
  S2S_QUEUE_FULL: row('us', true, 'resource-constraint', 'wait', 'resource-constraint', 'The queue for the domain pair is full'),
  S2S_KEY_STORE: row('us', true, 'resource-constraint', 'wait', 'internal-server-error', 'Our own credentials could not be had'),
  S2S_BUSY: row('us', true, 'resource-constraint', 'wait', 'resource-constraint', 'The engine has as much under way as it may'),
  S2S_TOO_LARGE: row('caller', false, 'policy-violation', 'modify', undefined, 'The stanza is too large'),
  S2S_IN_DOUBT: row(
    'network',
    true,
    'remote-server-timeout',
    'wait',
    undefined,
    'The stream broke after the stanza was written; it may or may not have arrived'
  ),
  S2S_INTERNAL: row('us', false, 'internal-server-error', 'cancel', 'internal-server-error', 'The engine made a mistake')
} as const satisfies Readonly<Record<string, ErrorRow>>

/** An application-specific condition of a stream error (RFC 6120 §4.9.4): an empty element. */
export interface ApplicationCondition {
  readonly name: string
  readonly namespace: string
  readonly attributes?: Readonly<Record<string, string>>
}

/** What a code alone does not say. */
export interface ErrorDetails {
  /** One clause for a stranger, after the code's own sentence: "took 10000 ms". Peers' text in it is escaped. */
  readonly detail?: string
  readonly step?: Step
  readonly pair?: DomainPair
  readonly cause?: unknown
  /** The condition that the peer gave, or that we sent: SASL, dialback, or stream error. */
  readonly condition?: string
  /** Where the bounce is another than the table's (RFC 6120 §8.3.3), such as after `host-unknown`. */
  readonly bounce?: readonly [condition: string, type: StanzaErrorType]
  /** Where the stream error to send is another than the table's. */
  readonly stream?: string
  /** Where the peer says to go instead (RFC 6120 §4.9.3.19), as it came. */
  readonly elsewhere?: string
  /** What the stream error says beside its condition. */
  readonly application?: ApplicationCondition
  readonly temporary?: boolean
}

const MARK = Symbol.for('xmpp-federation.FederationError')

/**
 * The one error of the engine. Match on `code`; ask {@link FederationError.is} rather than `instanceof`, which fails across
 * two copies of the package.
 */
export class FederationError extends Error {
  override readonly name = 'FederationError'
  readonly code: ErrorCode
  readonly fault: Fault
  /** Whether a later try may end otherwise without anyone changing anything. */
  readonly temporary: boolean
  readonly step: Step | undefined
  readonly pair: DomainPair | undefined
  /** The condition that the peer gave, or that we sent. */
  readonly condition: string | undefined
  /** RFC 6120 §8.3.3, for bouncing a stanza. */
  readonly stanzaCondition: string
  readonly stanzaErrorType: StanzaErrorType
  /** RFC 6120 §4.9.3, for ending the stream; undefined: it is closed without an error. */
  readonly streamCondition: string | undefined
  /** With `see-other-host`: where the peer says to go instead, as it came. */
  readonly elsewhere: string | undefined
  /** RFC 6120 §4.9.4, beside `streamCondition`. */
  readonly application: ApplicationCondition | undefined
  /** The code's own sentence, without the details of this case: what may be told to strangers. */
  readonly summary: string
  /** The clause after the code's own sentence. */
  readonly detail: string | undefined
  readonly [MARK] = true

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const facts: ErrorRow = ERRORS[code]
    super(details.detail === undefined ? `${facts.sentence}.` : `${facts.sentence}: ${details.detail}.`, { cause: details.cause })
    this.code = code
    this.fault = facts.fault
    this.temporary = details.temporary ?? facts.temporary
    this.step = details.step
    this.pair = details.pair
    this.condition = details.condition
    const [condition, type] = details.bounce ?? facts.bounce
    this.stanzaCondition = condition
    this.stanzaErrorType = type
    this.streamCondition = details.stream ?? facts.stream
    this.application = details.application
    this.elsewhere = details.elsewhere
    this.summary = `${facts.sentence}.`
    this.detail = details.detail
  }

  /** What `JSON.stringify` makes of it: what there is to tell, the sentence included, and no stack. */
  toJSON(): Readonly<Record<string, unknown>> {
    const { name, code, message, fault, temporary, step, pair, condition } = this
    return { name, code, message, fault, temporary, step, pair, condition }
  }

  /** The same error, saying where it happened; what it already says of that stays. */
  located(where: { readonly step?: Step; readonly pair?: DomainPair }): FederationError {
    const step = this.step ?? where.step
    const pair = this.pair ?? where.pair
    if (step === this.step && pair === this.pair) return this
    return this.#again({ ...(step === undefined ? {} : { step }), ...(pair === undefined ? {} : { pair }) })
  }

  /** The same error, where a later try may end otherwise without anyone changing anything. */
  asTemporary(): FederationError {
    return this.temporary ? this : this.#again({ temporary: true })
  }

  #again(changed: Pick<ErrorDetails, 'step' | 'pair' | 'temporary'>): FederationError {
    const { detail, condition, step, pair, cause, temporary, streamCondition, application, elsewhere } = this
    return new FederationError(this.code, {
      ...(detail === undefined ? {} : { detail }),
      ...(condition === undefined ? {} : { condition }),
      ...(step === undefined ? {} : { step }),
      ...(pair === undefined ? {} : { pair }),
      ...(streamCondition === undefined ? {} : { stream: streamCondition }),
      ...(application === undefined ? {} : { application }),
      ...(elsewhere === undefined ? {} : { elsewhere }),
      bounce: [this.stanzaCondition, this.stanzaErrorType],
      temporary,
      cause,
      ...changed
    })
  }

  /** Whether a value is an error of this engine, from whichever copy of the package. */
  static is(value: unknown): value is FederationError {
    return typeof value === 'object' && value !== null && MARK in value
  }

  /** The error itself, or an `S2S_INTERNAL` around anything else: nothing of ours throws strangers at callers. */
  static from(value: unknown): FederationError {
    return FederationError.is(value)
      ? value
      : new FederationError('S2S_INTERNAL', { detail: value instanceof Error ? value.message : String(value), cause: value })
  }
}
