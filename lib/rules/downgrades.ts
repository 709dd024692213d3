import type { SecurityLevel } from '../model/level.ts'
import type { Downgrade, TraceEntry } from '../model/report.ts'
import { describeProblems } from './sentences.ts'

const SKIPPED: Readonly<Record<string, string>> = {
  'not-offered': 'the peer does not offer SASL EXTERNAL',
  'own-certificate': 'our own certificate cannot authenticate us',
  'failed-before': 'SASL EXTERNAL failed on the connection before',
  'below-floor': 'SASL EXTERNAL is below the minimum level',
  policy: 'policy does not want SASL EXTERNAL',
  'policy-never': 'policy does not want TLS',
  'tls-not-offered': 'the peer does not offer TLS'
}

/**
 * The steps down the ladder that led to a level, each with its reason, read from the trace: what the downgrade event, the log
 * warning and the report say.
 */
export function downgradesOf(trace: readonly TraceEntry[], level: SecurityLevel): readonly Downgrade[] {
  if (level === 'sasl-external') return []
  if (level === 'plain-dialback') return [{ from: 'sasl-external', to: level, because: whyInClear(trace) }]
  return [{ from: 'sasl-external', to: level, because: whyWithoutExternal(trace) }]
}

function whyWithoutExternal(trace: readonly TraceEntry[]): string {
  const last = Math.max(...trace.map(entry => entry.attempt))
  const external = trace.findLast(entry => entry.step === 'sasl-external')
  if (external !== undefined && external.outcome !== 'skipped' && external.outcome !== 'absent')
    return external.message ?? 'SASL EXTERNAL was refused'
  const judged = trace.find(entry => entry.attempt === last && entry.step === 'check-certificate')
  if (judged?.step === 'check-certificate' && judged.facts.use !== 'authenticate')
    return `the certificate of the peer is ${describeProblems(judged.facts.verdict)}`
  return SKIPPED[external?.code ?? ''] ?? 'SASL EXTERNAL was not tried'
}

function whyInClear(trace: readonly TraceEntry[]): string {
  const failed = trace.find(
    entry =>
      (entry.step === 'negotiate-tls' || entry.step === 'check-certificate' || entry.code === 'S2S_CERTIFICATE_REFUSED') &&
      (entry.outcome === 'failed' || entry.outcome === 'refused')
  )
  if (failed?.message !== undefined) return failed.message
  const skipped = trace.findLast(entry => entry.step === 'negotiate-tls' && (entry.outcome === 'skipped' || entry.outcome === 'absent'))
  return SKIPPED[skipped?.code ?? ''] ?? 'TLS was not negotiated'
}
