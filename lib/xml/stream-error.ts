import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import type { ApplicationCondition, ErrorCode, StanzaErrorType } from '../errors.ts'
import { escapeText } from '../rules/escape.ts'
import { NS_STREAM_ERRORS } from './namespaces.ts'
import { streamErrorXml } from './writer.ts'

const CONDITIONS = new Set([
  'bad-format',
  'bad-namespace-prefix',
  'conflict',
  'connection-timeout',
  'host-gone',
  'host-unknown',
  'improper-addressing',
  'internal-server-error',
  'invalid-from',
  'invalid-namespace',
  'invalid-xml',
  'not-authorized',
  'not-well-formed',
  'policy-violation',
  'remote-connection-failed',
  'reset',
  'resource-constraint',
  'restricted-xml',
  'see-other-host',
  'system-shutdown',
  'undefined-condition',
  'unsupported-encoding',
  'unsupported-feature',
  'unsupported-stanza-type',
  'unsupported-version'
])
/** Names of RFC 3920 that are still seen. */
const SYNONYMS = new Map([['xml-not-well-formed', 'not-well-formed']])
const LATER = new Set([
  'conflict',
  'connection-timeout',
  'internal-server-error',
  'reset',
  'resource-constraint',
  'system-shutdown',
  'see-other-host',
  'remote-connection-failed'
])
const NOT_FOUND: readonly [string, StanzaErrorType] = ['remote-server-not-found', 'cancel']

/**
 * The error that a received `<stream:error/>` stands for (RFC 6120 §4.9). The text is for readers and logs; it never changes what
 * is done. An unknown condition is `undefined-condition`, with its name in the message.
 */
export function receivedStreamError(error: Element): FederationError {
  const child = error.getChildElements().find(each => each.getNS() === NS_STREAM_ERRORS && each.getName() !== 'text')
  const name = child?.getName() ?? 'undefined-condition'
  const known = SYNONYMS.get(name) ?? name
  const condition = CONDITIONS.has(known) ? known : 'undefined-condition'
  const text = error.getChildText('text', NS_STREAM_ERRORS) ?? undefined
  const detail = escapeText(text === undefined || text === '' ? name : `${name}, ${text}`)
  const gone = condition === 'host-unknown' || condition === 'host-gone'
  return new FederationError('S2S_STREAM_ERROR_RECEIVED', {
    detail,
    condition,
    temporary: LATER.has(condition),
    ...(gone ? { bounce: NOT_FOUND } : {}),
    ...(condition === 'see-other-host' && child !== undefined ? { elsewhere: child.getText() } : {})
  })
}

/** The `<stream:error/>` with its closing tag that an error of ours ends a stream with (RFC 6120 §4.9.1). */
export function sentStreamError(error: FederationError, condition: string): string {
  return streamErrorXml(condition, sentenceFor(error), applicationFor(error))
}

/** Only what is about the peer's own doing is told to it: not our policy's reasons, and nothing of our insides. */
const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'S2S_ADDRESS',
  'S2S_LIMIT',
  'S2S_NOT_HOSTED',
  'S2S_NOT_WELL_FORMED',
  'S2S_STREAM_ERROR_SENT',
  'S2S_TIMEOUT'
])

function sentenceFor(error: FederationError): string | undefined {
  if (error.code === 'S2S_CERTIFICATE') return `The certificate is not accepted${error.detail === undefined ? '' : `: ${error.detail}`}`
  return TOLD.has(error.code) ? error.detail : undefined
}

function applicationFor(error: FederationError): ApplicationCondition | undefined {
  if (error.application !== undefined) return error.application
  return error.code === 'S2S_LIMIT' && error.condition === 'stanza-too-big'
    ? { name: 'stanza-too-big', namespace: 'urn:xmpp:errors' }
    : undefined
}
