import type { Prediction } from '../model/report.ts'
import type { Side } from '../model/side.ts'
import { predictSides } from '../rules/predict.ts'
import { complete } from './complete.ts'

/**
 * Where two described servers would end on the ladder, and by which steps, without a socket: the initiator walks up to the receiver
 * through the same rules as the engine. What a side's policy leaves open is answered by the default preset.
 *
 * Assumed are one STARTTLS endpoint and an authoritative server that is the initiator's own listener. An `admit` that answers with a
 * promise is taken as `admit`, and noted.
 *
 * @throws FederationError `S2S_ADDRESS` for a side's domain
 */
export function predict(initiator: Side, receiver: Side): Prediction {
  return predictSides(completed(initiator), completed(receiver))
}

function completed(side: Side): Side {
  return { ...side, policy: complete(side.policy) }
}
