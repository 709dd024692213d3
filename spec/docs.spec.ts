import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'
import { ERRORS } from '../lib/errors.ts'
import { LEVELS } from '../lib/model/level.ts'
import { DEFAULT_LIMITS, DEFAULT_TIMEOUTS, limitBounds } from '../lib/defaults.ts'
import type { Limits } from '../lib/model/settings.ts'
import type { CertificateState } from '../lib/model/certificate.ts'
import { policies } from '../lib/policy/presets.ts'
import { predict } from '../lib/policy/predict.ts'
import { read, root, tableRows } from './pages.ts'

const pages = ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)].filter(name => name.endsWith('.md'))

/** A program in a page, and what the page says that it prints. */
interface Example {
  readonly page: string
  readonly line: number
  readonly program: string
  readonly output: string | undefined
}

const examples = pages.flatMap(examplesOf)

/** Declarations of packages that have none, which no import leads to. */
const declarations = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.d.ts'))
  .map(name => join(root, 'lib', name))

describe('the documentation', () => {
  let folder = ''
  let files: readonly string[] = []

  before(() => {
    // Below the repository, so that packages are found; in a folder that nothing else looks at.
    const cache = join(root, 'node_modules', '.cache')
    mkdirSync(cache, { recursive: true })
    folder = mkdtempSync(join(cache, 'docs-'))
    files = examples.map((_, index) => join(folder, `example-${index}.mts`))
    for (const [index, { program }] of examples.entries()) writeFileSync(files[index] ?? '', fromSources(program))
  })

  after(() => rmSync(folder, { recursive: true }))

  it('has examples that the compiler accepts', () => {
    const program = ts.createProgram([...files, ...declarations], { ...compilerOptions(), rewriteRelativeImportExtensions: false })
    const problems = examples.flatMap(({ page, line }, index) => {
      const source = program.getSourceFile(files[index] ?? '')
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
      return found.map(({ messageText }) => `${page}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
    })
    assert.deepEqual(problems, [])
  }).timeout(60_000)

  for (const [index, { page, line, output }] of examples.entries()) {
    it(`has an example at ${page}:${line} that prints what the page says`, async () => {
      const child = spawn(process.execPath, ['--import', 'tsx', files[index] ?? ''], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
      const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, 'close')])
      assert.equal(stderr, '')
      assert.equal(child.exitCode, 0)
      assert.equal(withoutChance(stdout), withoutChance(output ?? stdout))
    }).timeout(30_000)
  }

  it('shows the four uses in the README', () => {
    const headings = [...read('README.md').matchAll(/^### (.+)$/gm)].map(match => match[1])
    assert.deepEqual(headings.slice(0, 4), [
      'Embed it in a server',
      'Test a server with peers of every kind',
      'Tune the policy',
      'Probe a domain'
    ])
    assert.ok(examples.filter(({ page }) => page === 'README.md').length >= 4)
  })

  it('begins the README with the two commands', () => {
    assert.deepEqual(
      [...read('README.md').matchAll(/^```sh\n([^`]*)```/gm)].slice(0, 2).map(match => match[1]?.trim()),
      ['npm ci && npm start', 'npm cit']
    )
  })

  it('links only to what is there', () => {
    const broken = pages.flatMap(page =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
        .filter(([, to = '', anchor]) => !leadsSomewhere(page, to, anchor))
        .map(([link]) => `${page} ${link}`)
    )
    assert.deepEqual(broken, [])
  })

  for (const page of ['README.md', 'docs/limits.md']) {
    it(`gives every deadline and limit in ${page}, with its default`, () => {
      const rows = tableRows(read(page))
      const written = (prefix: string): Record<string, number> => {
        const table = rows.filter(([name]) => name?.startsWith(prefix))
        return Object.fromEntries(table.map(([name = '', value]) => [name.slice(prefix.length), Number(value)]))
      }
      assert.deepEqual(written('timeouts.'), DEFAULT_TIMEOUTS)
      assert.deepEqual(written('limits.'), DEFAULT_LIMITS)
    })
  }

  it('gives the least and the most that each limit may be', () => {
    const rows = tableRows(read('docs/limits.md')).filter(([name]) => name?.startsWith('limits.'))
    for (const [name = '', , least, what = ''] of rows) {
      const bounds = limitBounds(name.slice('limits.'.length) as keyof Limits)
      const most = /, at most (\d+)/.exec(what)?.[1] ?? 2 ** 31 - 1
      assert.deepEqual({ least: Number(least), most: Number(most) }, bounds, name)
    }
  })

  for (const page of ['README.md', 'docs/policy.md']) {
    it(`gives every option of the presets in ${page}`, () => {
      const header = tableRows(read(page)).find(cells => cells[0] === 'preset' && cells[1] === 'tls')
      assert.ok(header !== undefined)
      for (const name of ['ladder', 'encrypted', 'strict'] as const) {
        const row = tableRows(read(page)).find(cells => cells[0]?.split(' ')[0] === name && cells.length === header.length)
        const written: Record<string, string | undefined> = Object.fromEntries(
          header.slice(1).map((option, index) => [option, row?.[index + 1]])
        )
        const options = Object.entries(policies[name]().options ?? {}).map(([option, value]) => [option, String(value)])
        assert.deepEqual(written, Object.fromEntries(options), name)
      }
    })
  }

  it('shows where the presets end, as predicted', () => {
    const rows = tableRows(read('README.md'))
    const at = rows.findIndex(cells => cells[0] === 'ours' && cells[1] === 'theirs')
    const names = rows[at]?.slice(2) as (keyof typeof policies)[]
    const shown = rows.slice(at + 1, at + 8)
    assert.deepEqual(names, ['ladder', 'encrypted', 'strict', 'openfire36'])
    for (const [ours, theirs, ...levels] of shown) {
      const [certificate, their] = [ours, theirs] as [CertificateState, CertificateState]
      const ended = names.map(
        name => predict({ policy: policies[name](), certificate }, { policy: policies.ladder(), certificate: their }).level
      )
      assert.deepEqual(
        levels,
        ended.map(level => level ?? 'none'),
        `${ours} ${theirs}`
      )
    }
  })

  it('says of every level what it protects against', () => {
    const levels = new Set(LEVELS)
    for (const page of ['README.md', 'docs/security.md']) {
      const explained = tableRows(read(page)).filter(cells => levels.has((cells[0] ?? '') as (typeof LEVELS)[number]))
      assert.deepEqual(explained.map(([level]) => level).slice(0, 4), LEVELS, page)
    }
  })

  it('explains every error, and no other', () => {
    const page = read('docs/errors.md')
    const sections = [...page.matchAll(/^### (S2S_\w+)\n\n(.+)/gm)]
    assert.deepEqual(
      sections.map(([, code]) => code),
      Object.keys(ERRORS)
    )
    for (const [, code = '', text = ''] of sections) {
      const { sentence } = ERRORS[code as keyof typeof ERRORS]
      assert.ok(text.startsWith(`${sentence}. `), code)
    }
    const rows = tableRows(page).filter(([code]) => code !== undefined && Object.hasOwn(ERRORS, code))
    assert.deepEqual(
      rows.map(row => row.join(' | ')),
      Object.entries(ERRORS).map(([code, { fault, temporary, bounce, stream }]) =>
        [code, fault, temporary ? 'yes' : 'no', bounce.join(', '), stream ?? '–'].join(' | ')
      )
    )
  })
})

function examplesOf(page: string): readonly Example[] {
  const text = read(page)
  const blocks = /^```ts\n(?<program>[^]*?)^```\n(?:\n```text\n(?<output>[^]*?)^```$)?/gm
  return [...text.matchAll(blocks)].map(match => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    program: match.groups?.['program'] ?? '',
    output: match.groups?.['output']
  }))
}

/** The same program against the sources instead of an installed package. */
function fromSources(program: string): string {
  return program.replaceAll(
    / from 'xmpp-federation(\/testing)?'/g,
    (_, testing?: string) => ` from '${join(root, 'lib')}${testing ?? ''}/index.ts'`
  )
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), name => ts.sys.readFile(name)) as { config: object }
  return ts.parseJsonConfigFileContent(config, ts.sys, root).options
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: string[] = []
  stream.setEncoding('utf8')
  for await (const chunk of stream) chunks.push(String(chunk))
  return chunks.join('')
}

/** Durations and what a handshake happens to choose differ from run to run. */
function withoutChance(text: string): string {
  return text.replaceAll(/\b\d+ ms\b/g, 'N ms').replaceAll(/\b[0-9a-f]{64}\b/g, 'HASH')
}

function leadsSomewhere(page: string, to: string, anchor: string | undefined): boolean {
  const target = to === '' ? page : relative(root, join(root, dirname(page), to))
  try {
    const text = read(target)
    return anchor === undefined || headingAnchors(text).includes(anchor)
  } catch {
    return false
  }
}

function headingAnchors(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-')
  )
}
