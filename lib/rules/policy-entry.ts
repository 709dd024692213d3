import type { Decision } from '../model/policy.ts'
import type { PolicyFacts } from '../model/report.ts'

/** A decision as the trace has it: what was asked, what was answered and counts, by whom and why. */
export function policyFacts(question: PolicyFacts['question'], decision: Decision<string | readonly string[]>): PolicyFacts {
  const { answer, asked, by, because } = decision
  return {
    question,
    answer: String(answer),
    ...(asked === undefined ? {} : { asked: String(asked) }),
    by,
    ...(because === undefined ? {} : { because })
  }
}
