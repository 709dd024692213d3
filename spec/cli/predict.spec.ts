import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './process.ts'
import { runHere } from './run-here.ts'

describe('the predict command', () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'xmpp-federation-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  const table = (rows: unknown): string => {
    const file = join(folder, 'table.json')
    writeFileSync(file, JSON.stringify({ rows }))
    return file
  }
  const side = { policy: 'ladder', certificate: 'valid' }
  const openfire = { encryption: 'required', certificate: 'valid', strict: true, dialback: true }

  it("agrees with all 324 rows of Openfire's table", async () => {
    const { code, stdout, stderr } = await run('predict', '--table', 'fixtures/openfire-table.json')
    assert.deepEqual([code, stdout, stderr], [0, '324 of 324 agree.\n', ''])
  })

  for (const name of ['openfire36-table', 'presets-table']) {
    it(`agrees with all rows of ${name}`, async () => {
      const { code, stdout } = await runHere('predict', '--table', `fixtures/${name}.json`)
      assert.equal(code, 0, stdout)
    })
  }

  it('prints each row that does not agree, and fails', async () => {
    const rows = [
      { initiator: side, receiver: side, expected: 'sasl-external' },
      { initiator: openfire, receiver: { ...side, certificate: 'expired' }, expected: 'tls-dialback', reason: 'wishful' }
    ]
    const { code, stdout } = await runHere('predict', '--table', table(rows))
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^Row 2: expected tls-dialback, predicted none: \{"encryption":"required".* → \{"policy":"ladder","certificate":"expired"\}\. The table's reason: wishful\n1 of 2 agree\.\n$/
    )
  })

  it('prints the same as JSON', async () => {
    const rows = [{ initiator: side, receiver: side, expected: 'none' }]
    const { code, stdout } = await runHere('predict', '--table', table(rows), '--json')
    const text = `${JSON.stringify(side)} → ${JSON.stringify(side)}`
    assert.equal(code, 1)
    assert.deepEqual(JSON.parse(stdout), {
      rows: 1,
      agreeing: 0,
      disagreements: [{ row: 1, sides: text, expected: 'none', predicted: 'sasl-external' }]
    })
  })

  it('does not call an empty table a success', async () => {
    const { code, stderr } = await runHere('predict', '--table', table([]))
    assert.equal(code, 2)
    assert.match(stderr, /rows is empty\.\n$/)
  })

  it('names the place in the table that is not usable', async () => {
    const { code, stderr } = await runHere(
      'predict',
      '--table',
      table([{ initiator: side, receiver: { ...side, certificate: 'old' }, expected: 'none' }])
    )
    assert.equal(code, 2)
    assert.match(stderr, /^xmpp-federation: .*table\.json: rows\[0\]\.receiver\.certificate has to be one of valid, .*, not "old"\.\n$/)
  })
})
