import type { ChainFacts } from '../model/chain.ts'
import type { FoundPath } from './path.ts'

const MOST_CHAINS = 128
const MOST_OF_ONE_CHAIN = 16

/**
 * Paths that were found, each for as long as the same certificates would make the same path. What was presented on a stream keeps its
 * own: whoever presents many different chains at once drives out what is kept of others, but has none of its own found twice.
 */
export class KeptPaths {
  readonly #ofStreams = new WeakMap<readonly Buffer[], Map<string, FoundPath>>()
  readonly #byContent = new Map<string, FoundPath>()

  /**
   * @param chain as presented: the very list that belongs to the stream
   * @param trusted who is trusted for the name, as a key
   * @param digest of what is presented: worked out once for a stream
   * @param find finds the path, where none that is kept holds at `now`
   */
  of(chain: readonly Buffer[], trusted: string, now: number, digest: () => string, find: () => FoundPath): ChainFacts {
    const ofStream = this.#ofStreams.get(chain) ?? new Map<string, FoundPath>()
    this.#ofStreams.set(chain, ofStream)
    const own = ofStream.get(trusted)
    if (own !== undefined && holds(own, now)) return own.facts
    const key = `${trusted} ${digest()}`
    const known = this.#byContent.get(key)
    const path = known !== undefined && holds(known, now) ? known : find()
    keep(ofStream, trusted, path, MOST_OF_ONE_CHAIN)
    if (path !== known) keep(this.#byContent, key, path, MOST_CHAINS)
    return path.facts
  }
}

function holds({ from, until }: FoundPath, now: number): boolean {
  return from <= now && now < until
}

function keep(paths: Map<string, FoundPath>, key: string, path: FoundPath, most: number): void {
  paths.delete(key)
  const [oldest] = paths.keys()
  if (paths.size >= most && oldest !== undefined) paths.delete(oldest)
  paths.set(key, path)
}
