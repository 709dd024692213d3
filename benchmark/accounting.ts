import { parseArgs } from 'node:util'
import { runAccounting } from './accounting-run.ts'
import type { RunOptions, RunResult } from './accounting-run.ts'

const OWN_LINKS = { multiplexing: false, bidi: false }

/** Each run with what it goes without, and how everybody proves who they are. */
const RUNS: Readonly<Record<string, Pick<RunOptions, 'extensions' | 'isCertified' | 'isAnswered'>>> = {
  written: { extensions: { ...OWN_LINKS, streamManagement: false }, isCertified: true },
  acknowledged: { extensions: { ...OWN_LINKS, resumption: false }, isCertified: true },
  resumed: { extensions: OWN_LINKS, isCertified: true },
  'both ways': { extensions: {}, isCertified: true },
  answered: { extensions: {}, isCertified: true, isAnswered: true },
  multiplexed: { extensions: {}, isCertified: false }
}

const SHOWN = 10

/**
 * A million stanzas between a thousand pairs and more, while connections end at random, and the books of it: with the engines on the
 * in-memory network, first without stream management, then with.
 *
 * @returns whether the delivery contract was kept
 */
export async function run(flags: readonly string[]): Promise<boolean> {
  const { stanzas, pairs, seed, kills, only } = read(flags)
  const runs = Object.entries(RUNS).filter(([name]) => only === undefined || name === only)
  if (runs.length === 0) throw new Error(`There is no run ${JSON.stringify(only)}. There are: ${Object.keys(RUNS).join(', ')}.`)
  console.log(`${stanzas} stanzas, ${pairs} pairs, about ${Math.round(stanzas / kills)} connections ended at random, --seed ${seed}\n`)
  const results = new Map<string, RunResult>()
  for (const [name, how] of runs)
    results.set(name, await runAccounting({ ...how, stanzas, pairs, seed, stanzasPerKill: kills, measuresHeap: true }))
  print(results)
  for (const [name, { violations }] of results) {
    for (const violation of violations.slice(0, SHOWN)) console.error(`${name}: ${violation}`)
    if (violations.length > SHOWN) console.error(`${name}: and ${violations.length - SHOWN} more`)
  }
  return [...results.values()].every(({ violations }) => violations.length === 0)
}

function read(flags: readonly string[]): { stanzas: number; pairs: number; seed: number; kills: number; only: string | undefined } {
  const { values } = parseArgs({
    args: [...flags],
    options: {
      stanzas: { type: 'string', default: '1000000' },
      pairs: { type: 'string', default: '1400' },
      seed: { type: 'string', default: `${Math.floor(Math.random() * 2 ** 31)}` },
      'stanzas-per-kill': { type: 'string', default: '250' },
      only: { type: 'string' }
    }
  })
  const whole = (name: string, text: string): number => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} has to be a whole number, and is ${JSON.stringify(text)}`)
    return value
  }
  return {
    stanzas: whole('stanzas', values.stanzas),
    pairs: whole('pairs', values.pairs),
    seed: whole('seed', values.seed),
    kills: whole('stanzas-per-kill', values['stanzas-per-kill']),
    only: values.only
  }
}

function print(results: ReadonlyMap<string, RunResult>): void {
  const all = [...results.values()]
  const row = (label: string, cells: readonly (number | string)[]): void =>
    console.log(label.padEnd(34) + cells.map(cell => `${cell}`.padStart(16)).join(''))
  const counts = <K extends string>(of: (result: RunResult) => ReadonlyMap<K, number>, label: (key: K) => string): void => {
    for (const key of new Set(all.flatMap(result => [...of(result).keys()]))) {
      row(
        label(key),
        all.map(result => of(result).get(key) ?? 0)
      )
    }
  }
  row('', [...results.keys()])
  for (const [label, cell] of ROWS) row(label, all.map(cell))
  counts(
    ({ rejected }) => rejected,
    code => `rejected with ${code}`
  )
  counts(
    ({ kills }) => kills,
    kind => `connections ${kind}`
  )
  console.log('')
}

const ROWS: readonly (readonly [string, (result: RunResult) => number | string])[] = [
  ['stanzas/s', ({ sent, seconds }) => Math.round(sent / seconds)],
  ['seconds', ({ seconds }) => seconds.toFixed(1)],
  ['simulated minutes', ({ simulatedSeconds }) => (simulatedSeconds / 60).toFixed(1)],
  ['peak heap, MB', ({ peakHeap }) => Math.round(peakHeap / 1e6)],
  ['outgoing links', ({ links }) => links],
  ['pairs that joined one', ({ joined }) => joined],
  ['sent', ({ sent }) => sent],
  ['acknowledged', ({ acknowledged }) => acknowledged],
  ['written', ({ written }) => written],
  ['  of these not delivered', ({ writtenNotDelivered }) => writtenNotDelivered],
  ['in doubt, delivered', ({ inDoubtDelivered }) => inDoubtDelivered],
  ['in doubt, not delivered', ({ inDoubtNotDelivered }) => inDoubtNotDelivered]
]
