import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { underBoth } from '../../lib/model/aborted.ts'

describe('work under two signals', () => {
  it('is aborted with either, for its reason, also where that was before', async () => {
    for (const which of [0, 1] as const) {
      for (const before of [true, false]) {
        const both = [new AbortController(), new AbortController()] as const
        if (before) both[which].abort('reason')
        const reason = await underBoth(both[0].signal, both[1].signal, signal => {
          both[which].abort('reason')
          return Promise.resolve<unknown>(signal.reason)
        })
        assert.equal(reason, 'reason')
      }
    }
  })

  it('leaves nothing with either when it is over, well or badly', async () => {
    const both = [new AbortController().signal, new AbortController().signal] as const
    assert.equal(await underBoth(...both, () => Promise.resolve(1)), 1)
    await assert.rejects(underBoth(...both, () => Promise.reject(new Error('no'))))
    for (const signal of both) assert.deepEqual(getEventListeners(signal, 'abort'), [])
  })
})
