import type { Guard, LadderOptions, Peer, Policy } from '../model/policy.ts'
import { isThenable } from '../model/thenable.ts'
import { readPatterns } from '../rules/domain-patterns.ts'
import type { DomainPatterns } from '../rules/domain-patterns.ts'
import { answersAll, changedPolicy, layersOf, rememberMaking } from '../rules/layers.ts'
import { objectAt, unusable } from '../rules/option-value.ts'
import { checkGuard, checkPolicy } from './shape.ts'

/**
 * Several policies as one: the first that answers a question wins. Overrides go first; a preset answers everything and goes last.
 * Where no layer is a preset, the default preset answers the rest.
 *
 * @throws FederationError `S2S_CONFIG` without a policy, and for what is none, such as a guard: guards have their own option
 */
export function layer(...policies: readonly Policy[]): Policy {
  for (const [index, policy] of policies.entries()) checkPolicy(policy, `layer: policies[${index}]`)
  const [first, ...others] = policies
  if (first === undefined) throw unusable('layer: policies', 'is empty: there has to be at least one')
  if (others.length === 0) return first
  const layers = policies.flatMap(layersOf)
  const layered = Object.freeze({
    kind: 'policy' as const,
    name: layers.map(each => each.name ?? 'policy').join(' over '),
    ...firstOf(layers)
  })
  return rememberMaking(layered, { layers, answersAll: policies.some(answersAll), changed: change => changedLayers(policies, change) })
}

/** The layers as one object that can be asked without the library: each question of each layer, in order. */
function firstOf(
  layers: readonly Policy[]
): Required<Pick<Policy, 'admit' | 'tls' | 'certificate' | 'proofs' | 'afterFailure' | 'minimumLevel'>> {
  return {
    admit: peer => firstAdmission(layers, peer),
    tls: peer => first(layers, each => each.tls?.(peer)),
    certificate: (peer, verdict) => first(layers, each => each.certificate?.(peer, verdict)),
    proofs: (peer, encrypted, use) => first(layers, each => each.proofs?.(peer, encrypted, use)),
    afterFailure: (peer, failed) => first(layers, each => each.afterFailure?.(peer, failed)),
    minimumLevel: peer => first(layers, each => each.minimumLevel?.(peer))
  }
}

function first<T>(layers: readonly Policy[], ask: (layer: Policy) => T | undefined): T | undefined {
  for (const each of layers) {
    const answer = ask(each)
    if (answer !== undefined) return answer
  }
  return undefined
}

function firstAdmission(layers: readonly Policy[], peer: Peer): ReturnType<NonNullable<Policy['admit']>> {
  for (const [index, each] of layers.entries()) {
    const answer = each.admit?.(peer)
    if (isThenable(answer)) return Promise.resolve(answer).then(settled => settled ?? firstAdmission(layers.slice(index + 1), peer))
    if (answer !== undefined) return answer
  }
  return undefined
}

function changedLayers(policies: readonly Policy[], change: LadderOptions): Policy | undefined {
  const changed = policies.map(policy => changedPolicy(policy, change))
  return changed.every(each => each === undefined) ? undefined : layer(...policies.map((policy, index) => changed[index] ?? policy))
}

/**
 * A policy or guard for some remote domains only: `capulet.example` is that domain, `*.capulet.example` every domain below it, `*`
 * every domain.
 *
 * While an incoming peer has not named itself, a scoped policy answers nothing, and a scoped guard objects only where its patterns
 * have `*`. Nothing is lost by that: nobody is accepted without a name, and with the name every question is asked again.
 *
 * @throws FederationError `S2S_CONFIG` for a bad pattern, and for what is neither policy nor guard
 */
export function forDomains(patterns: readonly string[], policy: Policy): Policy
export function forDomains(patterns: readonly string[], guard: Guard): Guard
export function forDomains(patterns: readonly string[], scoped: Policy | Guard): Policy | Guard {
  const domains = readPatterns(patterns, 'forDomains: patterns')
  if (objectAt(scoped, 'forDomains: policy', 'a policy or a guard')['kind'] === 'guard') checkGuard(scoped, 'forDomains: guard')
  else checkPolicy(scoped, 'forDomains: policy')
  return scoped.kind === 'guard' ? scopedGuard(domains, scoped) : scopedPolicy(domains, patterns, scoped)
}

function scopedPolicy(domains: DomainPatterns, patterns: readonly string[], policy: Policy): Policy {
  const isMeant = (peer: Peer): boolean => peer.remote !== undefined && domains.matches(peer.remote)
  const layers = layersOf(policy).map(each => scopedLayer(isMeant, each))
  const scoped = Object.freeze({ kind: 'policy' as const, name: policy.name ?? 'policy', ...firstOf(layers) })
  return rememberMaking(scoped, {
    layers,
    answersAll: false,
    changed: change => {
      const changed = changedPolicy(policy, change)
      return changed === undefined ? undefined : forDomains(patterns, changed)
    }
  })
}

function scopedLayer(isMeant: (peer: Peer) => boolean, policy: Policy): Policy {
  return Object.freeze({
    kind: 'policy' as const,
    name: policy.name ?? 'policy',
    admit: peer => (isMeant(peer) ? policy.admit?.(peer) : undefined),
    tls: peer => (isMeant(peer) ? policy.tls?.(peer) : undefined),
    certificate: (peer, verdict) => (isMeant(peer) ? policy.certificate?.(peer, verdict) : undefined),
    proofs: (peer, encrypted, use) => (isMeant(peer) ? policy.proofs?.(peer, encrypted, use) : undefined),
    afterFailure: (peer, failed) => (isMeant(peer) ? policy.afterFailure?.(peer, failed) : undefined),
    minimumLevel: peer => (isMeant(peer) ? policy.minimumLevel?.(peer) : undefined)
  } satisfies Policy)
}

/** A guard for the domains that the patterns name, and for nobody else. */
export function scopedGuard(domains: DomainPatterns, guard: Guard): Guard {
  const isMeant = (peer: Peer): boolean => (peer.remote === undefined ? domains.everybody : domains.matches(peer.remote))
  return Object.freeze({
    kind: 'guard' as const,
    name: guard.name,
    pins: peer => (isMeant(peer) ? guard.pins?.(peer) : undefined),
    admit: peer => (isMeant(peer) ? guard.admit?.(peer) : undefined),
    tls: peer => (isMeant(peer) ? guard.tls?.(peer) : undefined),
    certificate: (peer, verdict) => (isMeant(peer) ? guard.certificate?.(peer, verdict) : undefined),
    plain: peer => (isMeant(peer) ? guard.plain?.(peer) : undefined),
    minimumLevel: peer => (isMeant(peer) ? guard.minimumLevel?.(peer) : undefined),
    learn: status => {
      if (domains.matches(status.flow === 'send' ? status.pair.target : status.pair.sender)) guard.learn?.(status)
    }
  } satisfies Guard)
}
