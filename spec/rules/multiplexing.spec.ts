import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FederationError } from '../../lib/errors.ts'
import { atLeast, LEVELS } from '../../lib/model/level.ts'
import { NO_FEATURES } from '../../lib/model/stream.ts'
import { afterFailedJoin, whyNotJoined, whyNotShared } from '../../lib/rules/multiplexing.ts'
import { proofsToTry } from '../../lib/rules/proofs.ts'
import type { JoiningFacts, JoinRefusal, StreamFacts } from '../../lib/rules/multiplexing.ts'

const stream: StreamFacts = {
  isUsable: true,
  encrypted: true,
  pairs: 1,
  mostPairs: 2,
  pending: 0,
  wasAsked: false,
  refusals: 0,
  isSameTarget: false,
  features: { ...NO_FEATURES, dialback: true, dialbackErrors: true },
  declaresDialback: true
}
const pair: JoiningFacts = {
  isSameServer: true,
  tls: 'when-offered',
  use: 'authenticate',
  proofs: ['sasl-external', 'sasl-plain', 'dialback'],
  floor: 'plain-dialback',
  ours: 'trusted',
  shown: 'trusted',
  hasPassword: false
}
const offering = (...mechanisms: readonly string[]) => ({ features: { ...stream.features, mechanisms } })
const sender = { isSameTarget: true }
const withoutErrors = { features: { ...NO_FEATURES, dialback: true } }

type Row = readonly [when: string, stream: Partial<StreamFacts>, pair: Partial<JoiningFacts>, refusal: JoinRefusal | undefined]

const STREAM: readonly Row[] = [
  ['another target of the same server joins', {}, {}, undefined],
  ['another sender to the same target joins, wherever the target is found', sender, { isSameServer: false }, undefined],
  ['a stream that takes no stanza any more is not joined', { isUsable: false }, {}, 'stream-ended'],
  ['a stream in clear is not joined by another sender either', { ...sender, encrypted: false }, {}, 'in-clear'],
  ['a stream with as many pairs as it may have is not joined', { pairs: 2 }, {}, 'stream-full'],
  ['a stream on which eight pairs wait for their answers is not joined', { pending: 8, mostPairs: 99 }, {}, 'stream-busy'],
  ['one on which seven wait is', { pending: 7, mostPairs: 99 }, {}, undefined],
  ['a pair is asked about once on a stream', { wasAsked: true }, {}, 'asked-before'],
  ['a peer that has refused eight pairs on a stream is asked there no more', { refusals: 8 }, {}, 'refused-often'],
  ['a peer that has refused seven is', { refusals: 7 }, {}, undefined],
  ['a stream without dialback is not joined', { features: NO_FEATURES, declaresDialback: false }, {}, 'no-dialback'],
  ['the namespace alone is dialback, without errors', { ...sender, features: NO_FEATURES }, {}, 'no-dialback-errors'],
  [
    'another sender is not asked about either where there are no dialback errors',
    { ...sender, ...withoutErrors },
    {},
    'no-dialback-errors'
  ],
  ['the feature alone is dialback enough', { declaresDialback: false }, {}, undefined]
]

const TARGET: readonly Row[] = [
  ['a peer without dialback errors is not asked about another target', withoutErrors, {}, 'no-dialback-errors'],
  ['a target that is served elsewhere does not join', {}, { isSameServer: false }, 'elsewhere'],
  ['a certificate that only encrypts for the new target does not do', {}, { use: 'encrypt-only' }, 'certificate-of-others'],
  ['a certificate that is rejected for it does not either', {}, { use: 'reject' }, 'certificate-rejected'],
  ['a stream in clear takes no further target', { encrypted: false }, {}, 'in-clear'],
  ['a target that EXTERNAL could prove has a connection of its own', offering('EXTERNAL'), {}, 'better-proof']
]

const POLICY: readonly Row[] = [
  ['a sender whose policy rejects the certificate does not join', sender, { use: 'reject' }, 'certificate-rejected'],
  [
    'a sender whose policy takes the certificate for encryption only joins, as it would on a connection of its own',
    sender,
    { use: 'encrypt-only' },
    undefined
  ],
  ['a policy that wants no TLS has no use for a stream inside TLS', {}, { tls: 'never' }, 'policy-never'],
  ['a policy that requires TLS has it', {}, { tls: 'required' }, undefined],
  ['a policy that wants no dialback does not join', {}, { proofs: ['sasl-external'] }, 'no-proof'],
  ['a floor above dialback over TLS keeps the pair away', {}, { floor: 'sasl-plain' }, 'no-proof'],
  ['a floor of dialback over TLS does not', {}, { floor: 'tls-dialback' }, undefined]
]

const LEVEL: readonly Row[] = [
  ['a sender that EXTERNAL could prove has one too', { ...sender, ...offering('EXTERNAL') }, {}, 'better-proof'],
  ['without a certificate of its own, EXTERNAL is nothing to wait for', offering('EXTERNAL'), { ours: 'missing' }, undefined],
  ['where policy puts dialback first, it joins', offering('EXTERNAL'), { proofs: ['dialback', 'sasl-external'] }, undefined],
  ['where policy does not want EXTERNAL, it joins', offering('EXTERNAL'), { proofs: ['dialback'] }, undefined],
  ['a password proves more than dialback', offering('PLAIN'), { hasPassword: true }, 'better-proof'],
  ['PLAIN without a password does not', offering('PLAIN'), {}, undefined],
  [
    'a peer that authenticates nobody by its certificate gets dialback only',
    { ...sender, ...offering('EXTERNAL') },
    { use: 'encrypt-only' },
    undefined
  ],
  ['what was not offered to a sender without a certificate may be offered to one that has one', {}, { shown: 'missing' }, 'better-proof'],
  ['nor does an untrusted certificate speak for a trusted one', {}, { shown: 'self-signed' }, 'better-proof'],
  ['two senders without certificates are offered the same', {}, { shown: 'missing', ours: 'missing' }, undefined],
  ['what was not offered to a trusted certificate is offered to no other', {}, { ours: 'self-signed' }, undefined]
]

const holds = (rows: readonly Row[], id: string): void => {
  for (const [when, on, of, refusal] of rows)
    it(`${id}${when}`, () => assert.equal(whyNotJoined({ ...stream, ...on }, { ...pair, ...of }), refusal))
}

describe('rules/multiplexing', () => {
  describe('which stream a pair may join', () => holds(STREAM, ''))
  describe('another target', () => holds(TARGET, '[XEP0220-2.6.2-a] [RFC7712-4.4.2-a] '))
  describe('what policy says of the new pair', () => holds(POLICY, ''))
  describe('no level is lowered for a connection saved', () => holds(LEVEL, ''))

  it('[XEP0220-2.6.2-a] whoever joins, at whatever facts, would have had dialback over TLS on a connection of its own, and no better', () => {
    const mostly = (usual: boolean) => fc.constantFrom(usual, usual, usual, !usual)
    const streams = fc.record<StreamFacts>({
      isUsable: fc.constant(true),
      encrypted: mostly(true),
      pairs: fc.constantFrom(1, 2, 3),
      mostPairs: fc.constantFrom(2, 256),
      pending: fc.constantFrom(0, 1, 8),
      wasAsked: mostly(false),
      refusals: fc.constantFrom(0, 1, 8),
      isSameTarget: fc.boolean(),
      features: fc.record({
        starttls: fc.constant('absent' as const),
        mechanisms: fc.subarray(['EXTERNAL', 'PLAIN']),
        dialback: mostly(true),
        dialbackErrors: mostly(true),
        bidi: fc.boolean(),
        sm: fc.boolean()
      }),
      declaresDialback: fc.boolean()
    })
    const certificates = fc.constantFrom('trusted' as const, 'self-signed' as const, 'invalid' as const, 'missing' as const)
    const pairs = fc.record<JoiningFacts>({
      isSameServer: fc.boolean(),
      tls: fc.constantFrom('never', 'when-offered', 'required'),
      use: fc.constantFrom('authenticate', 'encrypt-only', 'reject'),
      proofs: fc.shuffledSubarray(['sasl-external', 'sasl-plain', 'dialback']),
      floor: fc.constantFrom(...LEVELS),
      ours: certificates,
      shown: certificates,
      hasPassword: fc.boolean()
    })
    let joined = 0
    fc.assert(
      fc.property(streams, pairs, (on, of) => {
        if (whyNotJoined(on, of) !== undefined) return
        joined += 1
        assert.ok(on.encrypted && on.features.dialbackErrors && on.pairs < on.mostPairs)
        assert.ok(of.tls !== 'never' && of.use !== 'reject' && atLeast('tls-dialback', of.floor))
        assert.ok(on.isSameTarget || (of.isSameServer && of.use === 'authenticate'))
        const own = { encrypted: true, use: of.use, floor: of.floor, ours: of.ours, hasPassword: of.hasPassword }
        const [first] = proofsToTry(
          of.proofs,
          { ...own, features: on.features, namespaceDialback: on.declaresDialback },
          { skipProofs: [] }
        )
        assert.equal(first, 'dialback')
      }),
      { numRuns: 20_000, seed: 1 }
    )
    assert.ok(joined > 100, `${joined} joined`)
  })

  it('knows by the stream alone what needs no lookup', () => {
    assert.equal(whyNotShared(stream), undefined)
    assert.equal(whyNotShared({ ...stream, isUsable: false }), 'stream-ended')
    assert.equal(whyNotShared({ ...stream, features: { ...NO_FEATURES, dialback: true } }), 'no-dialback-errors')
  })

  const AFTER: readonly (readonly [condition: string, then: 'own-connection' | 'give-up'])[] = [
    ['resource-constraint', 'own-connection'],
    ['not-authorized', 'own-connection'],
    ['not-acceptable', 'own-connection'],
    ['policy-violation', 'give-up'],
    ['item-not-found', 'give-up'],
    ['forbidden', 'give-up'],
    ['remote-connection-failed', 'give-up'],
    ['remote-server-not-found', 'give-up'],
    ['remote-server-timeout', 'give-up'],
    ['undefined-condition', 'give-up'],
    ['anything-else', 'give-up']
  ]
  for (const [condition, then] of AFTER)
    it(`${condition === 'resource-constraint' ? '[XEP0220-2.5-b] ' : ''}after ${condition}: ${then}`, () =>
      assert.equal(afterFailedJoin(new FederationError('S2S_DIALBACK_ERROR', { condition })), then))

  it('[XEP0220-2.1.1-c] gives up after invalid', () =>
    assert.equal(afterFailedJoin(new FederationError('S2S_DIALBACK_INVALID')), 'give-up'))
  it('takes a stream that ended or kept silent for no answer about the pair', () => {
    for (const code of ['S2S_STREAM_CLOSED', 'S2S_STREAM_ERROR_RECEIVED', 'S2S_TIMEOUT'] as const)
      assert.equal(afterFailedJoin(new FederationError(code)), 'own-connection')
  })
})
