import assert from 'node:assert/strict'
import { once } from 'node:events'
import { systemClock } from '../../lib/dns/system-clock.ts'

describe("the process's own clock", () => {
  it('does not fire at once when a timer is longer than Node can set one', async () => {
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    let fired = false
    const timer = systemClock.setTimeout(() => (fired = true), 2 ** 31 + 5)
    // A timer that overflows fires within a millisecond: before this one.
    const later = new EventTarget()
    systemClock.setTimeout(() => later.dispatchEvent(new Event('now')), 5)
    await once(later, 'now')
    timer.cancel()
    process.off('warning', note)
    assert.equal(fired, false)
    assert.deepEqual(warnings, [])
  })
})
