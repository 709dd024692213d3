import type { Policy } from '../model/policy.ts'
import { answersAll } from '../rules/layers.ts'
import { layer } from './layer.ts'
import { policies } from './presets.ts'

/** A policy that answers every question: what is left open is answered by the default preset, `ladder`. */
export function complete(policy: Policy | undefined): Policy {
  if (policy === undefined) return policies.ladder()
  return answersAll(policy) ? policy : layer(policy, policies.ladder())
}
