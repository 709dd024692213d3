import { run as framer } from './framer.ts'

const benchmarks: Readonly<Record<string, (flags: readonly string[]) => boolean | Promise<boolean>>> = {
  framer,
  // Makes its chains when it is loaded.
  judge: async () => (await import('./judge.ts')).run(),
  accounting: async flags => (await import('./accounting.ts')).run(flags)
}

const [name = '', ...flags] = process.argv.slice(2)
const benchmark = benchmarks[name]
if (benchmark === undefined) {
  console.error(`There is no benchmark ${JSON.stringify(name)}. There are: ${Object.keys(benchmarks).join(', ')}.`)
  process.exitCode = 2
} else if (!(await benchmark(flags))) process.exitCode = 1
