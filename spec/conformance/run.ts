// npm run conformance [-- --passing | --mutate [RULE…]]
import { fileURLToPath } from 'node:url'
import { citations, debts, runMocha } from './citations.ts'
import { mutate } from './mutate.ts'
import { mutations } from './mutations.ts'
import { printed } from './printed.ts'
import { faultsOfTable, readTable } from './table.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [mode, ...rules] = process.argv.slice(2)
const faults = await (mode === '--mutate' ? checkMutations() : checkTable(mode === '--passing')).catch((error: unknown) => [
  error instanceof Error ? error.message : String(error)
])
for (const fault of faults) console.error(fault)
process.exitCode = faults.length === 0 ? 0 : 1

/** Every statement is cited by a spec (`passing`: by one that passes), or says why not. */
async function checkTable(passing: boolean): Promise<readonly string[]> {
  const table = readTable(new URL('../../fixtures/conformance.json', import.meta.url))
  const byId = citations(await runMocha({ root, dry: !passing }))
  console.log(printed(table, byId))
  return [...faultsOfTable(table), ...debts(table, byId)]
}

/** Every named rule, broken in a copy of the tree, turns the specs of its id red. */
async function checkMutations(): Promise<readonly string[]> {
  const chosen = rules.length === 0 ? mutations : mutations.filter(mutation => rules.includes(mutation.rule))
  return mutate(root, chosen, line => {
    console.log(line)
  })
}
