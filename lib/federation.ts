import type { Duplex } from 'node:stream'
import type { Element } from 'ltx'
import { Engine } from './engine.ts'
import type { DomainPair } from './model/domain.ts'
import type { FederationEvents } from './model/events.ts'
import type { Link } from './model/link.ts'
import type { Credentials } from './model/plugs.ts'
import type { Guard, Policy } from './model/policy.ts'
import type { Report } from './model/report.ts'
import type { RouteStatus } from './model/route.ts'
import type { Trust } from './model/settings.ts'
import type { Delivery, Stanza } from './model/stanza.ts'
import type { FederationOptions } from './options.ts'

/** What is listened on, once {@link Federation.start} has resolved. */
export interface ListeningAddress {
  readonly address: string
  readonly port: number
  readonly tls: 'starttls' | 'direct'
}

/** The engine: initiating, receiving and authoritative server for its domains. Made by {@link createFederation}. */
export interface Federation {
  /**
   * Reads the credentials of every domain and begins to listen. Until then it can already send, but no server can dial back to it.
   * Where it fails nothing listens, and it may be called again.
   *
   * @throws FederationError `S2S_CONFIG` for unusable credentials and for an address that cannot be listened on, `S2S_KEY_STORE` for
   * credentials that cannot be had
   */
  start(): Promise<void>
  /**
   * Reads the list of domains and every domain's credentials again: where `domains` is a KeyStore, what it says now counts from the
   * next connection on. Links that are there keep the certificate they were made with; those of domains that are gone end with `host-gone`.
   *
   * A domain whose credentials cannot be had or used goes on showing what it did, and a new one is not hosted: each is a `warning`, and
   * `reload` rejects when all others have been taken over.
   *
   * @throws FederationError `S2S_CONFIG` for a list that cannot be used, and then nothing has changed; `S2S_CONFIG` or `S2S_KEY_STORE`
   * naming the domains whose credentials cannot
   */
  reload(): Promise<void>
  /**
   * Ends every link politely, with `system-shutdown`, and stops listening. With `drain`, what is queued leaves first: until then the engine
   * listens, because what needs dialback is proved by what it answers, and authenticates nobody. `signal` cuts draining short, that of a
   * later call too, and so does a later call that asks neither to drain nor for a signal: it means now. Afterwards no handle and no timer is left. Every call gives the same promise.
   */
  stop(options?: { readonly drain?: boolean; readonly signal?: AbortSignal }): Promise<void>
  readonly addresses: readonly ListeningAddress[]
  /** Ends exactly once: how the stanza left, or a FederationError with the condition to bounce with. Not awaiting it is safe. */
  send(stanza: Element | Stanza): Promise<Delivery>
  /** An authenticated link, dialling if there is none. Concurrent calls for one pair share one negotiation. Rejects with the first failure that mattered. */
  connect(pair: DomainPair, options?: { readonly signal?: AbortSignal }): Promise<Link>
  /**
   * Pings a domain from one of ours (XEP-0199), dialling if there is no link; the answer may come on another one. Any answer counts.
   *
   * @returns milliseconds
   * @throws FederationError `S2S_TIMEOUT` without an answer in `timeouts.ping`, or what `send` rejects with
   */
  ping(pair: DomainPair, options?: { readonly signal?: AbortSignal }): Promise<number>
  /**
   * Walks the ladder, keeps nothing, sends no stanza. Never rejects for what the remote did.
   *
   * @throws FederationError `S2S_CONFIG` for what is no policy
   */
  probe(pair: DomainPair, options?: { readonly signal?: AbortSignal; readonly policy?: Policy }): Promise<Report>
  /** A connection accepted elsewhere; resolves when its stream has ended or been authenticated. */
  accept(connection: Duplex, about?: { readonly address?: string; readonly tls?: 'direct' }): Promise<Report>
  /** Every live link, both directions. */
  links(): readonly Link[]
  /** Where the stanzas of each pair go at the moment. */
  routes(): readonly RouteStatus[]
  /**
   * Another policy from now on; undefined: the default. Negotiations under way count only if what they yield stands under it.
   * Resolves when every live link has been judged by it; those on which a pair may not go on are ended with `reset`.
   *
   * @throws FederationError `S2S_CONFIG` for what is no policy; then nothing has changed
   */
  setPolicy(policy: Policy | undefined): Promise<void>
  /** Other guards from now on, instead of those before; as {@link setPolicy}. */
  setGuards(guards: readonly Guard[]): Promise<void>
  /** Other authorities from now on; undefined: the default ones. As {@link setPolicy}: the certificates of live links are judged anew. */
  reloadTrust(trust: Trust | undefined): Promise<void>
  /**
   * Hosts one more domain, or gives a hosted one another certificate; undefined: none.
   *
   * @throws FederationError `S2S_CONFIG` for a name or credentials that cannot be used, and where `domains` is a KeyStore: change that, and {@link reload}
   */
  addDomain(name: string, credentials?: Credentials): Promise<void>
  /**
   * Hosts a domain no more: its incoming streams end with `host-gone`, its links close, and what waits is rejected. On a link that it shares
   * with other pairs nothing of it flows any more; the link closes when what the others have sent on it is acknowledged.
   *
   * @throws FederationError `S2S_CONFIG` for one that is not hosted or is the default domain, and where `domains` is a KeyStore
   */
  removeDomain(name: string): Promise<void>
  /** Ends every link with a remote domain politely, and resolves when all are gone. The next stanza has another one negotiated. */
  close(remote: string, reason?: string): Promise<void>
  /** Forgets that negotiations with a remote domain failed: the next stanza has one begun, instead of being bounced until the retry time. */
  retryNow(remote: string): void
  on<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this
  off<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this
}

/**
 * Makes an engine. Nothing is opened and nothing is resolved before `start`, `connect`, `probe`, `send` or `accept`.
 *
 * @throws FederationError `S2S_CONFIG` for an option that is not usable, naming it
 */
export function createFederation(options: FederationOptions): Federation {
  return new Engine(options)
}
