import assert from 'node:assert/strict'
import { domain } from '../../lib/model/domain.ts'
import type { Guard, Peer, Policy } from '../../lib/model/policy.ts'
import { forDomains, layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { askAdmit, askTls } from '../../lib/rules/decide.ts'
import { INCOMING, OUTGOING, SELF_SIGNED, book, failure, guard } from '../rules/peers.ts'

const about = (name: string, peer = OUTGOING): Peer => ({ ...peer, remote: domain(name) })
const UNNAMED: Peer = { ...INCOMING, remote: undefined }

describe('policy/layer', () => {
  it('lets the first answer win, question by question', () => {
    const policy = layer(
      { name: 'a', tls: () => 'never' },
      { name: 'b', tls: () => 'required', minimumLevel: () => 'tls-dialback' },
      policies.ladder()
    )
    assert.deepEqual(policy.tls?.(OUTGOING), 'never')
    assert.deepEqual(policy.minimumLevel?.(OUTGOING), 'tls-dialback')
    assert.deepEqual(policy.proofs?.(OUTGOING, false, undefined), ['dialback'])
    assert.equal(policy.certificate?.(OUTGOING, SELF_SIGNED), 'reject')
    assert.equal(policy.afterFailure?.(OUTGOING, failure('connect', 'S2S_CONNECT_FAILED')), 'give-up')
    assert.equal(policy.name, 'a over b over ladder')
  })
  it('asks layers within layers in their order', () => {
    const policy = layer(
      layer({ name: 'a', admit: () => 'admit' }, { name: 'b', tls: () => 'never' }),
      layer({ name: 'c', tls: () => 'required' })
    )
    assert.equal(askTls(book(policy), OUTGOING).by, 'b')
  })
  it('waits for an admit that takes its time, and then asks on', async () => {
    const slow: Policy = { name: 'slow', admit: () => Promise.resolve(undefined) }
    const policy = layer(slow, { name: 'last', admit: () => ({ answer: 'refuse', because: 'no' }) })
    assert.deepEqual(await policy.admit?.(OUTGOING), { answer: 'refuse', because: 'no' })
  })
  it('is the policy itself where there is one only', () => {
    const ladder = policies.ladder()
    assert.equal(layer(ladder), ladder)
  })
  it('refuses guards and nothing', () => {
    assert.throws(() => layer(), { code: 'S2S_CONFIG' })
    assert.throws(() => layer(guard('block', {}) as unknown as Policy, policies.ladder()), {
      code: 'S2S_CONFIG',
      message: /has to be a policy, not the guard "block"/
    })
  })

  describe('for some domains', () => {
    const scoped = layer(
      forDomains(['bank.example', '*.bank.example'], { name: 'bank', tls: () => 'required', admit: () => 'refuse' }),
      policies.ladder()
    )
    it('answers about those remote domains, in both directions, and about no other', () => {
      for (const peer of [OUTGOING, INCOMING]) {
        assert.deepEqual(
          [askTls(book(scoped), about('bank.example', peer)).answer, askTls(book(scoped), about('bank.example', peer)).by],
          ['required', 'bank']
        )
        assert.equal(askTls(book(scoped), about('www.bank.example', peer)).answer, 'required')
        assert.deepEqual(
          [askTls(book(scoped), about('embankment.example', peer)).answer, askTls(book(scoped), about('embankment.example', peer)).by],
          ['when-offered', 'ladder']
        )
      }
    })
    it('does not go by the local domain', () => {
      assert.equal(askTls(book(scoped), { ...about('else.example'), local: domain('bank.example') }).answer, 'when-offered')
    })
    it('answers nothing about a peer that has not named itself, whatever the pattern', () => {
      const everybody = layer(forDomains(['*'], { name: 'all', admit: () => 'refuse' }), policies.ladder())
      assert.deepEqual(askAdmit(book(everybody), UNNAMED), { answer: 'admit', by: 'ladder', because: undefined })
    })
    it('names a bad pattern at once', () => {
      assert.throws(() => forDomains(['bank.*'], policies.strict()), { code: 'S2S_CONFIG', message: /"bank\.\*"/ })
    })
    it('scopes the layers of a layered policy, and keeps their names', () => {
      const policy = layer(
        forDomains(['bank.example'], layer({ name: 'a', minimumLevel: () => 'tls-dialback' }, { name: 'b', tls: () => 'never' })),
        policies.strict()
      )
      assert.equal(askTls(book(policy), about('bank.example')).by, 'b')
      assert.equal(askTls(book(policy), about('other.example')).by, 'strict')
    })

    const refusing: Guard = guard('no', {
      admit: () => 'refuse',
      tls: () => 'required',
      plain: () => 'refuse',
      certificate: () => 'reject',
      minimumLevel: () => 'sasl-external',
      pins: () => []
    })
    it('scopes every question of a guard', () => {
      const bank = forDomains(['bank.example'], refusing)
      assert.equal(bank.kind, 'guard')
      const answers = (peer: Peer): readonly unknown[] => [
        bank.admit?.(peer),
        bank.tls?.(peer),
        bank.plain?.(peer),
        bank.certificate?.(peer, SELF_SIGNED),
        bank.minimumLevel?.(peer),
        bank.pins?.(peer)
      ]
      assert.deepEqual(answers(about('bank.example')), ['refuse', 'required', 'refuse', 'reject', 'sasl-external', []])
      assert.deepEqual(answers(about('other.example')), Array(6).fill(undefined))
      assert.deepEqual(answers(UNNAMED), Array(6).fill(undefined))
    })
    it('lets a guard for everybody object to a peer that has not named itself', () => {
      assert.equal(forDomains(['bank.example', '*'], refusing).admit?.(UNNAMED), 'refuse')
    })
  })
})
