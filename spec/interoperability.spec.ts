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

  it('names in its prose the variants of ejabberd that an XmppAddr and a certificate for servers only cost something, as the table does', () => {
    const prose = read('docs/interoperability.md').replaceAll(/\s+/g, ' ')
    const without = (shown: Shown, direction: 0 | 1, kept: string): string =>
      VARIANTS.filter(variant => {
        const end = TABLE.ejabberd[shown][variant][direction]
        return end !== TABLE.ejabberd.dnsname[variant][direction] && !kept.includes(end ?? '')
      }).join(', ')
    for (const shown of ['xmppaddr', 'allnames'] as const) {
      const sentence = `ends our stream to it (${without(shown, 0, '')}) and its own stream to us (${without(shown, 1, '')})`
      assert.ok(prose.includes(sentence), sentence)
    }
    const refused = `over these it refuses EXTERNAL (${without('serverauth', 0, '')}), and with a ${without('serverauth', 0, 'D')} one there is no outgoing link`
    assert.ok(prose.includes(refused), refused)
  })
})
