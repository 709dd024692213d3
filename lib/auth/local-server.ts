import type { Domain } from '../model/domain.ts'
import type { Clock, Resolver, SocketAddress, Tls, Transport } from '../model/plugs.ts'
import type { OwnState, Rulebook } from '../model/policy.ts'
import type { Extensions, Limits, Override, Password, Timeouts } from '../model/settings.ts'
import type { Observer } from '../observe/observer.ts'
import type { Judge } from '../pki/judge.ts'
import type { HostedDomains } from '../transport/hosted.ts'

/** What this server is and has: made once by the federation, handed to every negotiation, never changed by one. */
export interface LocalServer {
  readonly hosted: HostedDomains
  readonly judge: Judge
  readonly resolver: Resolver
  readonly transport: Transport
  readonly tls: Tls
  readonly clock: Clock
  readonly random: () => number
  readonly timeouts: Timeouts
  readonly limits: Limits
  readonly extensions: Extensions
  readonly dialbackSecrets: { readonly current: string | Buffer; readonly accepted: readonly (string | Buffer)[] }
  readonly passwords: ReadonlyMap<Domain, Password>
  readonly overrides: ReadonlyMap<Domain, Override>
  readonly allowPrivateAddresses: boolean
  readonly observer: Observer
  /** Whether a remote server may send for every domain that its certificate covers, without having asked. */
  coversSenders(remote: Domain): boolean
  /** Whether an address is one we listen on: it is never dialled. */
  isOwnListener(address: SocketAddress): boolean
  /** Grows with every change of settings: policy, guards, trust, domains and their certificates. */
  readonly epoch: number
  /** The policy and guards in force now. */
  rulebook(): Rulebook
  /** Work that goes on after its negotiation is over, such as a polite end: a stopping engine waits for it. It never rejects. */
  background(work: Promise<void>): void
  /** Our own certificate for a hosted domain, by the judge that judges peers. */
  ourCertificate(local: Domain): Promise<OwnState>
}
