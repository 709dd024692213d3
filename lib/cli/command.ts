import { parseArgs } from 'node:util'
import { FederationError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

/** One option of a subcommand: what parseArgs needs, and what the help says. */
export interface Option {
  readonly type: 'string' | 'boolean'
  readonly multiple?: true
  /** It has to be given. */
  readonly required?: true
  /** One letter, for `-h`. */
  readonly short?: string
  /** What stands for the value in the help. */
  readonly value?: string
  readonly about: string
}

export type Options = Readonly<Record<string, Option>>

/** What was given for each option. */
export type Values<O extends Options> = {
  readonly [K in keyof O]: O[K] extends { readonly required: true } ? Value<O[K]> : Value<O[K]> | undefined
}

type Value<O extends Option> = O['type'] extends 'boolean' ? boolean : O extends { readonly multiple: true } ? readonly string[] : string

/** A subcommand as it is written down. */
export interface CommandShape<O extends Options> {
  readonly name: string
  readonly summary: string
  /** Whole sentences below the usage line. */
  readonly about: string
  /** The names of the arguments that have to be there, in order. */
  readonly positionals: readonly string[]
  readonly options: O
  /** Answers whether it succeeded. Rejects with FederationErrors; `S2S_CONFIG` is a mistake in what was asked. */
  run(values: Values<O> & { readonly json: boolean }, positionals: readonly string[], terminal: Terminal): Promise<boolean>
}

/** A subcommand as `main` sees it. */
export interface Command {
  readonly name: string
  readonly summary: string
  readonly help: string
  run(args: readonly string[], terminal: Terminal): Promise<boolean>
}

/** A mistake in the command line or in a file that it names: one sentence, without a full stop. */
export function usageError(detail: string, cause?: unknown): FederationError {
  return new FederationError('S2S_CONFIG', { detail, cause })
}

/** Makes a subcommand: `--help` and `--json` are everywhere, unknown options and wrong counts of arguments are usage errors. */
export function command<O extends Options>(shape: CommandShape<O>): Command {
  const options = {
    ...shape.options,
    json: { type: 'boolean', about: 'print JSON instead of text' },
    help: { type: 'boolean', short: 'h', about: 'print this help' }
  } as const
  const help = helpOf(shape, options)
  return {
    name: shape.name,
    summary: shape.summary,
    help,
    async run(args, terminal) {
      const { values, positionals } = parse(args, options)
      if (values['help'] === true) {
        terminal.out(help)
        return true
      }
      checkCount(positionals, shape.positionals)
      for (const [name, { required, about }] of Object.entries(shape.options))
        if (required === true && values[name] === undefined) throw usageError(`--${name} is missing: ${about}`)
      // parseArgs has checked every value against the very options that Values is computed from.
      const typed = { ...values, json: values['json'] === true } as Values<O> & { readonly json: boolean }
      return shape.run(typed, positionals, terminal)
    }
  }
}

function parse(args: readonly string[], options: Options) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    // What follows explains parseArgs' own ways out, which a stranger has no use for.
    throw usageError(message.split(/\. To specify|\n/)[0]?.replace(/\.$/, '') ?? message, cause)
  }
}

function checkCount(given: readonly string[], wanted: readonly string[]): void {
  const missing = wanted[given.length]
  if (missing !== undefined) throw usageError(`${missing} is missing`)
  const [extra] = given.slice(wanted.length)
  if (extra !== undefined) throw usageError(`nothing is done with ${JSON.stringify(extra)}`)
}

function helpOf(shape: Pick<CommandShape<Options>, 'name' | 'about' | 'positionals'>, options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => {
    return {
      flag: `${option.short === undefined ? '' : `-${option.short}, `}${flagOf(name, option)}`,
      about: option.multiple === true ? `${option.about} (may be repeated)` : option.about
    }
  })
  const width = Math.max(...rows.map(({ flag }) => flag.length))
  const needed = Object.entries(options).flatMap(([name, option]) => (option.required === true ? [flagOf(name, option)] : []))
  const usage = ['Usage: xmpp-federation', shape.name, ...shape.positionals, ...needed, '[options]'].join(' ')
  return [usage, '', shape.about, '', 'Options:', ...rows.map(({ flag, about }) => `  ${flag.padEnd(width)}  ${about}`)].join('\n')
}

function flagOf(name: string, { type, value = 'VALUE' }: Option): string {
  return type === 'string' ? `--${name} ${value}` : `--${name}`
}
