import assert from 'node:assert/strict'
import { predict } from '../../lib/policy/predict.ts'
import { loopbackPlace, meet } from './meeting.ts'
import { allRows, pairwise, PRESETS } from './rows.ts'

describe('two engines end where predict says over real TLS on loopback sockets', function () {
  this.timeout(120_000)
  const rows = pairwise(allRows(), 300)
  let played = 0

  for (const preset of PRESETS) {
    it(`a pairwise selection with ${preset}`, async () => {
      for (const row of rows.filter(each => each.preset === preset)) {
        const { outgoing, incoming, report } = await meet(row.initiator, row.receiver, loopbackPlace())
        const expected = predict(row.initiator, row.receiver).level
        assert.equal(outgoing, expected, `${row.text}: ${report.error?.message ?? 'no error'}`)
        assert.equal(incoming, expected, `${row.text}: what the receiver authenticated`)
        played += 1
      }
    })
  }

  after(() => console.log(`      ${played} of ${rows.length} rows over real TLS end as predicted`))
})
