import assert from 'node:assert/strict'
import { SHOWN, type Shown } from './interop/certificates.ts'
import { TABLE, VARIANTS } from './interop/expected-levels.ts'
import { KINDS } from './interop/server.ts'
import { read, tableRows } from './pages.ts'

describe('docs/interoperability.md', () => {
  it('says of every certificate and every variant what spec/interop holds real servers to', () => {
    const expected = KINDS.flatMap(kind =>
      (Object.keys(SHOWN) as Shown[]).map(shown => {
        const { why, ...levels } = TABLE[kind][shown]
        return [SHOWN[shown], ...VARIANTS.map(variant => levels[variant]), why]
      })
    )
    const rows = tableRows(read('docs/interoperability.md')).filter(cells => cells.length === VARIANTS.length + 2 && cells[1] !== 'strict')
    assert.deepEqual(rows, expected)
  })
})
