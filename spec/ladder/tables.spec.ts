import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { predict } from '../../lib/policy/predict.ts'
import { readTable } from '../../lib/policy/table.ts'
import type { TableRow } from '../../lib/policy/table.ts'
import { loopbackPlace, meet, simulatedPlace } from './meeting.ts'
import type { Place } from './meeting.ts'

function rowsOf(file: string): readonly TableRow[] {
  return readTable(JSON.parse(readFileSync(new URL(`../../fixtures/${file}`, import.meta.url), 'utf8')))
}

async function plays(rows: readonly TableRow[], placeOf: () => Place): Promise<void> {
  for (const row of rows) {
    const { outgoing, incoming, report } = await meet(row.initiator, row.receiver, placeOf())
    const why = `${row.text}: ${row.reason ?? ''} (${report.error?.message ?? 'no error'})`
    assert.equal(outgoing, row.expected, why)
    assert.equal(incoming, row.expected, `${why}: what the receiver authenticated`)
  }
}

describe('the tables that were written before the code', function () {
  this.timeout(120_000)
  const tables = {
    openfire: rowsOf('openfire-table.json'),
    openfire36: rowsOf('openfire36-table.json'),
    presets: rowsOf('presets-table.json')
  }

  for (const [name, rows] of Object.entries(tables)) {
    it(`predict agrees with all ${rows.length} rows of ${name}`, () => {
      const wrong = rows.filter(row => predict(row.initiator, row.receiver).level !== row.expected)
      assert.deepEqual(
        wrong.map(row => row.text),
        []
      )
    })

    it(`the engine ends where ${name} says, over the simulated Tls`, () => plays(rows, simulatedPlace))
  }

  it('the engine ends where each row of openfire36 says, and each negative of it, over real TLS sockets', () =>
    plays(tables.openfire36, loopbackPlace))

  it('the engine ends where the table of the presets says over real TLS sockets', () => plays(tables.presets, loopbackPlace))
})
