import assert from 'node:assert/strict'
import { FederationError } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import type { Federation } from '../lib/federation.ts'
import type { CertificateState } from '../lib/model/certificate.ts'
import { domain } from '../lib/model/domain.ts'
import type { DomainPair } from '../lib/model/domain.ts'
import type { FederationOptions } from '../lib/options.ts'
import { createAuthority } from '../lib/testing/certificates.ts'
import type { Authority } from '../lib/testing/certificates.ts'
import { createTestClock } from '../lib/testing/clock.ts'
import type { TestClock } from '../lib/testing/clock.ts'
import { createNetwork } from '../lib/testing/network.ts'
import type { Network, NetworkOptions } from '../lib/testing/network.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'

/** Engines on one in-memory network, with one authority and one test clock. */
export interface World {
  readonly clock: TestClock
  readonly network: Network
  readonly authority: Authority
  /** Starts an engine for one domain, found by SRV at its own address. */
  engine(name: string, options?: Partial<FederationOptions> & { readonly state?: CertificateState }): Promise<Federation>
  addressOf(name: string): string
  run<T>(work: Promise<T>): Promise<T>
  stop(): Promise<void>
}

export function createWorld(wires: Pick<NetworkOptions, 'latency' | 'highWaterMark' | 'segment'> = {}): World {
  const clock = createTestClock()
  const network = createNetwork({ clock, ...wires })
  const authority = createAuthority({ now: clock.now() })
  const running: Federation[] = []
  const addresses = new Map<string, string>()
  const addressOf = (name: string): string => {
    const known = addresses.get(name) ?? `192.0.2.${addresses.size + 1}`
    addresses.set(name, known)
    return known
  }
  return {
    clock,
    network,
    authority,
    addressOf,
    run: work => clock.run(work),
    async engine(name, { state, ...options } = {}) {
      const address = addressOf(name)
      const engine = createFederation({
        domains: { [name]: authority.issue(name, { state: state ?? 'valid', now: clock.now() }) },
        trust: { default: [authority.certificate] },
        resolver: network.resolver,
        transport: network.transportFor(address),
        tls: simulatedTls(),
        clock,
        allowPrivateAddresses: true,
        listen: [{ host: address, port: 5269 }],
        onStanza: () => undefined,
        ...options
      })
      await engine.start()
      network.zone.server(name, { addresses: [address] })
      running.push(engine)
      return engine
    },
    async stop() {
      await clock.run(Promise.all(running.splice(0).map(each => each.stop())))
    }
  }
}

export function pairOf(sender: string, target: string): DomainPair {
  return { sender: domain(sender), target: domain(target) }
}

/** What a promise rejects with, which has to be the engine's own error. */
export async function rejection(promise: Promise<unknown>): Promise<FederationError> {
  const error: unknown = await promise.then(
    () => assert.fail('it did not reject'),
    (thrown: unknown) => thrown
  )
  assert.ok(FederationError.is(error), String(error))
  return error
}
