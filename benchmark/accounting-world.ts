import { createFederation } from '../lib/federation.ts'
import type { Federation } from '../lib/federation.ts'
import { domain, pairKey, reversed } from '../lib/model/domain.ts'
import type { DomainPair } from '../lib/model/domain.ts'
import type { FederationOptions } from '../lib/options.ts'
import { policies } from '../lib/policy/presets.ts'
import { createAuthority } from '../lib/testing/certificates.ts'
import { createNetwork } from '../lib/testing/network.ts'
import type { Network } from '../lib/testing/network.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
import type { TurnClock } from './accounting-clock.ts'

const ENGINES = 8

/** A pair, and the engine that hosts its sender. */
export interface Sending {
  readonly pair: DomainPair
  readonly engine: Federation
}

/** Eight engines on one network, each with several domains, and the pairs between them. */
export interface AccountingWorld {
  readonly network: Network
  readonly engines: readonly Federation[]
  readonly addresses: readonly string[]
  readonly sendings: readonly Sending[]
}

export interface WorldOptions {
  readonly clock: TurnClock
  readonly random: () => number
  /** How many pairs of domains talk. */
  readonly pairs: number
  readonly onStanza: FederationOptions['onStanza']
  readonly extensions: FederationOptions['extensions']
  /** Whether certificates prove who everybody is. Where they do not, dialback does, and pairs join the streams of others. */
  readonly isCertified: boolean
  /** Whether each pair comes with its reverse, next to it. */
  readonly isAnswered: boolean
}

/** Makes the world; `start` of its engines is still to be called. */
export function createAccountingWorld({
  clock,
  random,
  pairs,
  onStanza,
  extensions,
  isCertified,
  isAnswered
}: WorldOptions): AccountingWorld {
  // Writes of one turn do not fit: they arrive piecemeal, and their writers are pushed back.
  const state = isCertified ? 'valid' : 'self-signed'
  const network = createNetwork({ highWaterMark: 2_048, segment: 2_048 })
  const authority = createAuthority({ now: clock.now() })
  const perEngine = Math.ceil(Math.sqrt(pairs / (ENGINES * (ENGINES - 1))))
  const addresses = Array.from({ length: ENGINES }, (_, index) => `192.0.2.${index + 1}`)
  const domains = addresses.map((address, index) =>
    Array.from({ length: perEngine }, (_, each) => {
      const name = `host${each}.engine${index}.example`
      network.zone.server(name, { addresses: [address] })
      return name
    })
  )
  const engines = addresses.map((address, index) =>
    createFederation({
      domains: Object.fromEntries((domains[index] ?? []).map(name => [name, authority.issue(name, { now: clock.now(), state })])),
      trust: { default: [authority.certificate] },
      resolver: network.resolver,
      transport: network.transportFor(address),
      tls: simulatedTls(),
      policy: policies.ladder({ invalidCertificate: 'encrypt-only' }),
      clock,
      random,
      allowPrivateAddresses: true,
      listen: [{ host: address, port: 5269 }],
      // Less than a sender may have outstanding: queues overflow now and then.
      limits: { queuedStanzas: 24 },
      ...(extensions === undefined ? {} : { extensions }),
      onStanza
    })
  )
  const all = shuffled(sendingsBetween(engines, domains), random)
  return { network, engines, addresses, sendings: (isAnswered ? withAnswers(all) : all).slice(0, pairs) }
}

function sendingsBetween(engines: readonly Federation[], domains: readonly (readonly string[])[]): Sending[] {
  return engines.flatMap((engine, from) =>
    domains.flatMap((targets, to) =>
      from === to
        ? []
        : (domains[from] ?? []).flatMap(sender =>
            targets.map(target => ({ engine, pair: { sender: domain(sender), target: domain(target) } }))
          )
    )
  )
}

/** Each with its reverse behind it. */
function withAnswers(sendings: readonly Sending[]): readonly Sending[] {
  const byPair = new Map(sendings.map(sending => [pairKey(sending.pair), sending]))
  const couples = sendings.flatMap(sending => [sending, byPair.get(pairKey(reversed(sending.pair))) ?? sending])
  return [...new Set(couples)]
}

function shuffled<T>(list: readonly T[], random: () => number): readonly T[] {
  return list
    .map(item => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
