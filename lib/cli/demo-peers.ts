import { domain, policies } from '../index.ts'
import type { CertificateState, Domain, Policy, TlsWish } from '../index.ts'
import { CERTIFICATE_STATES } from '../testing/index.ts'

/** How a demo peer stands to STARTTLS, in the words of server configurations. */
export type Starttls = 'required' | 'optional' | 'never'

/** One server that the demo meets. */
export interface DemoPeer {
  readonly name: string
  readonly domain: Domain
  readonly certificate: CertificateState
  readonly starttls: Starttls
  readonly dialback: boolean
  readonly policy: Policy
}

const WISHES: Readonly<Record<Starttls, TlsWish>> = { required: 'required', optional: 'when-offered', never: 'never' }

/**
 * Every certificate state × STARTTLS required or optional × dialback or not. Without STARTTLS no certificate is ever shown, so
 * that there is one such peer; and with neither STARTTLS nor dialback a server can prove nothing to anybody.
 */
export function demoPeers(): readonly DemoPeer[] {
  const states = Object.keys(CERTIFICATE_STATES) as readonly CertificateState[]
  const withTls = states.flatMap(state =>
    (['optional', 'required'] as const).flatMap(starttls => [true, false].map(dialback => peer(state, starttls, dialback)))
  )
  return [...withTls, peer('valid', 'never', true)]
}

function peer(certificate: CertificateState, starttls: Starttls, dialback: boolean): DemoPeer {
  const name = `${certificate}-${starttls}${dialback ? '' : '-no-dialback'}`
  const policy = policies.ladder({ tls: WISHES[starttls], dialback: dialback ? 'always' : 'never' })
  return { name, domain: domain(`${name}.example`), certificate, starttls, dialback, policy }
}
