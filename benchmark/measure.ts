/** One contender: does its work on the corpus once and says how many stanzas it saw. */
export interface Contender {
  readonly name: string
  readonly run: () => number
}

export interface Result {
  readonly name: string
  /** The fastest of all rounds, in seconds. */
  readonly seconds: number
}

/** How long each contender runs before it counts, in milliseconds: a server is warm. */
const WARM_UP = 800

/**
 * Lets contenders take turns, so that whatever else the machine does meets all of them, and keeps the fastest round of each.
 */
export function measure(contenders: readonly Contender[], rounds: number, stanzas: number): readonly Result[] {
  for (const contender of contenders) for (const end = performance.now() + WARM_UP; performance.now() < end;) time(contender, stanzas)
  const best = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) best.set(contender.name, Math.min(time(contender, stanzas), best.get(contender.name) ?? Infinity))
  }
  return contenders.map(({ name }) => ({ name, seconds: best.get(name) ?? Infinity }))
}

function time({ name, run }: Contender, stanzas: number): number {
  const begin = process.hrtime.bigint()
  const seen = run()
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9
  if (seen !== stanzas) throw new Error(`${name} saw ${seen} of ${stanzas} stanzas`)
  return seconds
}
