import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { LocalServer } from './auth/local-server.ts'
import { FederationError } from './errors.ts'
import type { Domain } from './model/domain.ts'
import type { SocketAddress } from './model/plugs.ts'
import type { Guard, OwnState, Policy, Rulebook } from './model/policy.ts'
import type { Trust } from './model/settings.ts'
import type { Observer } from './observe/observer.ts'
import type { FederationOptions, Settings } from './options.ts'
import { Judge } from './pki/judge.ts'
import { complete } from './policy/complete.ts'
import { ownState } from './rules/sentences.ts'
import { dnsResolver } from './dns/resolver.ts'
import { systemClock } from './dns/system-clock.ts'
import { HostedDomains } from './transport/hosted.ts'
import { tcpTransport } from './transport/tcp.ts'
import { nodeTls } from './transport/tls.ts'

/** The local server as the federation holds it. */
export interface AssembledServer extends LocalServer {
  /** The addresses we listen on, for `isOwnListener`. */
  readonly listening: SocketAddress[]
  /** Settings were changed by this; whoever captured {@link LocalServer.epoch} before has to ask again. */
  change(by: { readonly policy?: Policy | undefined; readonly guards?: readonly Guard[]; readonly trust?: Trust }): void
  /** Resolves when nothing goes on in the background. */
  settled(): Promise<void>
}

/** Puts the parts together that every negotiation of one engine shares. */
export function createLocalServer(
  options: FederationOptions,
  settings: Settings,
  observer: Observer,
  stopped: AbortSignal
): AssembledServer {
  const clock = options.clock ?? systemClock
  const tls = options.tls ?? nodeTls()
  const hosted = new HostedDomains(options.domains, tls, {
    defaultDomain: options.defaultDomain,
    clock,
    patience: settings.timeouts.step,
    signal: stopped
  })
  const judge = new Judge(options.trust)
  let rulebook: Rulebook = { policy: complete(options.policy), guards: options.guards ?? [] }
  let epoch = 0
  const secret = options.dialbackSecret ?? { current: randomBytes(32) }
  const listening: SocketAddress[] = []
  const background = new Set<Promise<void>>()
  return {
    hosted,
    judge,
    tls,
    clock,
    observer,
    listening,
    resolver: options.resolver ?? dnsResolver(),
    transport: options.transport ?? tcpTransport(),
    random: options.random ?? Math.random,
    timeouts: settings.timeouts,
    limits: settings.limits,
    extensions: settings.extensions,
    overrides: settings.overrides,
    passwords: settings.passwords,
    dialbackSecrets: { current: secret.current, accepted: secret.accepted ?? [] },
    allowPrivateAddresses: options.allowPrivateAddresses ?? false,
    get epoch() {
      return epoch
    },
    rulebook: () => rulebook,
    change(by) {
      if (by.trust !== undefined) judge.reload(by.trust)
      rulebook = { policy: 'policy' in by ? complete(by.policy) : rulebook.policy, guards: by.guards ?? rulebook.guards }
      epoch += 1
    },
    coversSenders: remote => settings.coveredSenders.matches(remote),
    isOwnListener: ({ address, port }) => listening.some(own => own.port === port && isOwnAddress(own.address, address)),
    async ourCertificate(local: Domain): Promise<OwnState> {
      const context = await hosted.context(local)
      return ownState(judge.judge(context?.chain ?? [], local, clock.now(), undefined))
    },
    background(work) {
      // Nothing that is known rejects there; what does has no caller to be told.
      const done = work.then(undefined, (cause: unknown) => observer.warn(FederationError.from(cause)))
      background.add(done)
      void done.then(() => background.delete(done))
    },
    async settled() {
      while (background.size > 0) await Promise.all(background)
    }
  }
}

/** Listening on all addresses makes each address of this machine our own; the same port on another machine is another server. */
function isOwnAddress(listening: string, address: string): boolean {
  if (listening === address) return true
  if (listening !== '::' && listening !== '0.0.0.0') return false
  return Object.values(networkInterfaces()).some(each => each?.some(own => own.address === address) === true)
}
