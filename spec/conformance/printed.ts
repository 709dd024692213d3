import type { Spec } from './citations.ts'
import type { Statement } from './table.ts'

const LABEL = 46

/** The table for people: each § with its figures, then whatever is not simply covered. */
export function printed(table: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): string {
  const lines: string[] = []
  for (const chapter of [...new Set(table.map(row => row.chapter))].sort((a, b) => a - b)) {
    const rows = table.filter(row => row.chapter === chapter)
    const label = `§${String(chapter).padStart(2)}  ${[...new Set(rows.map(row => row.section))].join(', ')}`
    lines.push(`${label.padEnd(LABEL)} ${figures(rows, byId)}`, ...notCovered(rows), ...open(rows, byId))
  }
  lines.push(`${'in all'.padEnd(LABEL)} ${figures(table, byId)}`)
  return lines.join('\n')
}

/** Deviations and plans: what shares a reason stands together. */
function notCovered(rows: readonly Statement[]): readonly string[] {
  const because = new Map<string, string[]>()
  for (const { id, state, reason } of rows) {
    if (state === 'covered') continue
    const line = `    ${state.padEnd(10)} ${reason ?? ''}`
    because.set(line, [...(because.get(line) ?? []), id])
  }
  return [...because].flatMap(([line, ids]) => [line, `               ${ids.join(' ')}`])
}

function open(rows: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): readonly string[] {
  return rows
    .filter(row => row.state === 'covered' && !isCited(row, byId))
    .map(row => `    ${'open'.padEnd(10)} ${row.id.padEnd(24)} ${row.statement}`)
}

function figures(rows: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): string {
  const covered = rows.filter(row => row.state === 'covered')
  const cited = covered.filter(row => isCited(row, byId)).length
  const count = (state: Statement['state']): number => rows.filter(row => row.state === state).length
  const isRun = [...byId.values()].every(specs => specs.every(spec => spec.outcome !== 'listed'))
  const parts = [
    `${cited} ${isRun ? 'covered by a passing spec' : 'cited by a spec'}`,
    `${count('deviation')} deviations`,
    `${count('planned')} planned`,
    `${covered.length - cited} open`
  ]
  return `${String(rows.length).padStart(4)}: ${parts.join(', ')}`
}

function isCited(row: Statement, byId: ReadonlyMap<string, readonly Spec[]>): boolean {
  return (byId.get(row.id) ?? []).some(spec => spec.outcome === 'passed' || spec.outcome === 'listed')
}
