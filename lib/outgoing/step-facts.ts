import { MISSING_CERTIFICATE } from '../model/certificate.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Step } from '../model/policy.ts'
import type { TraceEntry } from '../model/report.ts'
import type { Negotiation } from './negotiation.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** The facts of one kind of step, still being gathered. */
export type StepFacts<S extends Step> = Writable<Extract<TraceEntry, { step: S }>['facts']>

type AllFacts = { [S in Step]: StepFacts<S> }

const NOWHERE: Endpoint = { host: '', port: 0, tls: 'starttls', source: 'fallback' }

/** What is known of a step before it began: what its trace entry says when it fails at once. */
export function emptyFacts<S extends Step>(step: S, n: Negotiation): AllFacts[S] {
  const { encrypted, tlsRequiredByPeer } = n.position
  const all: AllFacts = {
    resolve: { endpoints: [], failures: [] },
    connect: { endpoint: n.attempt?.endpoint ?? NOWHERE, encryption: n.attempt?.encryption ?? 'per-policy' },
    'open-stream': { encrypted },
    'negotiate-tls': { requiredByPeer: tlsRequiredByPeer },
    'check-certificate': { verdict: MISSING_CERTIFICATE, ours: n.peer.ours },
    'sasl-external': {},
    'sasl-plain': {},
    dialback: { encrypted, pair: n.pair },
    establish: {}
  }
  return all[step]
}

/** A trace entry from its two halves. The pairing of step and facts is what `StepFacts` proves at every call. */
export function factsAsEntry<S extends Step>(step: S, facts: StepFacts<S>, rest: Omit<TraceEntry, 'step' | 'facts'>): TraceEntry {
  return { ...rest, step, facts: { ...facts } } as unknown as TraceEntry
}
