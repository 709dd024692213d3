import assert from 'node:assert/strict'
import { predict } from '../../lib/policy/predict.ts'
import { meet, simulatedPlace } from './meeting.ts'
import { allRows, PRESETS } from './rows.ts'

describe('two engines end where predict says, whatever their certificates, dialback, TLS and preset', function () {
  this.timeout(120_000)
  const rows = allRows()
  let played = 0

  for (const preset of PRESETS) {
    for (const role of ['initiates', 'receives'] as const) {
      it(`${preset} ${role}`, async () => {
        for (const row of rows.filter(each => each.preset === preset && each.role === role)) {
          const { outgoing, incoming, report } = await meet(row.initiator, row.receiver, simulatedPlace())
          const expected = predict(row.initiator, row.receiver).level
          assert.equal(outgoing, expected, `${row.text}: ${report.error?.message ?? 'no error'}`)
          assert.equal(incoming, expected, `${row.text}: what the receiver authenticated`)
          played += 1
        }
      })
    }
  }

  after(() => console.log(`      ${played} of ${rows.length} rows over the simulated Tls end as predicted`))
})
