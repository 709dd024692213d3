import { LEVELS } from '../model/level.ts'
import { FederationError, policies } from '../index.ts'
import type { LadderOptions, Policy } from '../index.ts'
import { usageError } from './command.ts'
import { flag, oneOf, optional, shapeOf } from './json-shape.ts'
import type { Read } from './json-shape.ts'

/** The presets by name. */
export const presetName: Read<keyof typeof policies> = oneOf('ladder', 'openfire36', 'encrypted', 'strict')

/** The options of presets; what one preset does not take, it refuses itself. */
export const ladderOptions: Read<LadderOptions> = shapeOf({
  tls: optional(oneOf('required', 'when-offered', 'never')),
  invalidCertificate: optional(oneOf('abort', 'encrypt-only', 'reconnect-plain')),
  acceptSelfSigned: optional(flag),
  external: optional(flag),
  dialback: optional(oneOf('never', 'over-tls', 'always')),
  verification: optional(oneOf('when-offered', 'required')),
  minimumLevel: optional(oneOf(...LEVELS))
})

/** A preset with options that were read at `path`. */
export function presetOf(name: keyof typeof policies, options: LadderOptions | undefined, path: string): Policy {
  return blaming(path, () => policies[name](options))
}

/** Options as a command line has them: `acceptSelfSigned=true`. */
export function optionsFromWords(words: readonly string[]): LadderOptions {
  const given = words.map(word => {
    const at = word.indexOf('=')
    if (at < 1) throw usageError(`--option has to be NAME=VALUE, not ${JSON.stringify(word)}`)
    const value = word.slice(at + 1)
    return [word.slice(0, at), value === 'true' || value === 'false' ? value === 'true' : value] as const
  })
  return blaming('--option', () => ladderOptions(Object.fromEntries(given), ''))
}

/** What the library finds unusable, said about the place it came from. */
export function blaming<T>(path: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    if (!FederationError.is(cause)) throw cause
    throw usageError(`${path}: ${cause.detail ?? cause.message}`, cause)
  }
}
