import type { Report } from '../../lib/model/report.ts'
import type { Prediction } from '../../lib/model/report.ts'
import type { Side } from '../../lib/model/side.ts'
import { outgoingPeer, readSide } from '../../lib/rules/described-side.ts'

/** The report that an engine would have made of what was predicted. */
export function reportOf(prediction: Prediction, initiator: Side, receiver: Side): Report {
  const us = readSide(initiator, 'initiator')
  const them = readSide(receiver, 'receiver')
  return {
    schema: 1,
    peer: outgoingPeer(us, them, 'stanzas'),
    policy: { name: initiator.policy.name ?? 'policy', options: initiator.policy.options },
    startedAt: 0,
    endedAt: 0,
    level: prediction.level,
    endpoint: undefined,
    pairs: [],
    trace: prediction.steps,
    downgrades: [],
    error: undefined,
    alternatives: []
  }
}
