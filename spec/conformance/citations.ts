import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { Statement } from './table.ts'

/** One spec as mocha saw it. `title` holds the names of its describes too. */
export interface Spec {
  readonly title: string
  /** Relative to the root of the tree. */
  readonly file: string
  readonly outcome: 'passed' | 'failed' | 'listed' | 'pending'
}

interface MochaEntry {
  readonly fullTitle: string
  readonly file: string | null
}

interface MochaReport {
  readonly tests: readonly MochaEntry[]
  readonly passes: readonly MochaEntry[]
  readonly failures: readonly MochaEntry[]
  readonly pending: readonly MochaEntry[]
}

export interface MochaRun {
  /** The tree whose specs run. */
  readonly root: string
  /** Spec files relative to the root; default: all. */
  readonly files?: readonly string[]
  /** Run only specs that cite one of these ids, or any id. */
  readonly citing?: readonly string[] | 'anything'
  /** List the specs without running them. */
  readonly dry?: boolean
  /** Milliseconds for the whole run. Default 10 minutes. */
  readonly timeout?: number
}

const CITATION = /\[((?:RFC|XEP|ENG|SEC|PROXY)[A-Z0-9]*-[A-Za-z0-9.-]+)\]/g

export function citedIds(title: string): readonly string[] {
  return [...title.matchAll(CITATION)].map(match => match[1] ?? '')
}

/** Runs mocha in a tree and reads what it says. Rejects when mocha could not load the specs: that is no red spec. */
export async function runMocha(run: MochaRun): Promise<readonly Spec[]> {
  const scratch = mkdtempSync(join(tmpdir(), 'conformance-'))
  try {
    const output = join(scratch, 'report.json')
    const said = await spawnMocha(run, output)
    return specsOf(readReport(output, said), run)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Which specs cite which id. */
export function citations(specs: readonly Spec[]): ReadonlyMap<string, readonly Spec[]> {
  const byId = new Map<string, Spec[]>()
  for (const spec of specs) {
    for (const id of new Set(citedIds(spec.title))) {
      const citing = byId.get(id)
      if (citing === undefined) byId.set(id, [spec])
      else citing.push(spec)
    }
  }
  return byId
}

/** What the specs owe the table, a sentence each. A spec that fails or is pending covers nothing. */
export function debts(table: readonly Statement[], byId: ReadonlyMap<string, readonly Spec[]>): readonly string[] {
  const known = new Set(table.map(row => row.id))
  const found: string[] = []
  for (const row of table) {
    const citing = byId.get(row.id) ?? []
    const failed = citing.find(spec => spec.outcome === 'failed')
    if (failed !== undefined) found.push(`${row.id}: a spec that cites it fails: ${failed.title}`)
    else if (row.state === 'covered' && !citing.some(covers)) found.push(`${row.id} is said to be covered, and no spec cites it`)
  }
  for (const [id, citing] of byId) {
    if (!known.has(id)) found.push(`${id} is not in the table, but ${citing[0]?.file ?? 'a spec'} cites it`)
  }
  return found
}

function patternOf(ids: readonly string[]): string {
  return ids.map(id => `\\[${id.replaceAll('.', '\\.')}\\]`).join('|')
}

function covers(spec: Spec): boolean {
  return spec.outcome === 'passed' || spec.outcome === 'listed'
}

function spawnMocha(run: MochaRun, output: string): Promise<string> {
  const args = [join(run.root, 'node_modules/mocha/bin/mocha.js'), '--exit', '--reporter', 'json', '--reporter-option', `output=${output}`]
  if (run.dry === true) args.push('--dry-run')
  if (run.citing !== undefined) args.push('--grep', run.citing === 'anything' ? CITATION.source : patternOf(run.citing))
  args.push(...(run.files ?? ['spec/**/*.spec.ts']))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: run.root,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: run.timeout ?? 600_000,
      killSignal: 'SIGKILL'
    })
    let said = ''
    const hear = (chunk: Buffer): void => {
      said = (said + chunk.toString('utf8')).slice(0, 4000)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.on('error', reject)
    child.on('close', () => {
      resolve(said)
    })
  })
}

function readReport(output: string, said: string): MochaReport {
  try {
    return JSON.parse(readFileSync(output, 'utf8')) as MochaReport
  } catch (cause) {
    throw new Error(`mocha wrote no report; it said:\n${said}`, { cause })
  }
}

function specsOf(report: MochaReport, run: MochaRun): readonly Spec[] {
  const key = (entry: MochaEntry): string => `${entry.file ?? ''} ${entry.fullTitle}`
  const failed = new Set(report.failures.map(key))
  const pending = new Set(report.pending.map(key))
  const outcome = (entry: MochaEntry): Spec['outcome'] => {
    if (failed.has(key(entry))) return 'failed'
    if (pending.has(key(entry))) return 'pending'
    return run.dry === true ? 'listed' : 'passed'
  }
  const listed = new Set(report.tests.map(key))
  // A failing hook is among the failures only: it fails whatever its describe cites.
  const hooks = report.failures.filter(entry => !listed.has(key(entry)))
  return [...report.tests, ...hooks].map(entry => ({
    title: entry.fullTitle,
    file: entry.file === null ? '' : relative(run.root, entry.file),
    outcome: outcome(entry)
  }))
}
