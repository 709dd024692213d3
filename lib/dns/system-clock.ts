import type { Clock } from '../model/plugs.ts'

/** A timer of Node's that is set for longer fires at once. */
const LONGEST = 2 ** 31 - 1

/** The process's own clock: what everything runs on that is not given another one. Its timers may be of any length. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout(run, delay) {
    let timer: NodeJS.Timeout
    const wait = (left: number): void => {
      timer = left > LONGEST ? setTimeout(() => wait(left - LONGEST), LONGEST) : setTimeout(run, left)
    }
    wait(delay)
    return { cancel: () => clearTimeout(timer) }
  }
}
