import type { AssembledServer } from './assemble.ts'
import { FederationError } from './errors.ts'
import { parseDomain } from './model/domain.ts'
import type { Domain } from './model/domain.ts'
import type { FederationEvents } from './model/events.ts'
import type { Credentials } from './model/plugs.ts'
import type { Guard, Policy } from './model/policy.ts'
import type { Trust } from './model/settings.ts'
import type { Router } from './links/router.ts'
import { isTrust } from './option-checks.ts'
import { checkGuards, checkPolicy } from './policy/shape.ts'
import { shown, wrong } from './rules/option-value.ts'
import { firstFallen, notOurs } from './streams/standing.ts'
import type { LiveLink } from './streams/standing.ts'
import type { Reading } from './transport/hosted.ts'

/** Changes the settings of a running engine. After each change every live link is judged anew, and ended where a pair may not go on. */
export class Control {
  readonly #server: AssembledServer
  readonly #router: Router
  readonly #links: ReadonlySet<LiveLink>
  readonly #stopped: AbortSignal
  /** Those that are being reset. */
  readonly #fallen = new WeakSet<LiveLink>()

  constructor(server: AssembledServer, router: Router, links: ReadonlySet<LiveLink>, stopped: AbortSignal) {
    this.#server = server
    this.#router = router
    this.#links = links
    this.#stopped = stopped
  }

  setPolicy(policy: Policy | undefined): Promise<void> {
    if (policy !== undefined) checkPolicy(policy, 'policy')
    this.#server.change({ policy })
    return this.#judgeAll('policy')
  }

  setGuards(guards: readonly Guard[]): Promise<void> {
    checkGuards(guards, 'guards')
    this.#server.change({ guards })
    return this.#judgeAll('guards')
  }

  setTrust(trust: Trust = {}): Promise<void> {
    isTrust(trust, 'trust')
    this.#server.change({ trust })
    return this.#judgeAll('trust')
  }

  /** Bad credentials are told when the engine starts, not when the first peer calls. */
  async prepare(): Promise<void> {
    this.#tell(await this.#server.hosted.prepare())
  }

  async reload(): Promise<void> {
    const { hosted, observer } = this.#server
    // Nobody speaks for a domain that is gone while the credentials of the others are read.
    const before = new Set(hosted.domains)
    if (hosted.forgetUnlisted()) await this.#changedDomains(before)
    const left = new Set(hosted.domains)
    const reading = await hosted.reload()
    await this.#changedDomains(left)
    for (const error of reading.failed) observer.warn(error)
    this.#tell(reading)
  }

  async addDomain(name: string, credentials: Credentials | undefined): Promise<void> {
    const before = new Set(this.#server.hosted.domains)
    this.#server.hosted.add(readName(name), credentials)
    await this.#changedDomains(before)
  }

  async removeDomain(name: string): Promise<void> {
    const before = new Set(this.#server.hosted.domains)
    this.#server.hosted.remove(readName(name))
    await this.#changedDomains(before)
  }

  async close(remote: Domain, reason: string | undefined): Promise<void> {
    const links = [...this.#links].filter(link =>
      link.pairs.some(({ pair, flow }) => (flow === 'send' ? pair.target : pair.sender) === remote)
    )
    await Promise.all(links.map(link => link.close(reason)))
  }

  /** What waits for a domain that is gone, or that has become our own, will never leave. */
  async #changedDomains(before: ReadonlySet<Domain>): Promise<void> {
    const { hosted } = this.#server
    this.#server.change({})
    for (const gone of [...before].filter(each => !hosted.has(each)))
      this.#router.clear(gone, new FederationError('S2S_NOT_HOSTED', { detail: `${gone} is not a domain of this engine any more` }))
    for (const added of hosted.domains.filter(each => !before.has(each)))
      this.#router.clear(added, new FederationError('S2S_LOCAL_DOMAIN', { detail: `${added} is served here now` }))
    await this.#judgeAll('domains')
  }

  /** @throws FederationError for what could not be read */
  #tell({ failed, bare }: Reading): void {
    for (const name of bare) {
      const detail = `${name} has no certificate: it never offers TLS, and where policy requires TLS it answers nothing but dialback verification`
      this.#server.observer.warn(new FederationError('S2S_CONFIG', { detail }))
    }
    const [first] = failed
    if (first !== undefined) throw failed.length === 1 ? first : together(first, failed)
  }

  async #judgeAll(what: FederationEvents['settings-changed']['what']): Promise<void> {
    this.#server.observer.emit('settings-changed', { what })
    this.#router.reconsider()
    await Promise.all([...this.#links].map(link => this.#judge(link)))
  }

  /**
   * Where a pair has fallen because its domain has gone, or has become ours, the others have done nothing: what they have under way is
   * acknowledged before the link ends.
   */
  #retire(link: LiveLink): void {
    const { observer } = this.#server
    const errors = link.pairs.map(each => notOurs(each, this.#server))
    const [error] = errors.filter(each => each !== undefined)
    if (error === undefined || !errors.includes(undefined) || this.#fallen.has(link)) return
    observer.emit('link-reset', { link, error })
    link.retire(
      error,
      link.pairs.flatMap(({ pair }, index) => (errors[index] === undefined ? [] : [pair]))
    )
  }

  /** A judgement that took its time counts only if the settings are still those that it was made by. */
  async #judge(link: LiveLink): Promise<void> {
    const { observer } = this.#server
    this.#retire(link)
    for (;;) {
      const { epoch } = this.#server
      const error = await firstFallen(link.standing(), this.#server, this.#stopped)
      if (this.#stopped.aborted || !this.#links.has(link) || this.#fallen.has(link)) return
      if (epoch !== this.#server.epoch) continue
      if (error === undefined) return
      this.#fallen.add(link)
      observer.emit('link-reset', { link, error })
      link.reset(error)
      return
    }
  }
}

const MOST_NAMED = 20

function together(first: FederationError, failed: readonly FederationError[]): FederationError {
  const named = failed.slice(0, MOST_NAMED).map(({ detail, message }) => detail ?? message)
  const more = failed.length > named.length ? [`and ${failed.length - named.length} more`] : []
  const code = failed.find(({ code }) => code === 'S2S_CONFIG')?.code ?? first.code
  return new FederationError(code, { detail: [...named, ...more].join('; '), cause: new AggregateError(failed) })
}

function readName(name: string): Domain {
  const domain = typeof name === 'string' ? parseDomain(name) : undefined
  if (domain === undefined) throw wrong('domain', 'a domain name', shown(name))
  return domain
}
