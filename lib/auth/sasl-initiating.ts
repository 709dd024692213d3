import { Mechanism as PlainMechanism } from 'sasl-plain'
import { Factory } from 'saslmechanisms'
import { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { PairStatus } from '../model/report.ts'
import type { Password } from '../model/settings.ts'
import { escapeText } from '../rules/escape.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_SASL } from '../xml/namespaces.ts'
import type { XmlStream } from '../xml/stream.ts'
import { escapeAttribute } from '../xml/writer.ts'
import { mintEvidence } from './evidence.ts'
import type { Evidence } from './evidence.ts'

/** What the initiating mechanisms of S2S need to answer with. */
interface SaslCredentials {
  readonly authzid: string
  readonly username: string
  readonly password: string
}

/**
 * SASL EXTERNAL, initiating half (RFC 4422 appendix A, XEP-0178). `saslmechanisms` reads the name from the prototype, where a
 * class field would not put it: hence the accessor.
 */
class ExternalMechanism {
  get name(): string {
    return 'EXTERNAL'
  }

  response(credentials: SaslCredentials): string {
    return credentials.authzid
  }

  challenge(): void {
    // An EXTERNAL challenge carries nothing.
  }
}

type MechanismName = 'EXTERNAL' | 'PLAIN'

const factory = new Factory()
factory.use('EXTERNAL', ExternalMechanism)
factory.use('PLAIN', PlainMechanism)

export interface SaslRequest {
  readonly pair: DomainPair
  /** Only a certificate that authenticates the peer ever leads here. */
  readonly peerIdentity: Exclude<PairStatus['peerIdentity'], 'dns'>
  readonly password?: Password
}

/** What the peer said no with, for the trace. */
export interface SaslRefusal {
  condition?: string
  text?: string
}

const CONDITIONS = new Set([
  'aborted',
  'account-disabled',
  'credentials-expired',
  'encryption-required',
  'incorrect-encoding',
  'invalid-authzid',
  'invalid-mechanism',
  'malformed-request',
  'mechanism-too-weak',
  'not-authorized',
  'temporary-auth-failure'
])

/**
 * Proves the sender domain by SASL (RFC 6120 §6). EXTERNAL names the sender domain, which old peers insist on, and after
 * `invalid-authzid` once more nothing at all.
 *
 * @returns evidence, or the refusal, after which the stream lives on
 */
export async function proveBySasl(
  mechanism: MechanismName,
  stream: XmlStream,
  request: SaslRequest,
  facts: SaslRefusal
): Promise<Evidence | FederationError> {
  const refused = await exchange(mechanism, stream, credentialsOf(request), facts)
  if (refused?.condition === 'invalid-authzid' && mechanism === 'EXTERNAL') {
    const again = await exchange(mechanism, stream, { authzid: '', username: '', password: '' }, facts)
    return again ?? minted(mechanism, request)
  }
  return refused ?? minted(mechanism, request)
}

function minted(mechanism: MechanismName, { pair, peerIdentity }: SaslRequest): Evidence {
  const proof = mechanism === 'EXTERNAL' ? 'sasl-external' : 'sasl-plain'
  return mintEvidence({ proof, pair, flow: 'send', level: proof, peerIdentity })
}

function credentialsOf({ pair, password }: SaslRequest): SaslCredentials {
  if (password === undefined) return { authzid: pair.sender, username: '', password: '' }
  return { authzid: '', username: password.username, password: password.password }
}

async function exchange(
  name: MechanismName,
  stream: XmlStream,
  credentials: SaslCredentials,
  facts: SaslRefusal
): Promise<FederationError | undefined> {
  const mechanism = factory.create([name])
  if (mechanism === null) throw new FederationError('S2S_INTERNAL', { detail: `no initiating mechanism ${name}` })
  const response = mechanism.response({ ...credentials })
  stream.write(`<auth xmlns='${NS_SASL}' mechanism='${escapeAttribute(name)}'>${encoded(response)}</auth>`)
  for (;;) {
    const frame = await stream.read()
    if (frame.kind === 'close') throw new FederationError('S2S_STREAM_CLOSED', { detail: `the peer closed the stream after ${name}` })
    if (frame.namespace !== NS_SASL) throw unexpected(frame)
    if (frame.name === 'success') return undefined
    if (frame.name === 'failure') return refusal(frame, name, facts)
    if (frame.name !== 'challenge') throw unexpected(frame)
    stream.write(`<response xmlns='${NS_SASL}'>${encoded(response)}</response>`)
  }
}

/** RFC 6120 §6.4.2: a single `=` is the empty response; nothing at all would be no response. */
function encoded(response: string): string {
  return response === '' ? '=' : Buffer.from(response, 'utf8').toString('base64')
}

function refusal(frame: ElementFrame, mechanism: string, facts: SaslRefusal): FederationError {
  const failure = frame.element()
  const child = failure.getChildElements().find(each => each.getName() !== 'text')
  const name = child?.getName() ?? 'not-authorized'
  const condition = CONDITIONS.has(name) ? name : 'not-authorized'
  const text = failure.getChildText('text') ?? ''
  facts.condition = condition
  if (text !== '') facts.text = escapeText(text)
  const detail = `${mechanism}, ${escapeText(text === '' ? name : `${name}, ${text}`)}`
  return new FederationError('S2S_SASL_REFUSED', { detail, condition, temporary: condition === 'temporary-auth-failure' })
}

function unexpected(frame: ElementFrame): FederationError {
  return new FederationError('S2S_STREAM_ERROR_SENT', {
    detail: `<${escapeText(frame.name)}/> where an answer to <auth/> had to be`,
    condition: 'unsupported-stanza-type',
    stream: 'unsupported-stanza-type'
  })
}
