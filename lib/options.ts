import { FederationError } from './errors.ts'
import { areDomains, checkClock, isDialbackSecret, isListener, isOverride, isPassword, isTrust } from './option-checks.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMEOUTS, EXTENSIONS, limitBounds } from './defaults.ts'
import { domain } from './model/domain.ts'
import type { Domain } from './model/domain.ts'
import type { Link } from './model/link.ts'
import type { Clock, Credentials, KeyStore, Logger, Metrics, Resolver, Tls, Transport } from './model/plugs.ts'
import type { Guard, Policy } from './model/policy.ts'
import type { PairStatus } from './model/report.ts'
import type { DialbackSecret, Extensions, Limits, ListenOptions, Override, Password, Timeouts, Trust } from './model/settings.ts'
import type { Stanza } from './model/stanza.ts'
import { checkGuards, checkPolicy } from './policy/shape.ts'
import { readPatterns } from './rules/domain-patterns.ts'
import type { DomainPatterns } from './rules/domain-patterns.ts'
import {
  checkKeys,
  hasMethods,
  isBoolean,
  isFunction,
  isText,
  objectAt,
  shown,
  unusable,
  wholeNumber,
  wrong
} from './rules/option-value.ts'
import type { Check } from './rules/option-value.ts'

/** Where a delivered stanza came in. */
export interface StanzaContext {
  readonly link: Link
  readonly pair: PairStatus
}

/** Everything that can be said to {@link createFederation}. Times are milliseconds, sizes bytes. Only `domains` and `onStanza` are needed. */
export interface FederationOptions {
  /** The domains this engine speaks for, and what each shows the world. undefined: hosted without a certificate. */
  readonly domains: Readonly<Record<string, Credentials | undefined>> | KeyStore
  /** Whose certificate is shown, and whose name a response header has, when nobody is named. Default: the first domain. */
  readonly defaultDomain?: string
  /**
   * Called for each stanza of an authenticated pair, in order. A promise, or anything else with a `then`, keeps the stream from being read
   * until it settles. What it throws or rejects with is a `warning`, and nothing else: the stanza counts as handed over, is acknowledged to
   * the peer (XEP-0198) and does not come again. Whoever must not lose one keeps it before anything can fail, or answers with an error stanza.
   */
  readonly onStanza: (stanza: Stanza, on: StanzaContext) => void | PromiseLike<void>
  /** Default: `policies.ladder()`, which also answers what this policy leaves open. */
  readonly policy?: Policy
  readonly guards?: readonly Guard[]
  readonly trust?: Trust
  /** Default: STARTTLS on port 5269 of all addresses. `false`: no listener; dialback then needs one elsewhere. */
  readonly listen?: readonly ListenOptions[] | false
  readonly overrides?: Readonly<Record<string, Override>>
  /** SASL PLAIN with explicitly configured peers, by remote domain; only inside TLS with a certificate that authenticates. */
  readonly passwords?: Readonly<Record<string, Password>>
  /** Default: random at each start. Give one where several nodes serve a domain (XEP-0185). */
  readonly dialbackSecret?: DialbackSecret
  /** Whether addresses from DNS may be private, loopback or link-local. Default false. */
  readonly allowPrivateAddresses?: boolean
  /** Whether pings of hosted domains are answered here (XEP-0199). Default true; otherwise they go to `onStanza`. */
  readonly answerPings?: boolean
  /**
   * Patterns of remote domains whose servers may send for every domain that their certificate covers, without having asked for each
   * (Openfire of the time of 3.6 does). Policy is asked for each such pair. Default: none.
   */
  readonly coveredSenders?: readonly string[]
  readonly resolver?: Resolver
  readonly transport?: Transport
  readonly tls?: Tls
  /** Protocol extensions to do without. Default: all are used. */
  readonly extensions?: Partial<Extensions>
  readonly timeouts?: Partial<Timeouts>
  readonly limits?: Partial<Limits>
  /** A pino logger, or anything alike. Default: none. */
  readonly logger?: Logger
  readonly metrics?: Metrics
  readonly clock?: Clock
  /** Numbers in [0, 1) for SRV weights and retry times; never for secrets. */
  readonly random?: () => number
}

const elsewhere: Check = () => undefined

/** What each option has to be; those that are read below are checked there. */
const CHECKS: Readonly<Record<keyof FederationOptions, Check>> = {
  domains: areDomains,
  defaultDomain: isText,
  onStanza: isFunction,
  policy: checkPolicy,
  guards: checkGuards,
  trust: isTrust,
  listen: elsewhere,
  overrides: elsewhere,
  passwords: elsewhere,
  dialbackSecret: isDialbackSecret,
  allowPrivateAddresses: isBoolean,
  answerPings: isBoolean,
  coveredSenders: elsewhere,
  resolver: hasMethods('srv', 'addresses'),
  transport: hasMethods('connect', 'listen'),
  tls: hasMethods('createContext', 'client', 'server'),
  extensions: elsewhere,
  timeouts: elsewhere,
  limits: elsewhere,
  logger: hasMethods('debug', 'info', 'warn', 'error', 'child'),
  metrics: hasMethods('count', 'gauge', 'observe'),
  clock: hasMethods('now', 'setTimeout'),
  random: isFunction
}

/** Options after checking, with every default in place. */
export interface Settings {
  readonly extensions: Extensions
  readonly timeouts: Timeouts
  readonly limits: Limits
  readonly listen: readonly Required<Pick<ListenOptions, 'port' | 'tls'>>[] & readonly ListenOptions[]
  readonly overrides: ReadonlyMap<Domain, Override>
  readonly coveredSenders: DomainPatterns
  readonly passwords: ReadonlyMap<Domain, Password>
}

/**
 * Checks options and fills in the defaults. Called once by `createFederation`.
 *
 * @throws FederationError `S2S_CONFIG` whose message names the key
 */
export function settingsFrom(options: FederationOptions): Settings {
  const given = objectAt(options, 'options')
  checkKeys(given, Object.keys(CHECKS), 'options')
  for (const key of ['onStanza', 'domains']) if (given[key] === undefined) throw bad(key, 'is missing')
  for (const [key, check] of Object.entries(CHECKS)) {
    if (given[key] !== undefined) check(given[key], `options.${key}`)
  }
  if (options.clock !== undefined) checkClock(options.clock, 'options.clock')
  return {
    extensions: switches(options.extensions),
    timeouts: numbers('timeouts', options.timeouts, DEFAULT_TIMEOUTS, () => ({ least: 1, most: Number.MAX_SAFE_INTEGER })),
    limits: numbers('limits', options.limits, DEFAULT_LIMITS, limitBounds),
    listen: listeners(options.listen),
    coveredSenders: readPatterns(options.coveredSenders === undefined ? [] : options.coveredSenders, 'options.coveredSenders'),
    overrides: byDomain('overrides', options.overrides, isOverride),
    passwords: byDomain('passwords', options.passwords, isPassword)
  }
}

function bad(key: string, problem: string): FederationError {
  return unusable(`options.${key}`, problem)
}

function numbers<T extends { readonly [K in keyof T]: number }>(
  name: string,
  given: Partial<T> | undefined,
  defaults: T,
  bounds: (key: keyof T) => { readonly least: number; readonly most: number }
): T {
  if (given === undefined) return defaults
  objectAt(given, `options.${name}`)
  checkKeys(given, Object.keys(defaults), `options.${name}`)
  const merged = { ...defaults }
  for (const key of Object.keys(defaults) as (keyof T & string)[]) {
    const value = given[key]
    if (value === undefined) continue
    const { least, most } = bounds(key)
    wholeNumber(least, most)(value, `options.${name}.${key}`)
    merged[key] = value
  }
  return merged
}

function switches(given: Partial<Extensions> = {}): Extensions {
  checkKeys(objectAt(given, 'options.extensions'), Object.keys(EXTENSIONS), 'options.extensions')
  for (const [key, value] of Object.entries(given)) isBoolean(value, `options.extensions.${key}`)
  const { streamManagement = true, resumption = streamManagement } = given
  if (resumption && !streamManagement) throw bad('extensions.resumption', 'needs extensions.streamManagement')
  return { ...EXTENSIONS, ...given, resumption }
}

function listeners(given: FederationOptions['listen']): Settings['listen'] {
  if (given === false) return []
  const all: unknown = given === undefined ? [{ port: 5269 }] : given
  if (!Array.isArray(all)) throw wrong('options.listen', 'a list of { host, port, tls }, or false', shown(all))
  return all.map((each: ListenOptions, index) => {
    isListener(each, `options.listen[${index}]`)
    return { ...each, tls: each.tls ?? 'starttls' }
  })
}

function byDomain<T extends object>(key: string, given: Readonly<Record<string, T>> | undefined, check: Check): ReadonlyMap<Domain, T> {
  const map = new Map<Domain, T>()
  if (given !== undefined) objectAt(given, `options.${key}`)
  for (const [name, value] of Object.entries(given ?? {})) {
    check(value, `options.${key}[${JSON.stringify(name)}]`)
    const canonical = hostedName(name, key)
    if (map.has(canonical)) throw bad(key, `names ${canonical} twice`)
    map.set(canonical, value)
  }
  return map
}

function hostedName(name: string, key: string): Domain {
  try {
    return domain(name)
  } catch (cause) {
    throw new FederationError('S2S_CONFIG', { detail: `options.${key} names ${JSON.stringify(name)}, which is not a domain`, cause })
  }
}
