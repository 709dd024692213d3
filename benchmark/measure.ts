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

export interface Rules {
  /** How long each contender runs before it counts, in milliseconds: a server is warm. */
  readonly warmUp: number
  readonly rounds: number
  /** What each has to see. */
  readonly stanzas: number
}

/** Lets contenders take turns, so that whatever else the machine does meets all of them, and keeps the fastest round of each. */
export function measure(contenders: readonly Contender[], rules: Rules): readonly Result[] {
  for (const contender of contenders) {
    for (const end = performance.now() + rules.warmUp; performance.now() < end;) time(contender, rules.stanzas)
  }
  const best = new Map<string, number>()
  for (let round = 0; round < rules.rounds; round++) {
    for (const contender of contenders) {
      best.set(contender.name, Math.min(time(contender, rules.stanzas), best.get(contender.name) ?? Infinity))
    }
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
