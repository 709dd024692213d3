import type { LadderOptions, Policy } from '../model/policy.ts'

/** What is known of a policy that this library made. A policy object that somebody copied or wrote is not known, and is asked as it is. */
interface Making {
  /** The policies it was layered of, in the order they are asked; none of them layered itself. */
  readonly layers?: readonly Policy[]
  /** Whether it answers every question. */
  readonly answersAll: boolean
  /** The same policy with options of the presets in it changed. */
  readonly changed?: (change: LadderOptions) => Policy | undefined
}

const makings = new WeakMap<Policy, Making>()

/** Remembers how a policy was made. Kept beside the object, so that a copy with a question overridden is asked itself. */
export function rememberMaking(policy: Policy, making: Making): Policy {
  makings.set(policy, making)
  return policy
}

/** The policies to ask, one after another, until one answers. */
export function layersOf(policy: Policy): readonly Policy[] {
  return makings.get(policy)?.layers ?? [policy]
}

/** Whether a policy is known to answer every question. */
export function answersAll(policy: Policy): boolean {
  return makings.get(policy)?.answersAll ?? false
}

/** The same policy with options of the presets in it changed; undefined where no preset in it has such an option. */
export function changedPolicy(policy: Policy, change: LadderOptions): Policy | undefined {
  return makings.get(policy)?.changed?.(change)
}
