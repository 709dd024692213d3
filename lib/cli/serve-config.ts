import { resolve } from 'node:path'
import {
  allowOnly,
  block,
  DEFAULT_LIMITS,
  DEFAULT_TIMEOUTS,
  dnsResolver,
  domain,
  forDomains,
  layer,
  pin,
  ratchet,
  systemResolver
} from '../index.ts'
import type {
  Credentials,
  DialbackSecret,
  FederationOptions,
  Guard,
  LadderOptions,
  Limits,
  Policy,
  Resolver,
  Timeouts,
  Trust
} from '../index.ts'
import { limitBounds } from '../defaults.ts'
import { isDialbackSecret } from '../option-checks.ts'
import { readPatterns } from '../rules/domain-patterns.ts'
import { readCredentials } from '../transport/credentials.ts'
import { usageError } from './command.ts'
import { readNamedFile, readSecretFile } from './files.ts'
import { either, flag, listOf, oneOf, optional, recordOf, required, shapeOf, text, whole, wrong } from './json-shape.ts'
import type { Read } from './json-shape.ts'
import { readPlace } from './places.ts'
import { blaming, ladderOptions, presetName, presetOf } from './policy-options.ts'

/** What a config file of `serve` says. */
export interface ServeConfig {
  readonly federation: Omit<FederationOptions, 'onStanza' | 'logger'>
  /** Whether messages are sent back. */
  readonly echo: boolean
}

/**
 * Reads a config file's value. File names in it are relative to `folder`.
 *
 * @throws FederationError `S2S_CONFIG` naming the first wrong key or value with its path in the file
 */
export function readServeConfig(value: unknown, folder: string): ServeConfig {
  const { domains, listen, resolver, trust, policy, guards, overrides, dialbackSecret, timeouts, limits, echo } = configReader(folder)(
    value,
    ''
  )
  if (Object.keys(domains).length === 0) throw usageError('domains names no domain')
  return {
    echo: echo ?? false,
    federation: {
      domains,
      ...(listen === undefined ? {} : { listen }),
      ...(resolver ?? {}),
      ...(trust === undefined ? {} : { trust }),
      ...(policy === undefined ? {} : { policy }),
      ...(guards === undefined ? {} : { guards }),
      ...(overrides === undefined ? {} : { overrides }),
      ...(dialbackSecret === undefined ? {} : { dialbackSecret }),
      ...(timeouts === undefined ? {} : { timeouts }),
      ...(limits === undefined ? {} : { limits })
    }
  }
}

function configReader(folder: string) {
  const file: Read<string> = (value, path) => readNamedFile(resolve(folder, text(value, path)), path)
  return shapeOf({
    domains: required(hostedDomains(file)),
    listen: optional(
      either(
        value => value === false,
        () => false as const,
        listOf(listener)
      )
    ),
    resolver: optional(resolverParts),
    trust: optional(trustWith(file)),
    policy: optional(policyReader),
    guards: optional(listOf(guard)),
    overrides: optional(byDomain(override)),
    dialbackSecret: optional(secretWith(folder)),
    timeouts: optional(timeoutsReader),
    limits: optional(limitsReader),
    echo: optional(flag)
  })
}

const port = whole(0, 65_535)
const tlsKind = oneOf('starttls', 'direct')
const listener = shapeOf({ host: optional(text), port: required(port), tls: optional(tlsKind) })
const override = shapeOf({ host: required(text), port: optional(whole(1, 65_535)), tls: optional(tlsKind) })

const isNull = (value: unknown): boolean => value === null
const nothing: Read<undefined> = () => undefined

function byDomain<T>(read: Read<T>): Read<Readonly<Record<string, T>>> {
  return (value, path) => {
    const all = recordOf(read)(value, path)
    for (const name of Object.keys(all)) blaming(`${path}[${JSON.stringify(name)}]`, () => domain(name))
    return all
  }
}

/** null: hosted without a certificate. */
function hostedDomains(file: Read<string>): Read<Readonly<Record<string, Credentials | undefined>>> {
  const fields = shapeOf({ cert: required(file), key: required(file), passphrase: optional(text) })
  return byDomain(
    either(isNull, nothing, (value, path): Credentials => {
      const credentials = fields(value, path)
      blaming(path, () => readCredentials(credentials))
      return credentials
    })
  )
}

const server: Read<string> = (value, path) => {
  const written = text(value, path)
  readPlace(path, written)
  return written
}

const resolverFields = shapeOf({
  system: optional(flag),
  servers: optional(listOf(server)),
  trustAd: optional(flag),
  allowPrivateAddresses: optional(flag)
})

const resolverParts: Read<{ readonly resolver?: Resolver; readonly allowPrivateAddresses?: boolean }> = (value, path) => {
  const { system, allowPrivateAddresses, ...dns } = resolverFields(value, path)
  if (system === true && Object.keys(dns).length > 0)
    throw usageError(`${path}.system leaves no room for ${Object.keys(dns).join(' and ')}`)
  return {
    resolver: system === true ? systemResolver() : blaming(path, () => dnsResolver(dns)),
    ...(allowPrivateAddresses === undefined ? {} : { allowPrivateAddresses })
  }
}

function trustWith(file: Read<string>): Read<Trust> {
  const files = listOf(file)
  return shapeOf({
    default: optional(either(value => typeof value === 'string', oneOf('bundled', 'system'), files)),
    also: optional(files),
    forDomains: optional(listOf(shapeOf({ patterns: required(patterns), ca: required(files), only: optional(flag) })))
  })
}

/** Files, so that the config itself is none to hide. */
function secretWith(folder: string): Read<DialbackSecret> {
  const secret: Read<string> = (value, path) => readSecretFile(resolve(folder, text(value, path)), path)
  const fields = shapeOf({ current: required(secret), accepted: optional(listOf(secret)) })
  return (value, path) => {
    const secrets = fields(value, path)
    isDialbackSecret(secrets, path)
    return secrets
  }
}

const patterns: Read<readonly string[]> = (value, path) => {
  const written = listOf(text)(value, path)
  readPatterns(written, path)
  return written
}

const preset = { preset: required(presetName), options: optional(ladderOptions) }
const scopedFields = shapeOf({ patterns: required(patterns), ...preset })
const policyFields = shapeOf({ ...preset, forDomains: optional(listOf(scoped)) })

function scoped(value: unknown, path: string): Policy {
  const { patterns: where, ...chosen } = scopedFields(value, path)
  return forDomains(where, policyOf(chosen, path))
}

const policyReader: Read<Policy> = (value, path) => {
  const { forDomains: layers, ...chosen } = policyFields(value, path)
  return layer(...(layers ?? []), policyOf(chosen, path))
}

function policyOf(chosen: { readonly preset: ReturnType<typeof presetName>; readonly options?: LadderOptions }, path: string): Policy {
  return presetOf(chosen.preset, chosen.options, `${path}.options`)
}

const digest: Read<string> = (value, path) => {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/i.test(value.replaceAll(':', '')))
    throw wrong(path, 'a SHA-256 digest, 64 hexadecimal digits', value)
  return value
}

const guardFields = shapeOf({
  kind: required(oneOf('pin', 'block', 'allowOnly', 'ratchet')),
  patterns: required(patterns),
  pins: optional(listOf(shapeOf({ leaf256: optional(digest), spki256: optional(digest) }))),
  hold: optional(oneOf('encryption', 'level'))
})

const guard: Read<Guard> = (value, path) => {
  const { kind, patterns: where, pins, hold } = guardFields(value, path)
  if (hold !== undefined && kind !== 'ratchet') throw usageError(`${path}.hold belongs to a guard of the kind ratchet`)
  if (kind === 'pin') {
    if (pins === undefined) throw usageError(`${path}.pins is missing`)
    return blaming(path, () => pin(where, pins))
  }
  if (pins !== undefined) throw usageError(`${path}.pins belongs to a guard of the kind pin`)
  if (kind === 'ratchet') return forDomains(where, ratchet(hold === undefined ? {} : { hold }))
  return kind === 'block' ? block(where) : allowOnly(where)
}

const timeoutsReader: Read<Partial<Timeouts>> = (value, path) => {
  const keys = Object.keys(DEFAULT_TIMEOUTS) as (keyof Timeouts)[]
  return shapeOf(Object.fromEntries(keys.map(key => [key, optional(whole(1, Number.MAX_SAFE_INTEGER))] as const)))(value, path)
}

const limitsReader: Read<Partial<Limits>> = (value, path) => {
  const keys = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]
  const fields = keys.map(key => {
    const { least, most } = limitBounds(key)
    return [key, optional(whole(least, most))] as const
  })
  return shapeOf(Object.fromEntries(fields))(value, path)
}
