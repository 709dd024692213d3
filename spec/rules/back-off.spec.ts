import assert from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import { retryDelay } from '../../lib/rules/back-off.ts'

const temporary = new FederationError('S2S_CONNECT_FAILED')
const lasting = new FederationError('S2S_CERTIFICATE')
const almostOne = 1 - Number.EPSILON

describe('rules/back-off', () => {
  const WINDOWS: readonly (readonly [failures: number, longest: number])[] = [
    [1, 60_000],
    [2, 120_000],
    [3, 240_000],
    [4, 480_000],
    [5, 900_000],
    [6, 900_000],
    [11, 900_000],
    [12, 900_000],
    [40, 900_000],
    [2_000, 900_000]
  ]
  for (const [failures, longest] of WINDOWS)
    it(`[RFC6120-3.3-a] waits anything up to ${longest / 1_000} s after ${failures} failures in a row that may pass`, () => {
      const waits = [0, 0.25, 0.5, almostOne].map(random => retryDelay(temporary, failures, random))
      assert.deepEqual(waits, [0, longest / 4, longest / 2, longest])
    })

  it('[RFC6120-3.3-a] waits five minutes more after what an administrator has to change', () => {
    const waits = [1, 2, 5, 2_000].flatMap(failures => [0, almostOne].map(random => retryDelay(lasting, failures, random)))
    assert.deepEqual(waits, [300_000, 360_000, 300_000, 420_000, 300_000, 1_200_000, 300_000, 1_200_000])
  })
})
