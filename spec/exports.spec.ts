import assert from 'node:assert/strict'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const ENTRIES = ['index', 'testing/index'] as const

/** Where the declarations would be that users see; nothing is written. */
const published = join(root, 'declarations')

describe('the public names', () => {
  let program: ts.Program
  let checker: ts.TypeChecker
  before(function () {
    this.timeout(60_000)
    program = declarationsOf(ENTRIES.map(entry => join(root, 'lib', `${entry}.ts`)))
    checker = program.getTypeChecker()
  })

  /** What an entry exports, by name. */
  const exportsOf = (entry: (typeof ENTRIES)[number]): ReadonlyMap<string, ts.Symbol> => {
    const source = program.getSourceFile(join(published, `${entry}.d.ts`))
    const symbol = source === undefined ? undefined : checker.getSymbolAtLocation(source)
    assert.ok(symbol)
    return new Map(checker.getExportsOfModule(symbol).map(each => [each.name, meant(each)]))
  }

  const meant = (symbol: ts.Symbol): ts.Symbol => ((symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol))

  /** Types of ours that the declarations of a symbol name, directly or through values that have no type of their own. */
  const typesNamedBy = (symbol: ts.Symbol, seen = new Set<ts.Symbol>()): ReadonlySet<ts.Symbol> => {
    const named = new Set<ts.Symbol>()
    for (const declaration of symbol.declarations ?? []) {
      for (const name of namesIn(declaration)) {
        const found = checker.getSymbolAtLocation(name)
        const used = found === undefined ? undefined : meant(found)
        if (used === undefined || seen.has(used) || !isOurs(used)) continue
        seen.add(used)
        if ((used.flags & ts.SymbolFlags.Type) !== 0) named.add(used)
        else for (const each of typesNamedBy(used, seen)) named.add(each)
      }
    }
    return named
  }

  it('include every type that the signature of a public name has', () => {
    const main = exportsOf('index')
    const problems = ENTRIES.flatMap(entry => {
      const own = exportsOf(entry)
      const known = new Set([...main.values(), ...own.values()])
      const waiting = [...own].map(([name, symbol]) => ({ name, symbol }))
      const missing = new Map<ts.Symbol, string>()
      for (const { name, symbol } of waiting) {
        for (const used of typesNamedBy(symbol)) {
          if (known.has(used) || missing.has(used)) continue
          missing.set(used, `${entry}: ${name} names ${used.name}`)
          waiting.push({ name: used.name, symbol: used })
        }
      }
      return [...missing.values()]
    })
    assert.deepEqual(problems, [])
  })

  it('all say what they are', () => {
    const silent = ENTRIES.flatMap(entry =>
      [...exportsOf(entry)]
        .filter(([, symbol]) => ts.displayPartsToString(symbol.getDocumentationComment(checker)) === '')
        .map(([name]) => `${entry}: ${name}`)
    )
    assert.deepEqual(silent, [])
  })
})

/** A type parameter is named only where it is declared. */
function isOurs(symbol: ts.Symbol): boolean {
  if ((symbol.flags & ts.SymbolFlags.TypeParameter) !== 0) return false
  return (symbol.declarations ?? []).some(each => each.getSourceFile().fileName.startsWith(published))
}

/** The names of types and values that a declaration is written with, private members left out. */
function namesIn(node: ts.Node): readonly ts.Node[] {
  if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(each => each.kind === ts.SyntaxKind.PrivateKeyword) === true) return []
  const names: ts.Node[] = []
  if (ts.isTypeReferenceNode(node)) names.push(node.typeName)
  if (ts.isTypeQueryNode(node)) names.push(node.exprName)
  if (ts.isExpressionWithTypeArguments(node)) names.push(node.expression)
  if (ts.isImportTypeNode(node)) names.push(node.qualifier ?? node)
  ts.forEachChild(node, child => {
    names.push(...namesIn(child))
  })
  return names
}

/** The declarations of these files and of all that they import, as they would be published. */
function declarationsOf(files: readonly string[]): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.build.json'), name => ts.sys.readFile(name)) as { config: object }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const written = new Map<string, string>()
  const sources = ts.createProgram(files, { ...options, outDir: published, emitDeclarationOnly: true, declarationMap: false })
  sources.emit(undefined, (name, text) => written.set(name, text))
  const host = ts.createCompilerHost(options)
  host.readFile = name => written.get(name) ?? ts.sys.readFile(name)
  host.fileExists = name => written.has(name) || ts.sys.fileExists(name)
  host.directoryExists = name => name.startsWith(published) || ts.sys.directoryExists(name)
  const entries = ENTRIES.map(entry => join(published, `${entry}.d.ts`))
  return ts.createProgram(entries, { ...options, noEmit: true, rootDir: root }, host)
}
