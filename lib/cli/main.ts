#!/usr/bin/env node
import { FederationError } from '../errors.ts'
import { runCommandLine, tellError } from './command-line.ts'
import { terminalOf } from './terminal.ts'

const terminal = terminalOf(process)
// A reader that has seen enough (`| head`) is no reason to fail loudly.
process.stdout.on('error', () => process.exit(1))
// Nothing is known to come here; if something does, it is one sentence as well.
process.on('uncaughtException', thrown => process.exit(tellError(FederationError.from(thrown), terminal)))
process.exitCode = await runCommandLine(process.argv.slice(2), terminal)
