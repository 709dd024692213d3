import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { predict } from '../../lib/policy/predict.ts'
import { readTable } from '../../lib/policy/table.ts'
import type { TableRow } from '../../lib/policy/table.ts'

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../fixtures/${name}.json`, import.meta.url), 'utf8'))
}

/** Each row that ends elsewhere than the table has it. */
function disagreements(rows: readonly TableRow[]): readonly string[] {
  return rows.flatMap(({ initiator, receiver, expected, reason, text }) => {
    const { level } = predict(initiator, receiver)
    return level === expected ? [] : [`${text} ends ${level ?? 'none'}, not ${expected ?? 'none'}: ${reason ?? ''}`]
  })
}

describe('policy, by the tables', () => {
  it('agrees with all 324 rows of Openfire’s own tests', () => {
    const rows = readTable(fixture('openfire-table'))
    assert.equal(rows.length, 324)
    assert.deepEqual(disagreements(rows), [])
  })

  it('agrees with the presets by certificate state on each side, every preset against every other', () => {
    const rows = readTable(fixture('presets-table'))
    assert.equal(rows.length, 144)
    assert.deepEqual(disagreements(rows), [])
  })

  describe('openfire36', () => {
    const table = fixture('openfire36-table') as { readonly rows: readonly { readonly row: number; readonly reason: string }[] }
    const rows = readTable(table)
    for (let row = 1; row <= 16; row += 1) {
      const numbers = table.rows.flatMap((each, index) => (each.row === row ? [index] : []))
      const chosen = rows.filter((_, index) => numbers.includes(index))
      it(`row ${row} and its negatives: ${chosen.length} cases`, () => {
        assert.ok(chosen.length > 2)
        assert.deepEqual(disagreements(chosen), [])
      })
    }
  })
})
