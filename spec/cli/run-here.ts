import { runCommandLine } from '../../lib/cli/command-line.ts'
import { terminalOf } from '../../lib/cli/terminal.ts'
import type { Run } from './process.ts'

/** Runs a command line in this process. */
export async function runHere(...args: readonly string[]): Promise<Run> {
  let [stdout, stderr] = ['', '']
  const terminal = terminalOf({ stdout: { write: text => (stdout += text) }, stderr: { write: text => (stderr += text) }, env: {} })
  const code = await runCommandLine(args, terminal)
  return { code, stdout, stderr }
}
