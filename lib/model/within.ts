import type { Clock } from './plugs.ts'

/** Resolves when the work is done, or the time is over. The work never rejects. */
export async function within(work: Promise<void>, clock: Clock, milliseconds: number): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = clock.setTimeout(resolve, milliseconds)
    void work.then(() => {
      timer.cancel()
      resolve()
    })
  })
}
