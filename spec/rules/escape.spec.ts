import assert from 'node:assert/strict'
import fc from 'fast-check'
import { escapeText, printable } from '../../lib/rules/escape.ts'

describe('rules/escape', () => {
  it('leaves text of any script as it is', () => {
    assert.equal(escapeText('Größe, размер, 大小, حجم 👍'), 'Größe, размер, 大小, حجم 👍')
  })

  const rows: readonly [what: string, text: string, escaped: string][] = [
    ['an ANSI escape', 'a\u001b[31mred', 'a\\u{1b}[31mred'],
    ['a line break', 'one\r\ntwo', 'one\\u{d}\\u{a}two'],
    ['a C1 control', '\u009b31m', '\\u{9b}31m'],
    ['a bidi override', 'safe\u202Egpj.exe', 'safe\\u{202e}gpj.exe'],
    ['a bidi isolate', '\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['a line separator', 'a\u2028b', 'a\\u{2028}b'],
    ['a zero-width space', 'a\u200bb', 'a\\u{200b}b'],
    ['a tag character', 'a\u{e0041}b', 'a\\u{e0041}b'],
    ['a lone surrogate', 'a\ud800b', 'a\\u{d800}b'],
    ['a backslash, so that no peer writes an escape itself', '\\u{1b}', '\\\\u{1b}']
  ]
  for (const [what, text, escaped] of rows) it(`escapes ${what}`, () => assert.equal(escapeText(text), escaped))

  it('cuts what is long, and never in the middle of a character', () => {
    assert.equal(escapeText('x'.repeat(5000)), `${'x'.repeat(200)}…`)
    assert.equal(escapeText('👍'.repeat(300)), `${'👍'.repeat(200)}…`)
    assert.equal(escapeText(`a${'👍'.repeat(300)}`, 10), `a${'👍'.repeat(9)}…`)
    assert.equal(escapeText('👍'.repeat(200)), '👍'.repeat(200))
  })

  it('leaves nothing that a terminal acts on, and printable changes nothing that is escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        const escaped = escapeText(text)
        assert.doesNotMatch(escaped, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
        assert.equal(printable(escaped), escaped)
      })
    )
  })
})
