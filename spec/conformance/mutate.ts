import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { citations, runMocha, type Spec } from './citations.ts'

/** One rule of the protocol taken out of the code by an exact replacement of text. */
export interface Mutation {
  readonly rule: string
  /** The statement that stops being true. */
  readonly id: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** Spec files that show it; default: all that cite the id. */
  readonly specs?: readonly string[]
}

const NOT_COPIED: readonly string[] = ['.git', 'node_modules', 'dist', 'coverage']
const RUN_TIMEOUT = 120_000

/**
 * Breaks one rule at a time in a temporary copy of the tree and runs the specs that cite its id: one of them must fail that
 * passes on the untouched copy. Gives what was wrong, a sentence each.
 */
export async function mutate(root: string, mutations: readonly Mutation[], print: (line: string) => void): Promise<readonly string[]> {
  const copy = copyOf(root)
  try {
    const citing = await citingSpecs(copy, mutations)
    const faults = await sound(copy, mutations, citing)
    for (const mutation of mutations) {
      const fault = await breakRule(copy, mutation, filesFor(mutation, citing))
      print(`${fault === undefined ? 'red ' : 'FAIL'}  ${mutation.id.padEnd(24)} ${mutation.rule}`)
      if (fault !== undefined) faults.push(`${mutation.rule}: ${fault}`)
    }
    return faults
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** The file with the rule taken out. Throws where the text to replace does not stand there exactly once. */
export function patched(source: string, mutation: Pick<Mutation, 'file' | 'find' | 'replace'>): string {
  const places = source.split(mutation.find).length - 1
  if (places !== 1) throw new Error(`the text to replace stands ${places} times in ${mutation.file}`)
  return source.replace(mutation.find, () => mutation.replace)
}

function copyOf(root: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'mutants-'))
  for (const name of readdirSync(root)) {
    if (!NOT_COPIED.includes(name)) cpSync(join(root, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

async function citingSpecs(copy: string, mutations: readonly Mutation[]): Promise<ReadonlyMap<string, readonly Spec[]>> {
  if (mutations.every(mutation => mutation.specs !== undefined)) return new Map()
  return citations(await runMocha({ root: copy, dry: true }))
}

function filesFor(mutation: Mutation, citing: ReadonlyMap<string, readonly Spec[]>): readonly string[] {
  return mutation.specs ?? [...new Set((citing.get(mutation.id) ?? []).map(spec => spec.file))]
}

/** The untouched copy must be green, or red would mean nothing. */
async function sound(copy: string, mutations: readonly Mutation[], citing: ReadonlyMap<string, readonly Spec[]>): Promise<string[]> {
  const files = [...new Set(mutations.flatMap(mutation => filesFor(mutation, citing)))]
  const faults = mutations.filter(mutation => filesFor(mutation, citing).length === 0).map(({ id }) => `no spec cites ${id}`)
  if (files.length === 0) return faults
  const specs = await runMocha({ root: copy, files, citing: mutations.map(mutation => mutation.id), timeout: RUN_TIMEOUT * 2 })
  const failed = specs.filter(spec => spec.outcome === 'failed').map(spec => `fails without any rule broken: ${spec.title}`)
  return [...faults, ...failed]
}

async function breakRule(copy: string, mutation: Mutation, files: readonly string[]): Promise<string | undefined> {
  if (files.length === 0) return 'nothing to run'
  const file = join(copy, mutation.file)
  const source = readFileSync(file, 'utf8')
  try {
    writeFileSync(file, patched(source, mutation))
    const specs = await runMocha({ root: copy, files, citing: [mutation.id], timeout: RUN_TIMEOUT })
    return specs.some(spec => spec.outcome === 'failed') ? undefined : `the ${specs.length} specs that cite ${mutation.id} stay green`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    writeFileSync(file, source)
  }
}
