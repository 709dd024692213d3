// npm run conformance [-- --listed | --mutate [RULE…]]
import { fileURLToPath } from 'node:url'
import { citations, debts, runMocha } from './citations.ts'
import { mutate } from './mutate.ts'
import { mutations } from './mutations.ts'
import { printed } from './printed.ts'
import { faultsOfTable, readTable } from './table.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [mode, ...rules] = process.argv.slice(2)
const faults = await run().catch((error: unknown) => [error instanceof Error ? error.message : String(error)])
for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1

async function run(): Promise<readonly string[]> {
  switch (mode) {
    case undefined:
      return await checkTable(false)
    case '--listed':
      return await checkTable(true)
    case '--mutate':
      return await checkMutations()
    default:
      return [`${mode} is neither --listed nor --mutate`]
  }
}

/** Every statement is covered by a spec that passes, or says why not. `dry`: that a spec cites it is enough, and none is run. */
async function checkTable(dry: boolean): Promise<readonly string[]> {
  const table = readTable(new URL('../../fixtures/conformance.json', import.meta.url))
  const byId = citations(await runMocha({ root, dry, citing: 'anything' }))
  console.log(printed(table, byId))
  return [...faultsOfTable(table), ...debts(table, byId)]
}

/** Every named rule, broken in a copy of the tree, turns the specs of its id red. */
async function checkMutations(): Promise<readonly string[]> {
  const unknown = rules.filter(rule => !mutations.some(mutation => mutation.rule === rule))
  if (unknown.length > 0) return unknown.map(rule => `no rule is named '${rule}'`)
  const chosen = rules.length === 0 ? mutations : mutations.filter(mutation => rules.includes(mutation.rule))
  return await mutate(root, chosen, line => {
    console.log(line)
  })
}
