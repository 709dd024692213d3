import { run as framer } from './framer.ts'
import { run as judge } from './judge.ts'

const benchmarks: Readonly<Record<string, () => boolean | Promise<boolean>>> = { framer, judge }

const [name = ''] = process.argv.slice(2)
const benchmark = benchmarks[name]
if (benchmark === undefined) {
  console.error(`There is no benchmark ${JSON.stringify(name)}. There are: ${Object.keys(benchmarks).join(', ')}.`)
  process.exitCode = 2
} else if (!(await benchmark())) process.exitCode = 1
