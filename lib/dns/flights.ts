import { abortReason } from '../model/aborted.ts'

interface Flight<T> {
  readonly controller: AbortController
  readonly result: Promise<T>
  passengers: number
}

/** One piece of work per key at a time: who asks while it goes on waits for the same. It is called off when nobody waits any more. */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>()

  /** Joins the work under way, or starts it. The signal ends this caller's wait alone. */
  join(key: string, start: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(abortReason(signal))
    const flight = this.#flights.get(key) ?? this.#take(key, start)
    flight.passengers += 1
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', onAbort)
        flight.passengers -= 1
        if (flight.passengers > 0) return
        this.#land(key, flight)
        flight.controller.abort()
      }
      const onAbort = (): void => {
        leave()
        reject(abortReason(signal))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      flight.result.finally(leave).then(resolve, reject)
    })
  }

  #take(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const flight = { controller, result: start(controller.signal), passengers: 0 }
    this.#flights.set(key, flight)
    flight.result.catch(() => undefined).finally(() => this.#land(key, flight))
    return flight
  }

  #land(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}
