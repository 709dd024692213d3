import type { Prediction } from '../model/report.ts'
import type { Side } from '../model/side.ts'
import { predictSides } from '../rules/predict.ts'
import { objectAt } from '../rules/option-value.ts'
import { complete } from './complete.ts'
import { checkGuards, checkPolicy } from './shape.ts'

/**
 * Where two described servers would end on the ladder, and by which steps, without a socket: the initiator walks up to the receiver
 * through the same rules as the engine. What a side's policy leaves open is answered by the default preset.
 *
 * Assumed are one STARTTLS endpoint and an authoritative server that is the initiator's own listener. An `admit` that answers with a
 * promise is taken as `admit`, and noted.
 *
 * @throws FederationError `S2S_ADDRESS` for a side's domain, `S2S_CONFIG` for a policy or guards that are none
 */
export function predict(initiator: Side, receiver: Side): Prediction {
  return predictSides(completed(initiator, 'initiator'), completed(receiver, 'receiver'))
}

function completed(side: Side, where: string): Side {
  checkPolicy(objectAt(side, `predict: ${where}`)['policy'], `predict: ${where}.policy`)
  if (side.guards !== undefined) checkGuards(side.guards, `predict: ${where}.guards`)
  return { ...side, policy: complete(side.policy) }
}
