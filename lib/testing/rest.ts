import { createHook } from 'node:async_hooks'
import { FederationError } from '../errors.ts'

interface Waiter {
  readonly until: () => boolean
  /** Woken only when nobody else waits: who moves time on must not overtake who looks at the present. */
  readonly last: boolean
  readonly resolve: () => void
  readonly reject: (error: FederationError) => void
}

// Loopback sockets of one process deliver within a turn or two; the rest is margin.
const TURNS_AT_REST = 8
const TURNS_AT_MOST = 200_000

const waiting = new Set<Waiter>()
let callbacks = 0
let quiet = 0
let turns = 0

// Whatever the process does of its own begins with a callback of some asynchronous resource: a read, a tick, a promise, an immediate.
const hook = createHook({
  before: () => {
    callbacks += 1
  }
})

/**
 * Resolves when the process is at rest: several turns of the event loop in a row ran nothing but this watch. Work in other
 * threads and other processes is not seen. No time needs to pass.
 *
 * @throws FederationError `S2S_TIMEOUT` when the process does not come to rest
 */
export function atRest(): Promise<void> {
  return wait(false, () => false)
}

/** As {@link atRest}, for clocks: after everybody else who waits for rest. `until` is looked at once a turn, and ends the wait early. */
export function readyForTime(until: () => boolean): Promise<void> {
  return wait(true, until)
}

function wait(last: boolean, until: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    waiting.add({ until, last, resolve, reject })
    quiet = 0
    turns = 0
    if (waiting.size > 1) return
    hook.enable()
    callbacks = 0
    setImmediate(watch)
  })
}

function watch(): void {
  // One of the callbacks since the last turn is this one.
  quiet = callbacks > 1 ? 0 : quiet + 1
  callbacks = 0
  turns += 1
  const others = [...waiting].some(waiter => !waiter.last)
  for (const waiter of waiting) {
    const done = (quiet >= TURNS_AT_REST && !(waiter.last && others)) || waiter.until()
    if (!done && turns < TURNS_AT_MOST) continue
    waiting.delete(waiter)
    if (done) waiter.resolve()
    else
      waiter.reject(
        new FederationError('S2S_TIMEOUT', { detail: `the process did not come to rest in ${TURNS_AT_MOST} turns of the event loop` })
      )
  }
  if (waiting.size > 0) setImmediate(watch)
  else hook.disable()
}
