import type { LadderOptions, Policy } from '../model/policy.ts'
import { rememberMaking } from '../rules/layers.ts'
import { readOptions } from './options.ts'
import { ladderAnswers, openfire36Answers } from './preset-answers.ts'
import type { PresetOptions } from './preset-answers.ts'

const LADDER: PresetOptions = {
  tls: 'when-offered',
  invalidCertificate: 'reconnect-plain',
  acceptSelfSigned: false,
  external: true,
  dialback: 'always',
  verification: 'when-offered',
  minimumLevel: 'plain-dialback'
}

const ENCRYPTED: PresetOptions = {
  tls: 'required',
  invalidCertificate: 'encrypt-only',
  acceptSelfSigned: true,
  external: true,
  dialback: 'over-tls',
  verification: 'required',
  minimumLevel: 'tls-dialback'
}

const STRICT: PresetOptions = {
  tls: 'required',
  invalidCertificate: 'abort',
  acceptSelfSigned: false,
  external: true,
  dialback: 'never',
  verification: 'required',
  minimumLevel: 'sasl-external'
}

const OPENFIRE36_KEYS = ['tls', 'dialback', 'acceptSelfSigned'] as const

/** The options that `openfire36` takes; the rest of it is the document's. */
export type Openfire36Options = Pick<LadderOptions, (typeof OPENFIRE36_KEYS)[number]>

function ladder(options: LadderOptions = {}): Policy {
  return preset('ladder', readOptions('ladder', options, LADDER), ladderAnswers, ladder)
}

function openfire36(options: Openfire36Options = {}): Policy {
  return preset('openfire36', readOptions('openfire36', options, LADDER, OPENFIRE36_KEYS), openfire36Answers, openfire36, OPENFIRE36_KEYS)
}

function encrypted(options: LadderOptions = {}): Policy {
  return preset('encrypted', readOptions('encrypted', options, ENCRYPTED), ladderAnswers, encrypted)
}

function strict(options: LadderOptions = {}): Policy {
  return preset('strict', readOptions('strict', options, STRICT), ladderAnswers, strict)
}

/**
 * The ready-made policies. Each answers every question, so that in `layer` it goes last; options change single answers.
 *
 * All of them throw FederationError `S2S_CONFIG` for an option that is unknown or has a value it does not take, naming it.
 */
export const policies = {
  /**
   * May end unencrypted: SASL EXTERNAL over verified TLS, else dialback over TLS, else dialback in clear, as far down as the peer
   * makes necessary. The default. A certificate that does not verify ends TLS, and dialback in clear is tried unless either side
   * requires TLS; `invalidCertificate: 'encrypt-only'` keeps such links encrypted, `'abort'` gives them up.
   */
  ladder,

  /**
   * May end unencrypted: the Openfire 3.6.0 federation document to the letter, sixteen rows of it. For peers and tests that expect
   * exactly that. Takes `tls`, `dialback` and `acceptSelfSigned` only.
   */
  openfire36,

  /** TLS always (RFC 7590 §3). A certificate that does not verify encrypts, dialback over TLS proves; verification over TLS too. */
  encrypted,

  /** TLS, a verified certificate on both sides and SASL EXTERNAL, or no link. */
  strict
} as const

function preset(
  name: string,
  options: PresetOptions,
  answers: (options: PresetOptions) => Omit<Policy, 'kind' | 'name' | 'options'>,
  remake: (options: LadderOptions) => Policy,
  keys: readonly (keyof LadderOptions)[] = [
    'tls',
    'invalidCertificate',
    'acceptSelfSigned',
    'external',
    'dialback',
    'verification',
    'minimumLevel'
  ]
): Policy {
  const own = Object.freeze(Object.fromEntries(keys.map(key => [key, options[key]]))) as LadderOptions
  return rememberMaking(Object.freeze({ kind: 'policy', name, options: own, ...answers(options) }), {
    answersAll: true,
    changed: change => (Object.keys(change).every(key => key in own) ? remake({ ...own, ...change }) : undefined)
  })
}
