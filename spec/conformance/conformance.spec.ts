import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { citations, citedIds, debts, runMocha, type Spec } from './citations.ts'
import { mutate, patched, type Mutation } from './mutate.ts'
import { mutations } from './mutations.ts'
import { printed } from './printed.ts'
import { faultsOfTable, readTable, type Statement } from './table.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))

const statement = (id: string, state: Statement['state'] = 'covered', reason?: string, chapter = 2): Statement => ({
  id,
  chapter,
  section: 'a section',
  statement: 'Something holds.',
  state,
  ...(reason === undefined ? {} : { reason })
})

const spec = (title: string, outcome: Spec['outcome'] = 'passed'): Spec => ({ title, file: 'spec/a.spec.ts', outcome })

describe('the table of conformance', () => {
  it('has no fault of its own, and every rule that is broken on purpose belongs to a statement', () => {
    const table = readTable(new URL('../../fixtures/conformance.json', import.meta.url))
    assert.deepEqual(faultsOfTable(table), [])
    const known = new Set(table.map(row => row.id))
    assert.deepEqual(
      mutations.filter(mutation => !known.has(mutation.id)).map(mutation => mutation.rule),
      []
    )
  })

  it('must give a reason for what is not covered, and states nothing twice', () => {
    const table = [
      statement('RFC1-1-a'),
      statement('RFC1-1-a'),
      statement('RFC1-1-b', 'deviation'),
      statement('RFC1-1-c', 'covered', undefined, Number.NaN)
    ]
    assert.deepEqual(faultsOfTable(table), ['RFC1-1-a stands twice', 'RFC1-1-b is deviation without a reason', 'RFC1-1-c belongs to no §'])
  })

  it('plans nothing but the chapters that are to come as a whole', () => {
    const table = [
      statement('RFC1-1-a', 'planned', 'later', 12),
      statement('PROXY-a', 'planned', 'later', 15),
      statement('SEC-X-a', 'planned', 'later', 17)
    ]
    assert.deepEqual(faultsOfTable(table), ['SEC-X-a is of §17, where nothing may wait'])
  })

  it('is printed by §, with the reasons of what is not covered', () => {
    const table = [
      statement('RFC1-1-a', 'planned', 'Later.', 12),
      { ...statement('RFC1-1-b'), section: 'another' },
      statement('RFC1-1-c'),
      statement('RFC1-1-d', 'planned', 'Later.', 12)
    ]
    const lines = printed(table, citations([spec('[RFC1-1-b] holds')])).split('\n')
    assert.match(printed(table, citations([spec('[RFC1-1-b] holds', 'listed')])), / 1 cited by a spec, 0 deviations, 2 planned, 1 open$/u)
    assert.deepEqual(
      lines.map(line => line.trim().replace(/ +/gu, ' ')),
      [
        '§ 2 another, a section 2: 1 covered by a passing spec, 0 deviations, 0 planned, 1 open',
        'open RFC1-1-c Something holds.',
        '§12 a section 2: 0 covered by a passing spec, 0 deviations, 2 planned, 0 open',
        'planned Later.',
        'RFC1-1-a RFC1-1-d',
        'in all 4: 1 covered by a passing spec, 0 deviations, 2 planned, 1 open'
      ]
    )
  })

  it('is owed a passing spec for what it says is covered', () => {
    const table = [statement('RFC1-1-a'), statement('RFC1-1-b'), statement('RFC1-1-c'), statement('RFC1-1-d', 'deviation', 'by design')]
    const specs = [
      spec('[RFC1-1-a] holds'),
      spec('[RFC1-1-b] does not', 'failed'),
      spec('[RFC1-1-c] later', 'pending'),
      spec('[XEP9-9-z] is unknown')
    ]
    assert.deepEqual(debts(table, citations(specs)), [
      'RFC1-1-b: a spec that cites it fails: [RFC1-1-b] does not',
      'RFC1-1-c is said to be covered, and no spec cites it',
      'XEP9-9-z is not in the table, but spec/a.spec.ts cites it'
    ])
    const lines = printed(table, citations(specs)).split('\n')
    assert.equal(lines.at(-1)?.replace(/ +/gu, ' '), 'in all 4: 1 covered by a passing spec, 1 deviations, 0 planned, 2 open')
  })

  it('finds every id in the name of a spec, and nothing else in brackets', () => {
    assert.deepEqual(citedIds('a [RFC6120-4.9.3.19-a] b [XEP0220-2.1.1-b] [ENG-DB-a][SEC-EKU-a] [PROXY-a] [not an id] [x-y]'), [
      'RFC6120-4.9.3.19-a',
      'XEP0220-2.1.1-b',
      'ENG-DB-a',
      'SEC-EKU-a',
      'PROXY-a'
    ])
  })
})

describe('breaking rules on purpose', () => {
  let tree: string

  before(() => {
    tree = mkdtempSync(join(tmpdir(), 'tree-'))
    mkdirSync(join(tree, 'lib'))
    mkdirSync(join(tree, 'spec'))
    symlinkSync(join(repository, 'node_modules'), join(tree, 'node_modules'))
    writeFileSync(join(tree, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(tree, '.mocharc.json'), '{ "extension": ["ts"], "node-option": ["import=tsx"] }')
    writeFileSync(join(tree, 'lib/guard.ts'), 'export const allowed = (age: number): boolean => age >= 18\nexport const unguarded = 1\n')
    writeFileSync(
      join(tree, 'spec/guard.spec.ts'),
      `import assert from 'node:assert'
       import { allowed } from '../lib/guard.ts'
       describe('[RFC1-1-a] the guard', () => {
         it('lets nobody in below eighteen', () => { assert.equal(allowed(17), false) })
         it.skip('counts days', () => {})
       })
       describe('another', () => {
         it('[RFC1-1-b] loads', () => { assert.equal(typeof allowed, 'function') })
         it('holds nothing to [account]', () => { throw new Error('it ran') })
       })`
    )
  })

  after(() => {
    rmSync(tree, { recursive: true, force: true })
  })

  const breaking = (change: Partial<Mutation>): Mutation => ({
    rule: 'the guard looks at the age',
    id: 'RFC1-1-a',
    file: 'lib/guard.ts',
    find: 'age >= 18',
    replace: 'true',
    ...change
  })

  it('lists specs without running them, and tells passed from pending', async () => {
    assert.deepEqual(
      (await runMocha({ root: tree, dry: true })).map(({ file, outcome }) => [file, outcome]),
      [
        ['spec/guard.spec.ts', 'listed'],
        ['spec/guard.spec.ts', 'pending'],
        ['spec/guard.spec.ts', 'listed'],
        ['spec/guard.spec.ts', 'listed']
      ]
    )
    const cited = await runMocha({ root: tree, citing: ['RFC1-1-b'] })
    assert.deepEqual(
      cited.map(({ title, outcome }) => [title, outcome]),
      [['another [RFC1-1-b] loads', 'passed']]
    )
    const all = await runMocha({ root: tree, citing: 'anything' })
    assert.deepEqual(
      all.map(({ title, outcome }) => [title, outcome]),
      [
        ['[RFC1-1-a] the guard lets nobody in below eighteen', 'passed'],
        ['[RFC1-1-a] the guard counts days', 'pending'],
        ['another [RFC1-1-b] loads', 'passed']
      ]
    )
  })

  it('is content when a spec turns red, and only then', async () => {
    const printedLines: string[] = []
    const faults = await mutate(tree, [breaking({}), breaking({ rule: 'nothing depends on it', id: 'RFC1-1-b' })], line =>
      printedLines.push(line)
    )
    assert.deepEqual(faults, ['nothing depends on it: the 1 specs that cite RFC1-1-b stay green'])
    assert.deepEqual(
      printedLines.map(line => line.slice(0, 4)),
      ['red ', 'FAIL']
    )
  })

  it('does not take a tree that no longer loads, or a statement that nobody cites, for a red spec', async () => {
    const faults = await mutate(tree, [breaking({ replace: 'age >=' }), breaking({ rule: 'orphan', id: 'RFC1-1-z' })], () => undefined)
    assert.match(faults.join('\n'), /no spec cites RFC1-1-z/)
    assert.match(faults.join('\n'), /the guard looks at the age: mocha wrote no report/)
    assert.match(faults.join('\n'), /orphan: nothing to run/)
  })

  it('has a text for every rule that stands in the code today', () => {
    for (const mutation of mutations) assert.notEqual(patched(readFileSync(join(repository, mutation.file), 'utf8'), mutation), '')
  })

  it('refuses a text that does not stand exactly once', () => {
    assert.equal(patched('a < b', { file: 'x', find: '<', replace: '$&' }), 'a $& b')
    assert.throws(() => patched('a < b', { file: 'lib/x.ts', find: '>', replace: '' }), /stands 0 times in lib\/x.ts/)
    assert.throws(() => patched('a < b < c', { file: 'lib/x.ts', find: '<', replace: '' }), /stands 2 times/)
  })
})
