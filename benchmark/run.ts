import { run as framer } from './framer.ts'

const benchmarks: Readonly<Record<string, () => boolean | Promise<boolean>>> = {
  framer,
  // Makes its chains when it is loaded.
  judge: async () => (await import('./judge.ts')).run()
}

const [name = ''] = process.argv.slice(2)
const benchmark = benchmarks[name]
if (benchmark === undefined) {
  console.error(`There is no benchmark ${JSON.stringify(name)}. There are: ${Object.keys(benchmarks).join(', ')}.`)
  process.exitCode = 2
} else if (!(await benchmark())) process.exitCode = 1
