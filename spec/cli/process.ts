import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const lib = fileURLToPath(new URL('../../lib', import.meta.url))
const built = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** What `npm test` has built, or the sources where they are newer: those start a second later. */
const MAIN = isUpToDate() ? [built] : ['--import', 'tsx', join(lib, 'cli', 'main.ts')]

function isUpToDate(): boolean {
  const since = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return readdirSync(lib, { recursive: true, encoding: 'utf8' }).every(name => statSync(join(lib, name)).mtimeMs <= since)
}

/** A finished run of the command. */
export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A run that goes on. */
export interface Running {
  /** The next line of standard output. */
  line(): Promise<string>
  /** Everything so far on standard error. */
  readonly stderr: string
  /** Ends it as an operator would, and waits for it. */
  end(signal?: NodeJS.Signals): Promise<Run>
}

/** Runs the command as another process. */
export async function run(...args: readonly string[]): Promise<Run> {
  const child = start(args)
  child.stdin.end()
  return await finished(child)
}

/** Starts the command and leaves it running. */
export function begin(...args: readonly string[]): Running {
  const child = start(args)
  const ending = finished(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let stderr = ''
  child.stderr.on('data', (text: string) => (stderr += text))
  return {
    async line() {
      const next = await lines.next()
      if (next.done === true) throw new Error(`the command has ended: ${stderr}`)
      return next.value
    },
    get stderr() {
      return stderr
    },
    end(signal = 'SIGTERM') {
      child.kill(signal)
      return ending
    }
  }
}

function start(args: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [...MAIN, ...args], { env: { ...process.env, NO_COLOR: '1' } })
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8')
  return child
}

async function finished(child: ChildProcessWithoutNullStreams): Promise<Run> {
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text: string) => (stdout += text))
  child.stderr.on('data', (text: string) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}
