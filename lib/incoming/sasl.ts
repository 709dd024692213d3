import { saslFailureXml, saslXml } from '../auth/sasl-receiving.ts'
import type { ReceivingMechanism, SaslReceiver, SaslResult } from '../auth/sasl-receiving.ts'
import { FederationError } from '../errors.ts'
import type { SaslCondition } from '../rules/sasl.ts'
import type { ElementFrame } from '../xml/framer.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import type { OpenStream, Stage } from './stage.ts'
import type { StepFacts } from './trace.ts'

/** RFC 6120 §6.4.5 wants two to five tries. */
const MOST_FAILURES = 3

/** One SASL element inside TLS, and what it leads to: after success the stream begins anew (RFC 6120 §6.4.6). */
export function receiveSasl(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Stage | undefined {
  if (n.parts.isLeaving()) throw n.fail('S2S_STOPPED')
  const { step, mechanism, discarded } = respond(frame, open.sasl)
  if (discarded !== undefined) countFailure(stepOf(discarded), { condition: 'aborted' }, n)
  const proof = stepOf(mechanism)
  if (step.kind === 'success') {
    open.stream.restart()
    open.stream.write(saslXml(step))
    n.trace.enter(proof, {}, { outcome: 'ok', code: 'ok', took: 0 })
    return { kind: 'stage', stream: open.stream, tls: open.tls, proved: { evidence: step.evidence, on: open } }
  }
  open.stream.write(saslXml(step))
  if (step.kind === 'failure')
    countFailure(proof, { condition: step.condition, ...(step.text === undefined ? {} : { text: step.text }) }, n)
  return undefined
}

function stepOf(mechanism: ReceivingMechanism | undefined): 'sasl-external' | 'sasl-plain' {
  return mechanism?.proof === 'sasl-plain' ? 'sasl-plain' : 'sasl-external'
}

/** SASL where it is not to be had: in clear. */
export function refuseSasl(condition: SaslCondition, open: OpenStream, n: IncomingNegotiation): void {
  open.stream.write(saslFailureXml(condition))
  countFailure('sasl-external', { condition }, n)
}

function respond(frame: ElementFrame, sasl: SaslReceiver | undefined): SaslResult {
  const element = frame.element()
  if (sasl === undefined || element.getChildElements().length > 0) {
    return { step: { kind: 'failure', condition: 'malformed-request' }, mechanism: undefined }
  }
  if (frame.name === 'abort') return sasl.abort()
  const text = element.getText()
  if (frame.name === 'response') return sasl.response(text)
  const name: unknown = element.attrs['mechanism']
  return sasl.auth(typeof name === 'string' ? name : undefined, text)
}

function countFailure(step: 'sasl-external' | 'sasl-plain', facts: StepFacts<'sasl-external'>, n: IncomingNegotiation): void {
  const condition = facts.condition ?? 'not-authorized'
  const error = new FederationError('S2S_SASL_REFUSED', { condition, detail: facts.text ?? condition, step })
  n.trace.enter(step, facts, { outcome: 'refused', code: error.code, took: 0, message: error.message })
  n.remember(error)
  n.saslFailures += 1
  if (n.saslFailures >= MOST_FAILURES) throw n.refused('policy-violation', 'too many attempts to authenticate')
}
