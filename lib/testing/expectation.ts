import type { Frame } from '../xml/framer.ts'
import { oneLine } from './transcript.ts'

/** Attributes an element or header must have; undefined: must not have. */
export type Expected = Readonly<Record<string, string | undefined>>

/** How a connection ended. */
export type Ending = 'fin' | 'reset'

export function shown(arrived: Frame | Ending): string {
  if (typeof arrived === 'string') return arrived === 'fin' ? 'the end of the connection' : 'a reset'
  if (arrived.kind === 'close') return 'the closing tag'
  return arrived.kind === 'element' ? oneLine(arrived.bytes().toString()) : 'a stream header'
}

export function agrees(actual: Expected, expected: Expected): boolean {
  return Object.entries(expected).every(([name, value]) => actual[name] === value)
}

export function described(expected: Expected): string {
  const parts = Object.entries(expected).map(([name, value]) => (value === undefined ? `without ${name}` : `${name}='${value}'`))
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}
