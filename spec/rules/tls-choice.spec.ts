import assert from 'node:assert/strict'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import type { StreamFeatures } from '../../lib/model/stream.ts'
import { chooseTls } from '../../lib/rules/tls-choice.ts'
import { attempt, endpoint } from './peers.ts'

describe('rules/tls-choice', () => {
  const offering = (starttls: StreamFeatures['starttls']): StreamFeatures => ({ ...NO_FEATURES, starttls })
  const first = attempt(endpoint('xmpp.example'))
  const plain = attempt(endpoint('xmpp.example'), { encryption: 'none' })
  const again = attempt(endpoint('xmpp.example'), { skipProofs: ['sasl-external'] })

  it('[RFC7590-3.1-a] asks for TLS that policy requires even when it is not offered', () => {
    for (const starttls of ['absent', 'offered', 'required'] as const)
      assert.equal(chooseTls('required', first, offering(starttls)), 'starttls')
  })
  it('takes TLS when it is offered, and goes on without where it is not', () => {
    assert.equal(chooseTls('when-offered', first, offering('offered')), 'starttls')
    assert.equal(chooseTls('when-offered', first, offering('required')), 'starttls')
    assert.equal(chooseTls('when-offered', first, offering('absent')), 'stay-plain')
  })
  it('gives up where policy goes without TLS and the peer requires it', () => {
    assert.equal(chooseTls('never', first, offering('offered')), 'stay-plain')
    assert.equal(chooseTls('never', first, offering('required')), 'give-up')
  })
  it('keeps an attempt in clear in clear, or gives it up', () => {
    assert.equal(chooseTls('when-offered', plain, offering('offered')), 'stay-plain')
    assert.equal(chooseTls('when-offered', plain, offering('required')), 'give-up')
    assert.equal(chooseTls('required', plain, offering('offered')), 'give-up')
  })
  it('does not come back in clear to leave out a proof that failed inside TLS', () => {
    assert.equal(chooseTls('when-offered', again, offering('absent')), 'starttls')
  })
})
