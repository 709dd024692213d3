import assert from 'node:assert/strict'
import type { Attempt } from '../../lib/model/endpoint.ts'
import type { AfterFailure, StepFailure } from '../../lib/model/policy.ts'
import { firstAttempt, nextAttempt, untriedEndpoints } from '../../lib/rules/next-attempt.ts'
import type { AttemptClamps, Tried } from '../../lib/rules/next-attempt.ts'
import { attempt, endpoint, failure } from './peers.ts'

describe('rules/next-attempt', () => {
  const [a, b, c] = [endpoint('a.example'), endpoint('b.example'), endpoint('c.example')]
  const direct = endpoint('d.example', 'direct')
  const open: AttemptClamps = { floor: 'plain-dialback', tlsRequiredByUs: false }
  const handshake = failure('negotiate-tls', 'S2S_TLS_HANDSHAKE')
  const tried = (of: Attempt, failed: StepFailure, answer: AfterFailure): Tried => ({ attempt: of, failure: failed, answer })

  it('begins with the first endpoint, encrypted as policy has it', () => {
    assert.deepEqual(firstAttempt([a, b]), attempt(a))
    assert.deepEqual(nextAttempt([], [a, b], open), attempt(a))
    assert.equal(firstAttempt([]), undefined)
  })

  it('tries every endpoint encrypted before the first that earned it is dialled in clear, once and last', () => {
    const history: Tried[] = [tried(attempt(a), { ...handshake, endpointsLeft: 2 }, 'reconnect-plain')]
    assert.deepEqual(nextAttempt(history, [a, b, c], open), attempt(b))
    history.push(tried(attempt(b), { ...handshake, endpointsLeft: 1 }, 'reconnect-plain'))
    assert.deepEqual(nextAttempt(history, [a, b, c], open), attempt(c))
    history.push(tried(attempt(c), failure('connect', 'S2S_CONNECT_FAILED'), 'next-endpoint'))
    const plain = attempt(a, { encryption: 'none' })
    assert.deepEqual(nextAttempt(history, [a, b, c], open), plain)
    for (const answer of ['reconnect-plain', 'next-endpoint', 'reconnect-tls', 'next-proof', 'give-up'] as const) {
      assert.equal(nextAttempt([...history, tried(plain, handshake, answer)], [a, b, c], open), undefined, answer)
    }
  })

  it('never turns to clear when a server for direct TLS was not dialled because policy did not want TLS then', () => {
    const history = [
      tried(attempt(direct), { ...failure('negotiate-tls', 'S2S_POLICY'), endpointsLeft: 1 }, 'next-endpoint'),
      tried(attempt(a), handshake, 'reconnect-plain')
    ]
    assert.equal(nextAttempt(history, [direct, a], open), undefined)
  })

  it('takes a turn in clear that was earned although the policy says, of the last endpoint, that none is left', () => {
    const history = [
      tried(attempt(a), { ...handshake, endpointsLeft: 1 }, 'reconnect-plain'),
      tried(attempt(b), failure('connect', 'S2S_CONNECT_FAILED'), 'give-up')
    ]
    assert.deepEqual(nextAttempt(history, [a, b], open), attempt(a, { encryption: 'none' }))
  })

  it('stops where the policy gives up with endpoints left, whatever was earned before', () => {
    const history = [
      tried(attempt(a), { ...handshake, endpointsLeft: 2 }, 'reconnect-plain'),
      tried(attempt(b), { ...handshake, endpointsLeft: 1 }, 'give-up')
    ]
    assert.equal(nextAttempt(history, [a, b, c], open), undefined)
  })

  describe('in clear, not', () => {
    const rows: readonly [why: string, entry: Tried, clamps?: Partial<AttemptClamps>][] = [
      [
        'after anything but a failure of TLS or a certificate',
        tried(attempt(a), failure('open-stream', 'S2S_STREAM_CLOSED'), 'reconnect-plain')
      ],
      ['after bytes in clear where TLS had to begin', tried(attempt(a), failure('negotiate-tls', 'S2S_TLS_INJECTION'), 'reconnect-plain')],
      ['where the peer requires TLS', tried(attempt(a), { ...handshake, tlsRequiredByPeer: true }, 'reconnect-plain')],
      ['where we require TLS', tried(attempt(a), handshake, 'reconnect-plain'), { tlsRequiredByUs: true }],
      ['above the lowest floor', tried(attempt(a), handshake, 'reconnect-plain'), { floor: 'tls-dialback' }],
      ['to an endpoint for direct TLS', tried(attempt(direct), handshake, 'reconnect-plain')],
      ['unasked', tried(attempt(a), handshake, 'next-endpoint')]
    ]
    for (const [why, entry, clamps] of rows)
      it(why, () => assert.equal(nextAttempt([entry], [entry.attempt.endpoint], { ...open, ...clamps }), undefined))

    it('where one of the peer’s servers required TLS and another did not say so', () => {
      const history = [
        tried(attempt(a), { ...handshake, endpointsLeft: 1 }, 'reconnect-plain'),
        tried(attempt(b), { ...handshake, tlsRequiredByPeer: true }, 'next-endpoint')
      ]
      assert.equal(nextAttempt(history, [a, b], open), undefined)
    })
  })

  it('counts STARTTLS that was not offered as a failure of TLS', () => {
    const history = [
      tried(attempt(a), failure('negotiate-tls', 'S2S_TLS_NOT_OFFERED', { endpointsLeft: 1 }), 'reconnect-plain'),
      tried(attempt(b), handshake, 'next-endpoint')
    ]
    assert.deepEqual(nextAttempt(history, [a, b], open), attempt(a, { encryption: 'none' }))
  })

  describe('the same endpoint again', () => {
    const closed = failure('sasl-external', 'S2S_STREAM_CLOSED', { encrypted: true, endpointsLeft: 1 })
    it('without the proof that failed, and without those that failed there before', () => {
      const first = [tried(attempt(a), closed, 'reconnect-tls')]
      assert.deepEqual(nextAttempt(first, [a, b], open), attempt(a, { skipProofs: ['sasl-external'] }))
      const refused = failure('sasl-external', 'S2S_SASL_REFUSED', { encrypted: true, streamLives: true })
      const ended = failure('dialback', 'S2S_STREAM_CLOSED', { encrypted: true, endpointsLeft: 1 })
      const history = [tried(attempt(a), refused, 'next-proof'), tried(attempt(a), ended, 'reconnect-tls')]
      assert.deepEqual(nextAttempt(history, [a, b], open), attempt(a, { skipProofs: ['sasl-external', 'dialback'] }))
    })
    it('also where next-proof is said of a stream that is gone', () => {
      assert.deepEqual(nextAttempt([tried(attempt(a), closed, 'next-proof')], [a, b], open), attempt(a, { skipProofs: ['sasl-external'] }))
    })
    it('keeps to the endpoint: another one has every proof again', () => {
      const history = [
        tried(attempt(a), closed, 'reconnect-tls'),
        tried(
          attempt(a, { skipProofs: ['sasl-external'] }),
          failure('dialback', 'S2S_DIALBACK_INVALID', { encrypted: true, endpointsLeft: 1 }),
          'next-endpoint'
        )
      ]
      assert.deepEqual(nextAttempt(history, [a, b], open), attempt(b))
    })
    it('not in clear, not for a step that is no proof, not for a proof left out already: the next endpoint instead', () => {
      assert.deepEqual(nextAttempt([tried(attempt(a), { ...closed, encrypted: false }, 'reconnect-tls')], [a, b], open), attempt(b))
      assert.deepEqual(nextAttempt([tried(attempt(a), { ...handshake, encrypted: true }, 'reconnect-tls')], [a, b], open), attempt(b))
      assert.deepEqual(
        nextAttempt([tried(attempt(a, { skipProofs: ['sasl-external'] }), closed, 'reconnect-tls')], [a, b], open),
        attempt(b)
      )
    })
  })

  it('counts the endpoints that were not tried, each once, the current one aside', () => {
    assert.equal(untriedEndpoints([], [a, b, c], attempt(a)), 2)
    assert.equal(untriedEndpoints([tried(attempt(a), handshake, 'next-endpoint')], [a, b, c], attempt(b)), 1)
    assert.equal(untriedEndpoints([], [a, a, b, b], attempt(a)), 1)
    assert.equal(untriedEndpoints([], [a], attempt(a)), 0)
  })
})
