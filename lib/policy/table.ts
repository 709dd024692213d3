import { FederationError } from '../errors.ts'
import type { CertificateState } from '../model/certificate.ts'
import { LEVELS } from '../model/level.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { LadderOptions, Policy } from '../model/policy.ts'
import type { Offers, Side } from '../model/side.ts'
import { policies } from './presets.ts'

/** One row of a table of expectations: two sides, and where they are expected to end; undefined: nowhere. */
export interface TableRow {
  readonly initiator: Side
  readonly receiver: Side
  readonly expected: SecurityLevel | undefined
  /** The table's sentence for it, where it has one. */
  readonly reason: string | undefined
  /** The two sides as the table wrote them, for messages. */
  readonly text: string
}

const STATES: readonly (CertificateState | 'invalid')[] = [
  'valid',
  'self-signed',
  'expired',
  'not-yet-valid',
  'wrong-host',
  'unknown-ca',
  'broken-chain',
  'server-auth-only',
  'missing',
  'invalid'
]

const ENCRYPTION = { required: 'required', optional: 'when-offered', disabled: 'never' } as const

/**
 * Reads a table of expectations: `{ rows: [{ initiator, receiver, expected, reason? }], reasons? }`. A side is either in the words
 * of Openfire's tests (`encryption`, `certificate`, `strict`, `dialback`, which become options of `ladder`), or names a preset
 * (`policy`, `options`, `offers`, `domain`); its `certificate` is a state of the testing kit, `invalid` meaning expired.
 *
 * @throws FederationError `S2S_CONFIG` naming the place in the table that is not usable
 */
export function readTable(table: unknown): readonly TableRow[] {
  const { rows, reasons } = objectAt('the table', table)
  if (!Array.isArray(rows)) throw unusable('rows', 'a list of rows', rows)
  const known: readonly [string, unknown][] = reasons === undefined ? [] : Object.entries(objectAt('reasons', reasons))
  return rows.map((row: unknown, index) => readRow(row, `rows[${index}]`, new Map(known)))
}

function readRow(value: unknown, at: string, reasons: ReadonlyMap<string, unknown>): TableRow {
  const row = objectAt(at, value)
  const level = oneOf(`${at}.expected`, row['expected'], [...LEVELS, 'none' as const])
  const given = typeof row['reason'] === 'string' ? row['reason'] : undefined
  const sentence = given === undefined ? undefined : reasons.get(given)
  return {
    initiator: readTableSide(row['initiator'], `${at}.initiator`),
    receiver: readTableSide(row['receiver'], `${at}.receiver`),
    expected: level === 'none' ? undefined : level,
    reason: typeof sentence === 'string' ? sentence : given,
    text: `${JSON.stringify(row['initiator'])} → ${JSON.stringify(row['receiver'])}`
  }
}

function readTableSide(value: unknown, at: string): Side {
  const side = objectAt(at, value)
  const state = oneOf(`${at}.certificate`, side['certificate'], STATES)
  const certificate = state === 'invalid' ? 'expired' : state
  const { domain, offers } = side
  if (domain !== undefined && typeof domain !== 'string') throw unusable(`${at}.domain`, 'a domain', domain)
  const isPreset = side['policy'] !== undefined || side['options'] !== undefined
  checkKeys(
    at,
    side,
    isPreset
      ? ['policy', 'options', 'certificate', 'offers', 'domain']
      : ['encryption', 'strict', 'dialback', 'certificate', 'offers', 'domain']
  )
  return {
    policy: isPreset ? presetPolicy(side, at) : openfirePolicy(side, at),
    certificate,
    ...(domain === undefined ? {} : { domain }),
    ...(offers === undefined ? {} : { offers: readOffers(offers, `${at}.offers`) })
  }
}

function presetPolicy({ policy, options }: Readonly<Record<string, unknown>>, at: string): Policy {
  const name = oneOf(`${at}.policy`, policy ?? 'ladder', ['ladder', 'openfire36', 'encrypted', 'strict'])
  const given: LadderOptions = options === undefined ? {} : objectAt(`${at}.options`, options)
  try {
    return policies[name](given)
  } catch (error) {
    if (!FederationError.is(error)) throw error
    throw new FederationError('S2S_CONFIG', { detail: `${at}.options: ${error.detail ?? error.message}` })
  }
}

function openfirePolicy(side: Readonly<Record<string, unknown>>, at: string): Policy {
  const encryption = oneOf(`${at}.encryption`, side['encryption'], ['required', 'optional', 'disabled'])
  const isStrict = oneOf(`${at}.strict`, side['strict'], [true, false])
  const hasDialback = oneOf(`${at}.dialback`, side['dialback'], [true, false])
  return policies.ladder({
    tls: ENCRYPTION[encryption],
    invalidCertificate: isStrict ? 'abort' : 'encrypt-only',
    dialback: hasDialback ? 'always' : 'never'
  })
}

function readOffers(value: unknown, at: string): Offers {
  const offers = objectAt(at, value)
  checkKeys(at, offers, ['starttls', 'external', 'dialback'])
  const { starttls, external, dialback } = offers
  return {
    ...(starttls === undefined ? {} : { starttls: oneOf(`${at}.starttls`, starttls, [true, false, 'fails']) }),
    ...(external === undefined ? {} : { external: oneOf(`${at}.external`, external, [true, false, 'refused']) }),
    ...(dialback === undefined ? {} : { dialback: oneOf(`${at}.dialback`, dialback, [true, false]) })
  }
}

function objectAt(at: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(at, 'an object', value)
  return Object.fromEntries(Object.entries(value))
}

function oneOf<const T extends string | boolean>(at: string, value: unknown, values: readonly T[]): T {
  const found = values.find(each => each === value)
  if (found === undefined) throw unusable(at, `one of ${values.join(', ')}`, value)
  return found
}

function checkKeys(at: string, value: Readonly<Record<string, unknown>>, keys: readonly string[]): void {
  const unknown = Object.keys(value).find(key => !keys.includes(key))
  if (unknown !== undefined)
    throw new FederationError('S2S_CONFIG', { detail: `${at} has no ${JSON.stringify(unknown)}; it takes ${keys.join(', ')}` })
}

function unusable(at: string, wanted: string, value: unknown): FederationError {
  const shown = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 80)
  return new FederationError('S2S_CONFIG', { detail: `${at} has to be ${wanted}, not ${shown}` })
}
