import { FederationError } from '../errors.ts'
import { abortReason } from '../model/aborted.ts'
import type { Clock, DnsAnswer, HostAddress, Timer } from '../model/plugs.ts'

/** RFC 8305 §3: how long a known IPv4 address waits for an IPv6 one, in milliseconds. */
const WAIT_FOR_SIX = 50
/** A known IPv6 address waits longer: should IPv6 not work here, it would be all there is. */
const WAIT_FOR_FOUR = 1_000
/** How long the late family is still listened for, so that the next dial finds it in the cache. */
const LATE = 1_000

type Answered = DnsAnswer<HostAddress>
type Outcome = Answered | FederationError
type Lookup = (signal: AbortSignal) => Promise<Answered>

/**
 * Both families at once; one that is slow or fails does not keep the other. A host has no address only if both say so, and the
 * lookup fails only if nothing was found and one of them failed.
 */
export function addressesOfBoth(
  six: Lookup,
  four: Lookup,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }
): Promise<Answered> {
  const inner = new AbortController()
  const onAbort = (): void => inner.abort(abortReason(signal))
  const outcomes: { six?: Outcome; four?: Outcome } = {}
  let timer: Timer | undefined
  return new Promise((resolve, reject) => {
    const decide = (): void => {
      const outcome = signal.aborted ? abortReason(signal) : merge(outcomes.six, outcomes.four)
      signal.removeEventListener('abort', onAbort)
      if (FederationError.is(outcome)) reject(outcome)
      else resolve(outcome)
    }
    const goOnWithout = (): void => {
      timer = clock.setTimeout(() => inner.abort(), LATE)
      decide()
    }
    const note = (family: 'six' | 'four', outcome: Outcome): void => {
      timer?.cancel()
      outcomes[family] = outcome
      if (outcomes.six !== undefined && outcomes.four !== undefined) decide()
      else if (isFound(outcome)) timer = clock.setTimeout(goOnWithout, family === 'four' ? WAIT_FOR_SIX : WAIT_FOR_FOUR)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    for (const [family, look] of [['six', six] as const, ['four', four] as const])
      look(inner.signal).then(
        answer => note(family, answer),
        (error: unknown) => note(family, FederationError.from(error))
      )
  })
}

function isFound(outcome: Outcome | undefined): outcome is Extract<Answered, { readonly status: 'found' }> {
  return outcome !== undefined && !FederationError.is(outcome) && outcome.status === 'found'
}

function merge(six: Outcome | undefined, four: Outcome | undefined): Outcome {
  const found = [six, four].filter(isFound)
  if (found.length > 0)
    return {
      status: 'found',
      records: found.flatMap(({ records }) => records),
      ttl: Math.min(...found.map(({ ttl }) => ttl)),
      secure: found.every(({ secure }) => secure)
    }
  const absent: Answered[] = []
  for (const outcome of [six, four]) {
    if (FederationError.is(outcome)) return outcome
    if (outcome !== undefined) absent.push(outcome)
  }
  return {
    status: absent.every(({ status }) => status === 'no-such-domain') ? 'no-such-domain' : 'no-data',
    ttl: Math.min(...absent.map(({ ttl }) => ttl)),
    secure: absent.every(({ secure }) => secure)
  }
}
