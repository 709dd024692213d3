import { readFileSync } from 'node:fs'

export type State = 'covered' | 'deviation' | 'planned'

/** One statement of the protocol that this engine is held to. */
export interface Statement {
  readonly id: string
  /** The § of the protocol that it belongs to; `section` says in a word what it is about. */
  readonly chapter: number
  readonly section: string
  readonly statement: string
  readonly state: State
  /** Why not, for a deviation or a plan; for what is covered, at what size it is, where the protocol names a larger one. */
  readonly reason?: string
}

/** What is to come as a whole: further proofs of a domain (DANE, POSH), and other transports. Nothing else may wait. */
const PLANNED_CHAPTERS: readonly number[] = [12, 15]

const ID = /^(?:RFC|XEP|ENG|SEC|PROXY)[A-Z0-9]*-[A-Za-z0-9.-]+$/
const STATES: readonly string[] = ['covered', 'deviation', 'planned']

export function readTable(file: URL | string): readonly Statement[] {
  return JSON.parse(readFileSync(file, 'utf8')) as readonly Statement[]
}

/** What is wrong with the table itself, a sentence each. */
export function faultsOfTable(table: readonly Statement[]): readonly string[] {
  const faults: string[] = []
  const seen = new Set<string>()
  for (const { id, chapter, statement, state, reason } of table) {
    if (!ID.test(id)) faults.push(`${id} is not an id`)
    if (seen.has(id)) faults.push(`${id} stands twice`)
    seen.add(id)
    if (!Number.isSafeInteger(chapter)) faults.push(`${id} belongs to no §`)
    if (statement.trim() === '') faults.push(`${id} states nothing`)
    if (!STATES.includes(state)) faults.push(`${id} has the unknown state ${state}`)
    if (state !== 'covered' && (reason ?? '').trim() === '') faults.push(`${id} is ${state} without a reason`)
    if (state === 'planned' && !PLANNED_CHAPTERS.includes(chapter)) faults.push(`${id} is of §${chapter}, where nothing may wait`)
  }
  return faults
}
