import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { domain } from '../../lib/model/domain.ts'
import { matchesDomain } from '../../lib/rules/domain-patterns.ts'

describe('rules/domain-patterns', () => {
  const rows: readonly [patterns: readonly string[], name: string, matches: boolean][] = [
    [['capulet.example'], 'capulet.example', true],
    [['capulet.example'], 'CAPULET.Example.', true],
    [['Capulet.EXAMPLE'], 'capulet.example', true],
    [['capulet.example'], 'muc.capulet.example', false],
    [['capulet.example'], 'notcapulet.example', false],
    [['*.capulet.example'], 'muc.capulet.example', true],
    [['*.capulet.example'], 'a.b.c.capulet.example', true],
    [['*.capulet.example'], 'capulet.example', false],
    [['*.capulet.example'], 'notcapulet.example', false],
    [['*'], 'anything.at.all.example', true],
    [['*.example', 'montague.test'], 'montague.test', true],
    [[], 'capulet.example', false],
    [['bücher.example'], 'xn--bcher-kva.example', true],
    [['*.xn--bcher-kva.example'], 'a.bücher.example', true]
  ]
  for (const [patterns, name, matches] of rows) {
    it(`${patterns.join(' or ') || 'no pattern'} ${matches ? 'names' : 'does not name'} ${name}`, () => {
      assert.equal(matchesDomain(patterns, domain(name)), matches)
    })
  }

  for (const bad of [
    '',
    '*.',
    '**',
    '*capulet.example',
    'a.*.example',
    '*.*.example',
    'a b',
    'user@capulet.example',
    'capulet.example/x',
    '.example'
  ]) {
    it(`refuses ${JSON.stringify(bad)} by name, even beside a pattern that matches`, () => {
      assert.throws(() => matchesDomain(['*', bad], domain('capulet.example')), {
        code: 'S2S_CONFIG',
        message: new RegExp(escaped(JSON.stringify(bad)))
      })
    })
  }

  it('refuses a single text and a list of anything else, which would match nobody that was meant', () => {
    for (const wrong of ['spam', 'x', null, [1], {}]) {
      assert.throws(
        () => matchesDomain(wrong as string[], domain('spam.example')),
        (error: unknown) => FederationError.is(error) && error.code === 'S2S_CONFIG'
      )
    }
  })
})

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
