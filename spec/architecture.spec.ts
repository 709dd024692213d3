import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** The parts of lib in the order of who may import whom: a part imports the rows above its own, and nothing beside or below. */
const ORDER: readonly (readonly string[])[] = [
  ['model', 'errors'],
  ['rules'],
  ['policy'],
  ['dns', 'pki', 'transport', 'xml'],
  ['auth'],
  ['streams'],
  ['outgoing', 'incoming'],
  ['links'],
  ['federation', 'defaults', 'engine', 'control', 'dialler', 'assemble', 'options', 'option-checks'],
  ['testing', 'index'],
  ['cli']
]

/** Rows whose parts are one thing in two places, and may import each other. */
const TOGETHER: readonly string[] = [
  'model',
  'errors',
  'federation',
  'defaults',
  'engine',
  'control',
  'dialler',
  'assemble',
  'options',
  'option-checks'
]

/** Decide from facts alone: nothing of Node but hashing and the mapping of international names. */
const PURE: readonly string[] = ['model', 'errors', 'rules']
const PURE_IMPORTS: readonly string[] = ['node:crypto', 'node:url']
const IMPURE_NAMES: readonly string[] = [
  'process',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'fetch',
  'console',
  'globalThis'
]

const LINES = 300
/** Files that may be longer, each with its reason. */
const LONG: Readonly<Record<string, string>> = {
  'xml/framer.ts': 'one machine over bytes; its states are only understood together'
}

const FORBIDDEN_FOLDERS: readonly string[] = ['utils', 'util', 'helpers', 'common', 'misc', 'shared']

interface Import {
  /** As written. */
  readonly from: string
  /** Relative to lib, for a file of ours. */
  readonly file: string | undefined
  /** Erased by the compiler: no dependency when running. */
  readonly typeOnly: boolean
  readonly names: readonly string[]
}

interface Source {
  /** Relative to lib, with forward slashes. */
  readonly file: string
  readonly part: string
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
}

const lib = fileURLToPath(new URL('../lib', import.meta.url))
const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => parse(file.split(sep).join('/')))

describe('the architecture', () => {
  it('imports in one direction', () => {
    assert.deepEqual(sources.flatMap(wrongDirections), [])
  })

  it('lets everyone observe, and observation see only the model', () => {
    const seen = sources
      .filter(source => source.part === 'observe')
      .flatMap(source => source.imports.map(({ file }) => [source.file, file] as const))
    assert.deepEqual(
      seen.filter(([, file]) => file !== undefined && !['model', 'errors', 'observe'].includes(partOf(file))),
      []
    )
  })

  it('keeps sockets, clocks and chance out of the model and the rules', () => {
    const pure = sources.filter(source => PURE.includes(source.part))
    const imported = pure.flatMap(source =>
      source.imports
        .filter(({ file, typeOnly, from }) => file === undefined && !typeOnly && !PURE_IMPORTS.includes(from))
        .map(({ from }) => `${source.file} imports ${from}`)
    )
    const used = pure.flatMap(source => impurities(source).map(name => `${source.file} uses ${name}`))
    assert.deepEqual([...imported, ...used], [])
  })

  it('lets only auth make evidence', () => {
    const made = sources
      .filter(source => source.part !== 'auth')
      .filter(source => source.imports.some(reaches('auth/evidence.ts', 'mintEvidence')))
    assert.deepEqual(
      made.map(source => source.file),
      []
    )
  })

  it('reads the certificate of a peer in one place', () => {
    const readers = /^(getPeerX509Certificate|getPeerCertificate)$/
    assert.deepEqual(
      sources.filter(source => properties(source.tree).some(name => readers.test(name))).map(source => source.file),
      ['transport/tls.ts'].filter(file => sources.some(source => source.file === file))
    )
  })

  it('never asks the TLS library for its opinion of a certificate', () => {
    const opinions = /^(authorized|authorizationError)$/
    assert.deepEqual(
      sources.filter(source => properties(source.tree).some(name => opinions.test(name))).map(source => source.file),
      []
    )
  })

  it('takes nothing but the tree from ltx: neither its parser nor the serialiser that does not escape', () => {
    const taken = sources.flatMap(source => source.imports.filter(({ from }) => from === 'ltx').flatMap(({ names }) => names))
    assert.deepEqual(
      [...new Set(taken)].filter(name => !['Element', 'Node', 'createElement'].includes(name)),
      []
    )
  })

  it('keeps a file readable in one sitting', () => {
    const long = sources
      .filter(({ tree, file }) => lineCount(tree) > LINES && !(file in LONG))
      .map(({ tree, file }) => `${file}: ${lineCount(tree)} lines`)
    assert.deepEqual(long, [])
    const excused = Object.keys(LONG).filter(file => sources.some(source => source.file === file && lineCount(source.tree) <= LINES))
    assert.deepEqual(excused, [], 'no longer needs its excuse')
  })

  it('has no folder for things that belong nowhere', () => {
    const folders = new Set(sources.flatMap(({ file }) => file.split('/').slice(0, -1)))
    assert.deepEqual(
      [...folders].filter(folder => FORBIDDEN_FOLDERS.includes(folder)),
      []
    )
  })
})

describe('the reading of the architecture', () => {
  const check = (file: string, text: string): readonly string[] => wrongDirections(parse(file, text))

  it('notices an import against the direction, beside, and of an unknown part', () => {
    assert.deepEqual(check('rules/offer.ts', "import { x } from '../auth/evidence.ts'"), ['rules/offer.ts imports auth/evidence.ts'])
    assert.deepEqual(check('dns/a.ts', "export { x } from '../pki/judge.ts'"), ['dns/a.ts imports pki/judge.ts'])
    assert.deepEqual(check('dns/a.ts', "const x = await import('../pki/judge.ts')"), ['dns/a.ts imports pki/judge.ts'])
    assert.deepEqual(check('dns/a.ts', "import type { X } from '../../spec/x.ts'"), ['dns/a.ts imports ../spec/x.ts'])
    assert.deepEqual(check('rules/a.ts', "import { Observer } from '../observe/observer.ts'"), ['rules/a.ts imports observe/observer.ts'])
    assert.deepEqual(
      check('cli/main.ts', "import { createFederation } from '../index.ts'\nimport { a } from './a.ts'\nimport '../observe/channels.ts'"),
      []
    )
  })

  it('notices clocks and chance, and not a field that is called like one', () => {
    const impure = 'const a = Date.now() + Math.random()\nsetTimeout(() => process.exit(), 1)\nconst b = new Date()'
    assert.deepEqual(impurities(parse('rules/a.ts', impure)), ['Date.now', 'Math.random', 'setTimeout', 'process', 'new Date()'])
    const pure =
      'interface Clock { setTimeout(run: () => void): void }\nconst c = new Date(0)\nconst d = clock.setTimeout(x)\nconst e = { process: Math.max(1, Date.parse(s)) }'
    assert.deepEqual(impurities(parse('rules/a.ts', pure)), [])
  })
})

function parse(file: string, text = readFileSync(join(lib, file), 'utf8')): Source {
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
  return { file, part: partOf(file), tree, imports: importsOf(tree) }
}

function partOf(file: string): string {
  return (file.split('/')[0] ?? '').replace(/\.ts$/, '')
}

function importsOf(tree: ts.SourceFile): readonly Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, typeOnly: boolean, names: readonly string[]): void => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return
    const ours = specifier.text.startsWith('.')
    const file = ours
      ? relative('.', join(dirname(tree.fileName), specifier.text))
          .split(sep)
          .join('/')
      : undefined
    found.push({ from: specifier.text, file, typeOnly, names })
  }
  visit(tree, node => {
    if (ts.isImportDeclaration(node))
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword, namesOf(node.importClause?.namedBindings))
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly, namesOf(node.exportClause))
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false, ['*'])
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true, ['*'])
  })
  return found
}

function namesOf(bindings: ts.NamedImportBindings | ts.NamedExportBindings | undefined): readonly string[] {
  if (bindings === undefined || ts.isNamespaceImport(bindings) || ts.isNamespaceExport(bindings)) return ['*']
  return bindings.elements.map(element => (element.propertyName ?? element.name).text)
}

function wrongDirections(source: Source): readonly string[] {
  const wrong = (file: string): boolean => {
    const to = partOf(file)
    if (to === source.part) return false
    if (to === 'observe') return PURE.includes(source.part)
    if (source.part === 'observe') return !ORDER[0]?.includes(to)
    const [own, theirs] = [rankOf(source.part), rankOf(to)]
    return own === -1 || theirs === -1 || theirs > own || (theirs === own && !TOGETHER.includes(to))
  }
  return source.imports.flatMap(({ file }) => (file !== undefined && wrong(file) ? [`${source.file} imports ${file}`] : []))
}

function rankOf(part: string): number {
  return ORDER.findIndex(row => row.includes(part))
}

function reaches(file: string, name: string): (imported: Import) => boolean {
  return imported => imported.file === file && !imported.typeOnly && (imported.names.includes(name) || imported.names.includes('*'))
}

function impurities(source: Source): readonly string[] {
  const found: string[] = []
  visit(source.tree, node => {
    if (ts.isPropertyAccessExpression(node) && /^(Date\.now|Math\.random)$/.test(node.getText())) found.push(node.getText())
    if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && (node.arguments ?? []).length === 0) found.push('new Date()')
    if (ts.isIdentifier(node) && IMPURE_NAMES.includes(node.text) && isReference(node)) found.push(node.text)
  })
  return found
}

/** Whether a name stands for the thing of that name, rather than naming a field, a method or a key. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  return !(ts.isPropertyAssignment(parent) || ts.isTypeElement(parent) || ts.isClassElement(parent)) || parent.name !== node
}

/** The names read as `something.name`. */
function properties(tree: ts.SourceFile): readonly string[] {
  const found: string[] = []
  visit(tree, node => {
    if (ts.isPropertyAccessExpression(node)) found.push(node.name.text)
  })
  return found
}

function lineCount(tree: ts.SourceFile): number {
  return tree.getLineAndCharacterOfPosition(tree.text.trimEnd().length).line + 1
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node)
  ts.forEachChild(node, child => {
    visit(child, see)
  })
}
