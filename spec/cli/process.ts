import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))

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

/** Runs the command from its sources, as another process. */
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
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], { env: { ...process.env, NO_COLOR: '1' } })
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
