import type { Clock } from '../model/plugs.ts'

/** The process's own clock: what everything runs on that is not given another one. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, delay) => {
    const timer = setTimeout(run, delay)
    return { cancel: () => clearTimeout(timer) }
  }
}
