import { readFileSync } from 'node:fs'

export type State = 'covered' | 'deviation' | 'planned'

/** One statement of the protocol that this engine is held to. */
export interface Statement {
  readonly id: string
  readonly section: string
  readonly statement: string
  readonly state: State
  /** Why not, for a deviation or a plan. */
  readonly reason?: string
}

const MAX_PLANNED = 15

const ID = /^(?:RFC|XEP|ENG|SEC)[A-Z0-9]*-[A-Za-z0-9.-]+$/
const STATES: readonly string[] = ['covered', 'deviation', 'planned']

export function readTable(file: URL | string): readonly Statement[] {
  return JSON.parse(readFileSync(file, 'utf8')) as readonly Statement[]
}

/** What is wrong with the table itself, a sentence each. */
export function faultsOfTable(table: readonly Statement[]): readonly string[] {
  const faults: string[] = []
  const seen = new Set<string>()
  for (const { id, statement, state, reason } of table) {
    if (!ID.test(id)) faults.push(`${id} is not an id`)
    if (seen.has(id)) faults.push(`${id} stands twice`)
    seen.add(id)
    if (statement.trim() === '') faults.push(`${id} states nothing`)
    if (!STATES.includes(state)) faults.push(`${id} has the unknown state ${state}`)
    if (state !== 'covered' && (reason ?? '').trim() === '') faults.push(`${id} is ${state} without a reason`)
    if (state === 'planned' && id.startsWith('SEC-')) faults.push(`${id} is about security and cannot wait`)
  }
  const planned = table.filter(row => row.state === 'planned').length
  if (planned > MAX_PLANNED) faults.push(`${planned} statements are planned, ${MAX_PLANNED} may be`)
  return faults
}
