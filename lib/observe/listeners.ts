import type { FederationEvents } from '../model/events.ts'
import { hearRejection } from './rejection.ts'

type Listener<E extends keyof FederationEvents> = (detail: FederationEvents[E]) => unknown

/**
 * The typed listeners of one engine. Unlike `EventEmitter`, one listener that throws keeps no other from being called, and
 * one that returns a rejected promise ends no process; both are told to `failed`.
 */
export class Listeners {
  readonly #lists: { [E in keyof FederationEvents]?: Set<Listener<E>> } = {}
  readonly #failed: (event: keyof FederationEvents, error: unknown) => void

  constructor(failed: (event: keyof FederationEvents, error: unknown) => void) {
    this.#failed = failed
  }

  on<E extends keyof FederationEvents>(event: E, listener: Listener<E>): void {
    this.#of(event).add(listener)
  }

  off<E extends keyof FederationEvents>(event: E, listener: Listener<E>): void {
    this.#of(event).delete(listener)
  }

  emit<E extends keyof FederationEvents>(event: E, detail: FederationEvents[E]): void {
    for (const listener of [...this.#of(event)]) this.#call(event, listener, detail)
  }

  #call<E extends keyof FederationEvents>(event: E, listener: Listener<E>, detail: FederationEvents[E]): void {
    try {
      const result = listener(detail)
      hearRejection(result, error => this.#failed(event, error))
    } catch (error) {
      this.#failed(event, error)
    }
  }

  #of<E extends keyof FederationEvents>(event: E): Set<Listener<E>> {
    const lists: { [K in E]?: Set<Listener<K>> } = this.#lists
    return (lists[event] ??= new Set<Listener<E>>())
  }
}
