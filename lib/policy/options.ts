import { FederationError } from '../errors.ts'
import { LEVELS } from '../model/level.ts'
import type { LadderOptions } from '../model/policy.ts'
import { objectAt, shown } from '../rules/option-value.ts'

/** Every option with the values it takes. */
const VALUES: { readonly [K in keyof LadderOptions]-?: readonly LadderOptions[K][] } = {
  tls: ['never', 'when-offered', 'required'],
  invalidCertificate: ['abort', 'encrypt-only', 'reconnect-plain'],
  acceptSelfSigned: [true, false],
  external: [true, false],
  dialback: ['never', 'over-tls', 'always'],
  verification: ['when-offered', 'required'],
  minimumLevel: LEVELS
}

/**
 * The options of a preset, each with its value.
 *
 * @param allowed - the keys this preset takes; all of them by default
 * @throws FederationError `S2S_CONFIG` naming the key that is unknown, or whose value is not one it takes
 */
export function readOptions(
  preset: string,
  given: LadderOptions,
  defaults: Required<LadderOptions>,
  allowed: readonly string[] = Object.keys(VALUES)
): Required<LadderOptions> {
  const entries = Object.entries(objectAt(given, `${preset}: options`)).filter(([, value]) => value !== undefined)
  for (const [key, value] of entries) checkOption(preset, key, value, allowed)
  return { ...defaults, ...Object.fromEntries(entries) }
}

function checkOption(preset: string, key: string, value: unknown, allowed: readonly string[]): void {
  const values: readonly unknown[] | undefined = allowed.includes(key)
    ? Object.entries(VALUES).find(([name]) => name === key)?.[1]
    : undefined
  if (values === undefined)
    throw new FederationError('S2S_CONFIG', { detail: `${preset} has no option ${JSON.stringify(key)}; it takes ${allowed.join(', ')}` })
  if (values.includes(value)) return
  throw new FederationError('S2S_CONFIG', {
    detail: `${preset}: ${key} must be one of ${values.map(String).join(', ')}, not ${shown(value)}`
  })
}
