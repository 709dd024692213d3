import { systemClock } from '../dns/system-clock.ts'
import type { Clock } from '../model/plugs.ts'
import { Deadline } from '../transport/deadline.ts'

/** How long a script waits for anything. */
export interface DeadlineOptions {
  /** Milliseconds that each wait takes at most. Default 5000. */
  readonly deadline?: number
  /** What deadlines run on. Default: real time, whatever clock the other side is on. */
  readonly clock?: Clock
}

export function startDeadline({ deadline = 5000, clock = systemClock }: DeadlineOptions): Deadline {
  return new Deadline(clock, deadline, 'a scripted peer', undefined)
}

/** Resolves when the callback that `wait` gets is called, or when the deadline is over. */
export function wokenBy(signal: AbortSignal, wait: (wake: () => void) => void): Promise<void> {
  return new Promise(resolve => {
    wait(resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
