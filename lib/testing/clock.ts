import { FederationError } from '../errors.ts'
import type { Clock, Timer } from '../model/plugs.ts'
import { atRest, readyForTime } from './rest.ts'

/** A {@link Clock} that stands still until it is told to move. Nothing on it ever sleeps. */
export interface TestClock extends Clock {
  /** Timers that are set and have neither run nor been cancelled. */
  readonly pendingTimers: number
  /** When the next timer is due, milliseconds since the epoch; undefined: none is set. */
  readonly nextTimer: number | undefined
  /**
   * Moves time on by `ms`, running each timer at its own moment and letting the process come to rest after each, so that a
   * timer set by another one's consequences runs in its turn.
   */
  advance(ms: number): Promise<void>
  /** Resolves when the process is at rest: several turns of the event loop in which nothing happened. No time passes. */
  settle(): Promise<void>
  /**
   * Waits for a promise, moving on to the next timer whenever the process is otherwise at rest: what takes a minute on a
   * wall clock takes no time, and ends in the same order.
   *
   * @param options.atMost bound on the time that passes on this clock, in milliseconds; default one day
   * @throws FederationError `S2S_TIMEOUT` when the bound is reached, or when nothing is left that could settle the promise
   */
  run<T>(promise: Promise<T>, options?: { readonly atMost?: number }): Promise<T>
}

interface Entry {
  readonly due: number
  readonly order: number
  readonly run: () => void
}

const DAY = 86_400_000
// With no timer left only work outside the event loop (a thread, another process) can still settle what is waited for.
const PATIENCE = 5_000

/**
 * A clock for specs. Hand it to everything that takes a `clock`; certificates made with `now: clock.now()` are in force on it.
 *
 * @param start milliseconds since the epoch; default: the real time of this call, so that certificates made at run time are in force
 */
export function createTestClock(start: number = Date.now()): TestClock {
  const timers = new Set<Entry>()
  let time = start
  let made = 0

  const earliest = (): Entry | undefined => {
    let first: Entry | undefined
    for (const timer of timers)
      if (first === undefined || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) first = timer
    return first
  }

  const fire = (timer: Entry): void => {
    timers.delete(timer)
    time = Math.max(time, timer.due)
    timer.run()
  }

  const advance = async (ms: number): Promise<void> => {
    const end = time + ms
    await readyForTime(() => false)
    for (let next = earliest(); next !== undefined && next.due <= end; next = earliest()) {
      fire(next)
      await readyForTime(() => false)
    }
    time = Math.max(time, end)
  }

  const run = async <T>(promise: Promise<T>, options: { readonly atMost?: number } = {}): Promise<T> => {
    const end = time + (options.atMost ?? DAY)
    const state = { settled: false }
    const note = (): void => {
      state.settled = true
    }
    promise.then(note, note)
    for (let patience = PATIENCE; ;) {
      await readyForTime(() => state.settled)
      if (state.settled) return await promise
      const next = earliest()
      if (next !== undefined && next.due > end)
        throw new FederationError('S2S_TIMEOUT', { detail: `the test clock passed ${options.atMost ?? DAY} ms` })
      if (next !== undefined) fire(next)
      else if ((patience -= 1) < 0) throw new FederationError('S2S_TIMEOUT', { detail: 'no timer is set and nothing moves' })
    }
  }

  return {
    now: () => time,
    setTimeout: (callback, delay): Timer => {
      const timer: Entry = { due: time + Math.max(0, delay), order: (made += 1), run: callback }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    get pendingTimers() {
      return timers.size
    },
    get nextTimer() {
      return earliest()?.due
    },
    advance,
    settle: () => atRest(),
    run
  }
}
