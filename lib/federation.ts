import { setMaxListeners } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Element } from 'ltx'
import { createLocalServer } from './assemble.ts'
import type { Evidence } from './auth/evidence.ts'
import type { AssembledServer } from './assemble.ts'
import { FederationError } from './errors.ts'
import { unlessAborted } from './model/aborted.ts'
import { domain } from './model/domain.ts'
import type { DomainPair } from './model/domain.ts'
import type { FederationEvents } from './model/events.ts'
import type { Link } from './model/link.ts'
import type { Listener } from './model/plugs.ts'
import type { Policy, Rulebook } from './model/policy.ts'
import type { Report } from './model/report.ts'
import type { Delivery, Stanza } from './model/stanza.ts'
import { Listeners } from './observe/listeners.ts'
import { Observer } from './observe/observer.ts'
import { Reception } from './incoming/reception.ts'
import { verifyKey } from './outgoing/verify.ts'
import { settingsFrom } from './options.ts'
import type { FederationOptions, Settings } from './options.ts'
import { OutgoingLink } from './links/outgoing-link.ts'
import { checkedPair, Router } from './links/router.ts'
import { createId } from './outgoing/id.ts'
import { Negotiation } from './outgoing/negotiation.ts'
import { runNegotiation } from './outgoing/outcome.ts'
import type { Outcome } from './outgoing/outcome.ts'
import { complete } from './policy/complete.ts'
import type { SharedStream } from './outgoing/shared-stream.ts'
import { SharedStreams } from './outgoing/shared-streams.ts'
import type { Carrier } from './streams/carrier.ts'
import type { LostStream } from './streams/lost-stream.ts'

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
   *
   * @throws FederationError `S2S_CONFIG` for unusable credentials and for an address that cannot be listened on
   */
  start(): Promise<void>
  /**
   * Reads the list of domains and every domain's credentials again: where `domains` is a KeyStore, what it says now counts from the
   * next connection on. Links that are there keep the certificate they were made with, and domains that are gone keep their links.
   *
   * @throws FederationError `S2S_CONFIG` for a domain or credentials that cannot be used; then nothing has changed
   */
  reload(): Promise<void>
  /**
   * Ends every link politely and stops listening. With `drain`, what is queued leaves first; `signal` cuts that short.
   * Afterwards no handle and no timer is left.
   */
  stop(options?: { readonly drain?: boolean; readonly signal?: AbortSignal }): Promise<void>
  readonly addresses: readonly ListeningAddress[]
  /** Ends exactly once: how the stanza left, or a FederationError with the condition to bounce with. Not awaiting it is safe. */
  send(stanza: Element | Stanza): Promise<Delivery>
  /** An authenticated link, dialling if there is none. Concurrent calls for one pair share one negotiation. Rejects with the first failure that mattered. */
  connect(pair: DomainPair, options?: { readonly signal?: AbortSignal }): Promise<Link>
  /** Walks the ladder, keeps nothing, sends no stanza. Never rejects for what the remote did. */
  probe(pair: DomainPair, options?: { readonly signal?: AbortSignal; readonly policy?: Policy }): Promise<Report>
  /** A connection accepted elsewhere; resolves when its stream has ended or been authenticated. */
  accept(connection: Duplex, about?: { readonly address?: string; readonly tls?: 'direct' }): Promise<Report>
  /** Every live link, both directions. */
  links(): readonly Link[]
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

class Engine implements Federation {
  readonly #settings: Settings
  readonly #events: Listeners
  readonly #server: AssembledServer
  readonly #router: Router
  readonly #reception: Reception
  readonly #links = new Set<Link>()
  /** The live streams that a further pair might join. */
  readonly #shared = new SharedStreams()
  readonly #stopped = new AbortController()
  #listening: readonly (Listener & ListeningAddress)[] = []
  #starting: Promise<void> | undefined
  #ending: Promise<void> | undefined

  constructor(options: FederationOptions) {
    this.#settings = settingsFrom(options)
    // Every negotiation listens to it.
    setMaxListeners(0, this.#stopped.signal)
    this.#events = new Listeners((event, error) => observer.failed(event, error))
    const observer = new Observer({
      emit: (event, detail) => this.#events.emit(event, detail),
      ...(options.logger === undefined ? {} : { logger: options.logger }),
      ...(options.metrics === undefined ? {} : { metrics: options.metrics })
    })
    this.#server = createLocalServer(options, this.#settings, observer)
    this.on('pair-authenticated', ({ pair }) => {
      for (const guard of this.#server.rulebook().guards) guard.learn?.(pair)
    })
    this.#router = new Router(this.#server, (pair, lost) => this.#dial(pair, lost))
    this.#reception = new Reception({ server: this.#server, verify: verifyKey, onStanza: options.onStanza, links: this.#links })
  }

  start(): Promise<void> {
    this.#starting ??= this.#begin()
    return this.#starting
  }

  async #begin(): Promise<void> {
    this.#mustRun()
    await this.#readCredentials()
    const opened: (Listener & ListeningAddress)[] = []
    try {
      for (const at of this.#settings.listen) {
        opened.push(await this.#listen(at))
        this.#mustRun()
      }
    } catch (cause) {
      await Promise.all(opened.map(each => each.close()))
      throw FederationError.is(cause) ? cause : new FederationError('S2S_CONFIG', { detail: `cannot listen: ${String(cause)}`, cause })
    }
    this.#listening = opened
  }

  async reload(): Promise<void> {
    this.#mustRun()
    await this.#server.hosted.reload()
    await this.#readCredentials()
  }

  stop(options: { readonly drain?: boolean; readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#ending ??= this.#end(options)
    return this.#ending
  }

  get addresses(): readonly ListeningAddress[] {
    return this.#listening.map(({ address, port, tls }) => ({ address, port, tls }))
  }

  send(stanza: Element | Stanza): Promise<Delivery> {
    return this.#router.send(stanza)
  }

  async connect(pair: DomainPair, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    const { link } = await unlessAborted(this.#router.open(parsedPair(pair)), options.signal)
    return link
  }

  async probe(pair: DomainPair, options: { readonly signal?: AbortSignal; readonly policy?: Policy } = {}): Promise<Report> {
    this.#mustRun()
    const { policy, guards } = this.#server.rulebook()
    const rulebook = { policy: options.policy === undefined ? policy : complete(options.policy), guards }
    const { report, reached } = await this.#negotiate(checkedPair(parsedPair(pair), this.#server), rulebook, options.signal)
    if (reached?.kind === 'dialled') this.#server.background(reached.stream.stream.end())
    return report
  }

  accept(connection: Duplex, about: { readonly address?: string; readonly tls?: 'direct' } = {}): Promise<Report> {
    if (this.#ending === undefined) return this.#reception.accept(connection, about)
    connection.on('error', () => undefined).destroy()
    return Promise.reject(new FederationError('S2S_STOPPED'))
  }

  links(): readonly Link[] {
    return [...this.#links]
  }

  on<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this {
    this.#events.on(event, listener)
    return this
  }

  off<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this {
    this.#events.off(event, listener)
    return this
  }

  async #dial(pair: DomainPair, lost: LostStream | undefined): Promise<Carrier> {
    // What was lost with a connection of the pair's own is taken up on one of its own.
    const live = lost === undefined && this.#server.extensions.multiplexing ? this.#shared : undefined
    const { report, reached, error } = await this.#negotiate(pair, this.#server.rulebook(), undefined, live)
    if (reached === undefined) throw error
    if (reached.kind === 'joined') return this.#join(reached.stream, reached.evidence)
    const { stream } = reached
    if (this.#stopped.signal.aborted) {
      const stopped = new FederationError('S2S_STOPPED', { pair })
      this.#server.background(stream.stream.end(stopped))
      throw stopped
    }
    const link = new OutgoingLink(createId(), stream, report, this.#server, lost)
    this.#keep(link)
    return link
  }

  #join(stream: SharedStream, evidence: Evidence): Carrier {
    const { carrier } = stream
    this.#server.observer.emit('pair-authenticated', { link: carrier.link, pair: stream.add(evidence) })
    return carrier
  }

  #keep(link: OutgoingLink): void {
    const { observer } = this.#server
    this.#links.add(link)
    this.#shared.add(link.shared)
    observer.emit('link-established', { link })
    for (const pair of link.pairs) observer.emit('pair-authenticated', { link, pair })
    const gone = link.closed.then(error => {
      this.#links.delete(link)
      this.#shared.delete(link.shared)
      observer.emit('link-closed', { link, error })
    })
    this.#server.background(gone)
  }

  async #negotiate(pair: DomainPair, rulebook: Rulebook, caller: AbortSignal | undefined, live?: SharedStreams): Promise<Outcome> {
    const ours = await this.#server.ourCertificate(pair.sender)
    const signal = caller === undefined ? this.#stopped.signal : AbortSignal.any([this.#stopped.signal, caller])
    return await runNegotiation(new Negotiation(this.#server, { id: createId(), pair, purpose: 'stanzas', ours, rulebook, signal }), live)
  }

  /** Bad credentials are told when the engine starts, not when the first peer calls. */
  async #readCredentials(): Promise<void> {
    const { hosted, observer } = this.#server
    for (const name of hosted.domains) {
      if ((await hosted.context(name)) !== undefined) continue
      observer.warn(
        new FederationError('S2S_CONFIG', {
          detail: `${name} has no certificate: it never offers TLS, and where policy requires TLS it answers nothing but dialback verification`
        })
      )
    }
  }

  async #listen(at: Settings['listen'][number]): Promise<Listener & ListeningAddress> {
    const listener = await this.#server.transport.listen({ host: at.host ?? '::', port: at.port }, (connection, from) => {
      void this.#reception.accept(connection, { address: from.address, ...(at.tls === 'direct' ? { tls: 'direct' } : {}) })
    })
    this.#server.listening.push(listener)
    return { address: listener.address, port: listener.port, tls: at.tls, close: () => listener.close() }
  }

  async #end({ drain = false, signal }: { readonly drain?: boolean; readonly signal?: AbortSignal }): Promise<void> {
    const error = new FederationError('S2S_STOPPED')
    this.#router.close(error)
    // A start that is under way closes what it has opened.
    await this.#starting?.catch(() => undefined)
    const closing = this.#listening.map(each => each.close())
    this.#listening = []
    if (drain) await unlessAborted(this.#router.drained(), signal).catch(() => undefined)
    this.#router.stop(error)
    this.#stopped.abort(error)
    const outgoing = [...this.#links].filter(link => link instanceof OutgoingLink)
    await Promise.all([...outgoing.map(link => link.closeWith(error)), this.#reception.stop(error)])
    await Promise.all(closing)
    await this.#server.settled()
  }

  #mustRun(): void {
    if (this.#ending !== undefined) throw new FederationError('S2S_STOPPED')
  }
}

function parsedPair(pair: DomainPair): DomainPair {
  return { sender: domain(pair.sender), target: domain(pair.target) }
}
