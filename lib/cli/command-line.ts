import { createRequire } from 'node:module'
import { FederationError } from '../errors.ts'
import { usageError } from './command.ts'
import type { Command } from './command.ts'
import type { Terminal } from './terminal.ts'

// Loaded when asked for: `certs` has no need of an engine.
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.ts')).demo,
  check: async () => (await import('./check.ts')).check,
  serve: async () => (await import('./serve.ts')).serve,
  certs: async () => (await import('./certs.ts')).certs,
  predict: async () => (await import('./predict.ts')).predict,
  explain: async () => (await import('./explain.ts')).explain
}

const SUCCEEDED = 0
const FAILED = 1
const MISUSED = 2

/** Runs a command line and answers the exit code. Never rejects: every error is one sentence on standard error. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args
  try {
    if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
      terminal.out(await help())
      return name === undefined ? MISUSED : SUCCEEDED
    }
    if (name === '--version') {
      terminal.out(version())
      return SUCCEEDED
    }
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (load === undefined)
      throw usageError(`there is no subcommand ${JSON.stringify(name)}; there are ${Object.keys(COMMANDS).join(', ')}`)
    const command = await load()
    return (await command.run(rest, terminal)) ? SUCCEEDED : FAILED
  } catch (thrown) {
    return tellError(FederationError.from(thrown), terminal)
  }
}

/** Says what went wrong in one sentence, and answers the exit code. */
export function tellError(error: FederationError, terminal: Pick<Terminal, 'note' | 'progress'>): number {
  const isMisuse = error.code === 'S2S_CONFIG'
  terminal.progress(undefined)
  terminal.note(`xmpp-federation: ${isMisuse && error.detail !== undefined ? `${error.detail}.` : error.message}`)
  return isMisuse ? MISUSED : FAILED
}

/** Of the package: its file is two folders up from here, before and after it is built. */
function version(): string {
  const { version: number } = createRequire(import.meta.url)('../../package.json') as { readonly version: string }
  return number
}

async function help(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map(load => load()))
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    'Usage: xmpp-federation SUBCOMMAND [options] | --help | --version',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    '`xmpp-federation SUBCOMMAND --help` says more. The exit code is 0 only on success.'
  ].join('\n')
}
