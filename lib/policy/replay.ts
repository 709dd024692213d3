import type { Guard, Policy } from '../model/policy.ts'
import type { Report } from '../model/report.ts'
import { replayReport } from '../rules/replay.ts'
import type { Replayed } from '../rules/replay.ts'
import { checkReport } from '../rules/stored-report.ts'
import { complete } from './complete.ts'
import { checkGuards, checkPolicy } from './shape.ts'

/**
 * What a recorded negotiation would have done under another policy: from the facts in its report, without a socket. `unknown` names
 * the first fact that would be needed and was never learned; an `admit` that answers with a promise is one (`admit`). What was
 * inferred rather than recorded is in `notes`.
 *
 * @param guards - guards are no part of a report: those to be in force have to be given. The recorded verdicts have the pins of then.
 * @throws FederationError `S2S_CONFIG` for a report, a policy or guards that are none
 */
export function replay(report: Report, policy: Policy, guards: readonly Guard[] = []): Replayed {
  checkReport(report, 'replay: report')
  checkPolicy(policy, 'replay: policy')
  checkGuards(guards, 'replay: guards')
  return replayReport(report, { policy: complete(policy), guards })
}
