import { Judge } from '../lib/pki/judge.ts'
import { costlyChains } from '../spec/pki/costly.ts'
import { CORPUS } from '../spec/pki/corpus.ts'
import { NOW, PEER } from '../spec/pki/world.ts'
import type { Chain } from '../spec/pki/world.ts'

const ROUNDS = 7
const SHOWN = 8
/** Milliseconds that no verdict may take, whatever was presented. */
const MOST = 50

interface Cost {
  readonly name: string
  /** Milliseconds, of verdicts that found no path kept: the first, the middle and the fastest one, which the machine's other work met least. */
  readonly first: number
  readonly median: number
  readonly best: number
  /** Of one that found the path kept. */
  readonly kept: number
}

/** How long a verdict takes, for the corpus and for chains made to be slow. Ends with a failure where one takes too long. */
export function run(): boolean {
  const corpus = CORPUS.map(cost)
  const costly = costlyChains().map(cost)
  print(`${corpus.length} chains of the corpus`, corpus)
  print(`${costly.length} chains made to be slow`, costly)
  const slow = [...corpus, ...costly].filter(one => one.best > MOST)
  for (const one of slow) console.error(`${one.name} takes more than ${MOST} ms.`)
  return slow.length === 0
}

function cost(chain: Chain): Cost {
  const rounds = Array.from({ length: ROUNDS }, () => time(new Judge({ default: chain.anchors }), chain))
  const [first = 0] = rounds
  const sorted = rounds.toSorted((a, b) => a - b)
  const judge = new Judge({ default: chain.anchors })
  time(judge, chain)
  return { name: chain.name, first, median: sorted[ROUNDS >> 1] ?? 0, best: sorted[0] ?? 0, kept: time(judge, chain) }
}

function time(judge: Judge, { presented }: Chain): number {
  const begin = performance.now()
  judge.judge(presented, PEER, NOW, undefined)
  return performance.now() - begin
}

function print(title: string, costs: readonly Cost[]): void {
  const medians = costs.map(one => one.median).sort((a, b) => a - b)
  console.log(`\n${title}: median ${(medians[medians.length >> 1] ?? 0).toFixed(2)} ms a verdict; the slowest, in milliseconds\n`)
  console.log('   first   median     best     kept')
  for (const one of costs.toSorted((a, b) => b.median - a.median).slice(0, SHOWN)) {
    console.log(`${[one.first, one.median, one.best, one.kept].map(figure => figure.toFixed(2).padStart(8)).join(' ')}  ${one.name}`)
  }
}
