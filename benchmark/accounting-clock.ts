import type { Clock, Timer } from '../lib/model/plugs.ts'

interface Entry {
  readonly due: number
  readonly run: () => void
}

/** A clock that whoever turns the event loop moves on, so that a run of hours takes minutes and is the same for the same seed. */
export class TurnClock implements Clock {
  readonly #timers = new Set<Entry>()
  #now: number
  /** No timer is due before. */
  #next = Infinity

  constructor(start: number) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  setTimeout(run: () => void, delay: number): Timer {
    const timer = { due: this.#now + Math.max(0, delay), run }
    this.#timers.add(timer)
    this.#next = Math.min(this.#next, timer.due)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Moves on by so many milliseconds. */
  tick(milliseconds: number): void {
    this.#moveTo(this.#now + milliseconds)
  }

  /**
   * Moves on to the next timer.
   *
   * @returns false if there is none
   */
  skip(): boolean {
    if (this.#timers.size === 0) return false
    this.#next = this.#earliest()
    this.#moveTo(Math.max(this.#now, this.#next))
    return true
  }

  #moveTo(time: number): void {
    this.#now = time
    if (this.#next > time) return
    const due = [...this.#timers].filter(timer => timer.due <= time).sort((a, b) => a.due - b.due)
    this.#next = Infinity
    for (const timer of due) if (this.#timers.delete(timer)) timer.run()
    this.#next = Math.min(this.#next, this.#earliest())
  }

  #earliest(): number {
    let earliest = Infinity
    for (const { due } of this.#timers) if (due < earliest) earliest = due
    return earliest
  }
}
