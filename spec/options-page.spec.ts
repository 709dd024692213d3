import assert from 'node:assert/strict'
import ts from 'typescript'
import { EXTENSIONS } from '../lib/defaults.ts'
import { read, tableRows } from './pages.ts'

const PAGE = 'docs/options.md'
const ROWS = tableRows(read(PAGE))

/** The members of an interface, as they are declared. */
function membersOf(file: string, name: string): readonly string[] {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest)
  const found = source.statements.filter(ts.isInterfaceDeclaration).find(each => each.name.text === name)
  assert.ok(found, `${name} in ${file}`)
  return found.members.map(({ name: member }) => (member !== undefined && ts.isIdentifier(member) ? member.text : ''))
}

/** What the page says of an option: its value and its default. */
function said(option: string): string {
  const row = ROWS.find(([name]) => name === option)
  assert.ok(row, `${option} in ${PAGE}`)
  return row.slice(1).join(' | ')
}

describe(`what ${PAGE} says`, () => {
  it('of every option, and of no other', () => {
    const from = ROWS.findIndex(([name, value]) => name === 'option' && value === 'value')
    const to = ROWS.findIndex(([name]) => name === 'member')
    const options = ROWS.slice(from + 1, to).map(([name]) => name)
    assert.deepEqual(options.toSorted(), membersOf('lib/options.ts', 'FederationOptions').toSorted())
  })

  const SHAPES: readonly (readonly [option: string, file: string, shape: string])[] = [
    ['trust', 'lib/model/settings.ts', 'Trust'],
    ['listen', 'lib/model/settings.ts', 'ListenOptions'],
    ['overrides', 'lib/model/settings.ts', 'Override'],
    ['passwords', 'lib/model/settings.ts', 'Password'],
    ['dialbackSecret', 'lib/model/settings.ts', 'DialbackSecret'],
    ['domains', 'lib/model/plugs.ts', 'Credentials'],
    ['resolver', 'lib/model/plugs.ts', 'Resolver'],
    ['transport', 'lib/model/plugs.ts', 'Transport'],
    ['tls', 'lib/model/plugs.ts', 'Tls'],
    ['metrics', 'lib/model/plugs.ts', 'Metrics'],
    ['logger', 'lib/model/plugs.ts', 'Logger'],
    ['clock', 'lib/model/plugs.ts', 'Clock'],
    ['onStanza', 'lib/options.ts', 'StanzaContext']
  ]
  for (const [option, file, shape] of SHAPES)
    it(`of ${option}: every part of it`, () => {
      const text = option === 'resolver' ? read(PAGE) : said(option)
      for (const part of membersOf(file, shape)) assert.ok(new RegExp(`\\b${part}\\b`).test(text), part)
    })

  it('of extensions: each of them', () => {
    for (const each of Object.keys(EXTENSIONS)) assert.ok(said('extensions').includes(each), each)
  })

  it('of a KeyStore: both members', () => {
    const at = ROWS.findIndex(([name]) => name === 'member')
    const members = ROWS.slice(at + 1, at + 3).map(([name = '']) => name.replace(/\(.*/, ''))
    assert.deepEqual(members, membersOf('lib/model/plugs.ts', 'KeyStore'))
  })
})
