import type { FederationError } from '../errors.ts'
import type { Clock } from '../model/plugs.ts'
import type { Decision, Peer, Step } from '../model/policy.ts'
import type { Outcome, PolicyFacts, TraceEntry } from '../model/report.ts'
import { policyFacts } from '../rules/policy-entry.ts'
import type { Observer } from '../observe/observer.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Unplaced<E> = E extends TraceEntry ? Omit<E, 'at' | 'attempt'> : never

/** The facts of one kind of step, still being gathered. */
export type StepFacts<S extends Step> = Writable<Extract<TraceEntry, { step: S }>['facts']>

/** What an entry says beside its step and facts. */
export interface Ending {
  readonly outcome: Outcome
  readonly code: string
  readonly took: number
  readonly message?: string
}

/** An attacker's thousandth refused key teaches nobody anything: a trace stops here, and events go on. */
const MOST_ENTRIES = 100

/** The trace of one incoming stream: what its report keeps, and what its observers are told as it happens. */
export class Trace {
  readonly entries: TraceEntry[] = []
  readonly #id: string
  readonly #clock: Clock
  readonly #observer: Observer
  readonly #peer: () => Peer

  constructor(by: { readonly id: string; readonly clock: Clock; readonly observer: Observer; readonly peer: () => Peer }) {
    this.#id = by.id
    this.#clock = by.clock
    this.#observer = by.observer
    this.#peer = by.peer
  }

  enter<S extends Step>(step: S, facts: StepFacts<S>, ending: Ending): void {
    // The step and the facts belong together by the signature; the union cannot see it.
    this.#add({ ...ending, step, facts: { ...facts } } as unknown as Unplaced<TraceEntry>)
  }

  /** Whether the stream goes both ways. */
  enterBidi(facts: Extract<TraceEntry, { step: 'bidi' }>['facts'], code: string): void {
    this.#add({ step: 'bidi', outcome: code === 'ok' ? 'ok' : 'skipped', code, took: 0, facts })
  }

  /** An answer of the policy, as asked and as it counts. */
  decided<T extends string | readonly string[]>(question: PolicyFacts['question'], decision: Decision<T>): T {
    this.#add({ step: 'policy', outcome: 'ok', code: 'ok', took: 0, facts: policyFacts(question, decision) })
    return decision.answer
  }

  #add(unplaced: Unplaced<TraceEntry>): void {
    const entry: TraceEntry = { ...unplaced, at: this.#clock.now(), attempt: 1 }
    if (this.entries.length < MOST_ENTRIES) this.entries.push(entry)
    this.#observer.emit('negotiation-step', { id: this.#id, peer: this.#peer(), entry })
  }
}

/** What the trace says of a step that ended with an error. */
export function outcomeOf(error: FederationError): 'failed' | 'refused' {
  return error.fault === 'policy' || error.code === 'S2S_DIALBACK_INVALID' || error.code === 'S2S_CERTIFICATE' ? 'refused' : 'failed'
}
