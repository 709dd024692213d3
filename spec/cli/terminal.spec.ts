import assert from 'node:assert/strict'
import { stripVTControlCharacters } from 'node:util'
import { jsonText } from '../../lib/cli/json-text.ts'
import { placeText, readPlace } from '../../lib/cli/places.ts'
import { tableLines } from '../../lib/cli/table.ts'
import { terminalOf } from '../../lib/cli/terminal.ts'
import { FederationError } from '../../lib/errors.ts'

class Screen {
  written = ''
  readonly isTTY: boolean

  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }

  write(text: string): void {
    this.written += text
  }
}

describe('the terminal', () => {
  const screens = (out: boolean, err: boolean) => ({ stdout: new Screen(out), stderr: new Screen(err) })

  it('has colours only where it is one', () => {
    assert.equal(terminalOf({ ...screens(false, true), env: {} }).style('red', 'none'), 'none')
    const styled = terminalOf({ ...screens(true, false), env: {} }).style('red', 'none')
    assert.equal(stripVTControlCharacters(styled), 'none')
  })

  it('has no colours where NO_COLOR is set', () => {
    assert.equal(terminalOf({ ...screens(true, true), env: { NO_COLOR: '1' } }).style('red', 'none'), 'none')
  })

  it('keeps results and remarks apart', () => {
    const { stdout, stderr } = screens(false, false)
    const terminal = terminalOf({ stdout, stderr, env: {} })
    terminal.out('level')
    terminal.note('remark')
    assert.deepEqual([stdout.written, stderr.written], ['level\n', 'remark\n'])
  })

  it('overwrites progress on a terminal and lists it elsewhere', () => {
    const terminalScreens = screens(true, true)
    const terminal = terminalOf({ ...terminalScreens, env: {} })
    terminal.progress('1 of 2')
    terminal.progress(undefined)
    assert.equal(terminalScreens.stderr.written, '\r\u001b[K1 of 2\r\u001b[K')
    const fileScreens = screens(false, false)
    const file = terminalOf({ ...fileScreens, env: {} })
    file.progress('1 of 2')
    file.progress(undefined)
    assert.equal(fileScreens.stderr.written, '1 of 2\n')
  })
})

describe('a table', () => {
  it('aligns its columns, whatever the style of the cells', () => {
    const lines = tableLines(
      [{ title: 'peer' }, { title: 'ms', align: 'right' }, { title: '' }],
      [
        [{ text: 'a' }, { text: '12', style: 'bold' }, { text: 'x' }],
        [{ text: 'longer', style: 'red' }, { text: '7' }]
      ],
      { style: (style, text) => `<${style}>${text}</>` }
    )
    assert.deepEqual(lines, ['<bold>peer</>    <bold>ms</>  <bold></>', 'a       <bold>12</>  x', '<red>longer</>   7'])
  })
})

describe('JSON on a terminal', () => {
  it('is the same value, with nothing in it that a terminal acts on', () => {
    const value = { text: 'a\u001b[2J\u009b31m\u202e\u2028\u{e0001}é' }
    const written = jsonText(value, 2)
    assert.deepEqual(JSON.parse(written), value)
    assert.doesNotMatch(written.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  })
})

describe('a place on the command line', () => {
  it('is HOST:PORT, with an IPv6 address in brackets', () => {
    assert.deepEqual(readPlace('--listen', '127.0.0.1:0'), { host: '127.0.0.1', port: 0 })
    assert.deepEqual(readPlace('--listen', 'ns.example:53'), { host: 'ns.example', port: 53 })
    assert.deepEqual(readPlace('--listen', '[::1]:5269'), { host: '::1', port: 5269 })
    assert.equal(placeText(readPlace('--listen', '[::1]:5269')), '[::1]:5269')
  })

  for (const text of ['', '127.0.0.1', ':53', '::1', '::1:53', '[::1]', '[127.0.0.1]:53', '127.0.0.1:65536', 'a:b', 'a:1:2']) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => readPlace('--listen', text),
        error => FederationError.is(error) && (error.detail ?? '').startsWith('--listen has to be HOST:PORT')
      )
    })
  }
})
