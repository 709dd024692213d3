import { setMaxListeners } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Element } from 'ltx'
import { createLocalServer } from './assemble.ts'
import type { AssembledServer } from './assemble.ts'
import { FederationError } from './errors.ts'
import { assertNotAborted, unlessAborted } from './model/aborted.ts'
import { domain } from './model/domain.ts'
import type { DomainPair } from './model/domain.ts'
import type { FederationEvents } from './model/events.ts'
import type { Link } from './model/link.ts'
import type { Credentials } from './model/plugs.ts'
import type { Guard, Policy } from './model/policy.ts'
import type { Report } from './model/report.ts'
import type { RouteStatus } from './model/route.ts'
import type { Trust } from './model/settings.ts'
import type { Delivery, Stanza } from './model/stanza.ts'
import { learner } from './observe/learn.ts'
import { Listeners } from './observe/listeners.ts'
import { Observer } from './observe/observer.ts'
import { Control } from './control.ts'
import { Dialler } from './dialler.ts'
import { Listening } from './incoming/listening.ts'
import { Reception } from './incoming/reception.ts'
import type { Federation, ListeningAddress } from './federation.ts'
import { settingsFrom } from './options.ts'
import type { FederationOptions, Settings } from './options.ts'
import { OutgoingLink } from './links/outgoing-link.ts'
import { ownAnswer } from './links/own-answers.ts'
import { Pings } from './links/pings.ts'
import { checkedPair, Router } from './links/router.ts'
import { Verifications } from './links/verifications.ts'
import { complete } from './policy/complete.ts'
import { checkCall, checkListener, isSignal } from './option-checks.ts'
import { checkPolicy } from './policy/shape.ts'
import { hasMethods, isBoolean, isText, kindOf, oneOf } from './rules/option-value.ts'
import type { LiveLink } from './streams/standing.ts'

/** Wires the parts of one engine together. */
export class Engine implements Federation {
  readonly #settings: Settings
  readonly #events: Listeners
  readonly #server: AssembledServer
  readonly #dialler: Dialler
  readonly #router: Router
  readonly #reception: Reception
  readonly #links = new Set<LiveLink>()
  readonly #control: Control
  readonly #pings: Pings
  readonly #verifications: Verifications
  readonly #stopped = new AbortController()
  /** Aborted when the engine is told to stop: nothing is begun any more. */
  readonly #leaving = new AbortController()
  /** Aborted by whoever wants no more draining. */
  readonly #cut = new AbortController()
  #isDraining = false
  readonly #listening: Listening
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
    this.#server = createLocalServer(options, this.#settings, observer, this.#stopped.signal)
    this.on(
      'pair-authenticated',
      learner(() => this.#server.rulebook().guards, observer)
    )
    this.#dialler = new Dialler(this.#server, this.#links, this.#stopped.signal, () => this.#reception.parts)
    this.#router = new Router(this.#server, (pair, lost) => this.#dialler.dial(pair, lost))
    this.#verifications = new Verifications(this.#server)
    this.#reception = new Reception({
      server: this.#server,
      verify: this.#verifications.verify,
      onStanza: (stanza, on) => {
        if (this.#pings.receive(stanza)) return undefined
        const answer = ownAnswer(stanza, options.answerPings !== false)
        if (answer === undefined) return options.onStanza(stanza, on)
        this.#router.answer(answer)
        return undefined
      },
      links: this.#links,
      carriers: this.#router.carriers
    })
    this.#listening = new Listening(this.#server, this.#server.listening, (connection, arrival) => {
      void this.#reception.accept(connection, arrival)
    })
    this.#pings = new Pings(this.#server, stanza => this.#router.send(stanza))
    this.#control = new Control(this.#server, this.#router, this.#links, this.#stopped.signal)
  }

  start(): Promise<void> {
    this.#starting ??= this.#begin().catch((error: unknown) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  async #begin(): Promise<void> {
    this.#mustRun()
    await unlessAborted(this.#control.prepare(), this.#leaving.signal)
    await this.#listening.open(this.#settings.listen, () => this.#mustRun())
  }

  async reload(): Promise<void> {
    this.#mustRun()
    await this.#control.reload()
  }

  async setPolicy(policy: Policy | undefined): Promise<void> {
    this.#mustRun()
    await this.#control.setPolicy(policy)
  }

  async setGuards(guards: readonly Guard[]): Promise<void> {
    this.#mustRun()
    await this.#control.setGuards(guards)
  }

  async reloadTrust(trust: Trust | undefined): Promise<void> {
    this.#mustRun()
    await this.#control.setTrust(trust)
  }

  async addDomain(name: string, credentials?: Credentials): Promise<void> {
    this.#mustRun()
    await this.#control.addDomain(name, credentials)
  }

  async removeDomain(name: string): Promise<void> {
    this.#mustRun()
    await this.#control.removeDomain(name)
  }

  async close(remote: string, reason?: string): Promise<void> {
    await this.#control.close(domain(remote), reason)
  }

  retryNow(remote: string): void {
    this.#router.retryNow(domain(remote))
  }

  routes(): readonly RouteStatus[] {
    return this.#router.statuses()
  }

  stop(options: { readonly drain?: boolean; readonly signal?: AbortSignal } = {}): Promise<void> {
    try {
      checkCall(options, 'stop', { drain: isBoolean, signal: isSignal })
    } catch (error) {
      return Promise.reject(FederationError.from(error))
    }
    const { drain = false, signal } = options
    this.#ending ??= this.#end(drain)
    const cut = (): void => this.#cut.abort()
    const off = (): void => signal?.removeEventListener('abort', cut)
    if (signal === undefined ? !drain : signal.aborted) cut()
    signal?.addEventListener('abort', cut)
    void this.#ending.then(off, off)
    return this.#ending
  }

  get addresses(): readonly ListeningAddress[] {
    return this.#listening.addresses
  }

  send(stanza: Element | Stanza): Promise<Delivery> {
    return this.#router.send(stanza)
  }

  async connect(pair: DomainPair, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    checkCall(options, 'connect', { signal: isSignal })
    assertNotAborted(options.signal)
    const { link } = await unlessAborted(this.#router.open(parsedPair(pair)), options.signal)
    return link
  }

  async ping(pair: DomainPair, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    this.#mustRun()
    checkCall(options, 'ping', { signal: isSignal })
    assertNotAborted(options.signal)
    return await this.#pings.ping(checkedPair(parsedPair(pair), this.#server), options.signal)
  }

  async probe(pair: DomainPair, options: { readonly signal?: AbortSignal; readonly policy?: Policy } = {}): Promise<Report> {
    this.#mustRun()
    checkCall(options, 'probe', { signal: isSignal, policy: checkPolicy })
    const { policy, guards } = this.#server.rulebook()
    const rulebook = { policy: options.policy === undefined ? policy : complete(options.policy), guards }
    const { report, reached } = await this.#dialler.negotiate(
      checkedPair(parsedPair(pair), this.#server),
      rulebook,
      'report',
      options.signal
    )
    if (reached?.kind === 'dialled') this.#server.background(reached.stream.stream.end())
    return report
  }

  async accept(connection: Duplex, about: { readonly address?: string; readonly tls?: 'direct' } = {}): Promise<Report> {
    hasMethods('on', 'write', 'destroy')(connection, 'accept: connection')
    checkCall(about, 'accept', { address: isText, tls: oneOf('direct') })
    if (this.#ending === undefined || this.#isDraining) return await this.#reception.accept(connection, about)
    connection.on('error', () => undefined).destroy()
    throw new FederationError('S2S_STOPPED')
  }

  links(): readonly Link[] {
    return [...this.#links]
  }

  on<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this {
    checkListener(event, listener)
    this.#events.on(event, listener)
    return this
  }

  off<E extends keyof FederationEvents>(event: E, listener: (detail: FederationEvents[E]) => void): this {
    checkListener(event, listener)
    this.#events.off(event, listener)
    return this
  }

  async #end(drain: boolean): Promise<void> {
    const error = new FederationError('S2S_STOPPED')
    this.#router.close(error)
    this.#isDraining = drain
    this.#leaving.abort(error)
    // A start that is under way closes what it has opened.
    await this.#starting?.catch(() => undefined)
    if (drain) await this.#drain()
    this.#isDraining = false
    const closing = this.#listening.close()
    this.#router.stop(error)
    this.#pings.stop(error)
    this.#verifications.close(error)
    this.#stopped.abort(error)
    const outgoing = [...this.#links].filter(link => link instanceof OutgoingLink)
    await Promise.all([...outgoing.map(link => link.closeWith(error)), this.#reception.stop(error)])
    await closing
    await this.#server.settled()
  }

  /** What is queued may need a link that is proved by dialback: until then our keys are answered for. */
  async #drain(): Promise<void> {
    this.#reception.leave()
    await unlessAborted(this.#router.drained(), this.#cut.signal).catch(() => undefined)
  }

  #mustRun(): void {
    if (this.#ending !== undefined) throw new FederationError('S2S_STOPPED')
  }
}

function parsedPair(pair: DomainPair): DomainPair {
  const given: unknown = pair
  if (typeof given !== 'object' || given === null)
    throw new FederationError('S2S_ADDRESS', { detail: `a pair has to be { sender, target }, not ${kindOf(given)}` })
  return { sender: domain(pair.sender), target: domain(pair.target) }
}
