import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { CERTIFICATE_STATES, INITIATING_QUIRKS, RECEIVING_QUIRKS } from '../../lib/testing/index.ts'
import * as kit from '../../lib/testing/index.ts'

const page = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8')

/** The rows of the table below a heading of its first column, without code marks. */
function tableOf(title: string, nth = 0): Record<string, string> {
  const table = page.split(`| ${title} | `)[nth + 1]?.split('\n\n')[0] ?? ''
  const rows = [...table.matchAll(/^\| (.+?) \| (.+) \|$/gm)].map(([, name = '', about = '']) => [name, about])
  return Object.fromEntries(rows.map(row => row.map(cell => cell.replaceAll('`', '')))) as Record<string, string>
}

describe('the documentation of the testing kit', () => {
  it('lists every certificate state', () => {
    const documented = tableOf('state')
    assert.deepEqual(Object.keys(documented), Object.keys(CERTIFICATE_STATES))
    for (const [state, about] of Object.entries(CERTIFICATE_STATES)) assert.ok(documented[state]?.startsWith(about), state)
  })

  it('lists every quirk of both roles, as the code describes it', () => {
    assert.deepEqual(tableOf('quirk'), RECEIVING_QUIRKS)
    assert.deepEqual(tableOf('quirk', 1), INITIATING_QUIRKS)
  })

  it('leads to every function of the kit', () => {
    const functions = Object.entries(kit).filter(([name, value]) => typeof value === 'function' && !/^[A-Z]|Of$/.test(name))
    assert.deepEqual(
      functions.map(([name]) => name).filter(name => !page.includes(name)),
      []
    )
  })
})
