import type { Spec } from './citations.ts'
import type { Statement } from './table.ts'

/** The table for people: each section with its figures, then whatever is not simply covered. */
export function printed(table: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): string {
  const lines: string[] = []
  for (const section of new Set(table.map(row => row.section))) {
    const rows = table.filter(row => row.section === section)
    lines.push(`${section.padEnd(14)} ${figures(rows, byId)}`)
    for (const row of rows) {
      if (row.state !== 'covered') lines.push(`    ${row.state.padEnd(10)} ${row.id.padEnd(24)} ${row.reason ?? ''}`)
      else if (!isCited(row, byId)) lines.push(`    ${'open'.padEnd(10)} ${row.id.padEnd(24)} ${row.statement}`)
    }
  }
  lines.push(`${'in all'.padEnd(14)} ${figures(table, byId)}`)
  return lines.join('\n')
}

function figures(rows: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): string {
  const covered = rows.filter(row => row.state === 'covered')
  const cited = covered.filter(row => isCited(row, byId)).length
  const count = (state: Statement['state']): number => rows.filter(row => row.state === state).length
  const parts = [
    `${cited} covered by a spec`,
    `${count('deviation')} deviations`,
    `${count('planned')} planned`,
    `${covered.length - cited} open`
  ]
  return `${String(rows.length).padStart(4)}: ${parts.join(', ')}`
}

function isCited(row: Statement, byId: ReadonlyMap<string, readonly Spec[]>): boolean {
  return (byId.get(row.id) ?? []).some(spec => spec.outcome === 'passed' || spec.outcome === 'listed')
}
