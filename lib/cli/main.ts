#!/usr/bin/env node
import { runCommandLine } from './command-line.ts'
import { terminalOf } from './terminal.ts'

// A reader that has seen enough (`| head`) is no reason to fail loudly.
process.stdout.on('error', () => process.exit(1))
process.exitCode = await runCommandLine(process.argv.slice(2), terminalOf(process))
