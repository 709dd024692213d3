import { readFileSync } from 'node:fs'
import { usageError } from './command.ts'

/** A file that the command line or a config names, or `-` for standard input. `about` says which, in the error. */
export function readNamedFile(path: string, about: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (cause) {
    throw usageError(`${about} cannot be read: ${systemReason(cause)}: ${path}`, cause)
  }
}

/** A JSON file. */
export function readJsonFile(path: string, about: string): unknown {
  const text = readNamedFile(path, about)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw usageError(`${path} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
  }
}

/** The part of a file system error that is for people: "no such file or directory". */
export function systemReason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause)
  return /^[A-Z]+: ([^,]+)/.exec(message)?.[1] ?? message
}

/** A file with a secret in it: its last line feed is the editor's. */
export function readSecretFile(path: string, about: string): string {
  return readNamedFile(path, about).replace(/\r?\n$/, '')
}
