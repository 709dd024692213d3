import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { allowOnly, block, pin } from '../../lib/policy/guards.ts'
import { forDomains, layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PAIR = pairOf('a.example', 'b.example')

describe('guards on real engines', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(() => world.stop())

  const selfSigned = (
    name: string
  ): { readonly domains: Record<string, { key: string | Buffer; cert: string | Buffer }>; readonly leaf256: string } => {
    const credentials = world.authority.issue(name, { state: 'self-signed', now: world.clock.now() })
    assert.ok(credentials)
    const leaf256 = new X509Certificate(credentials.cert).fingerprint256.replaceAll(':', '').toLowerCase()
    return { domains: { [name]: credentials }, leaf256 }
  }

  it('[SEC-PIN-a] let a pinned self-signed certificate authenticate, in both directions, and say that it was the pin', async () => {
    const theirs = selfSigned('b.example')
    const ours = selfSigned('a.example')
    const b = await world.engine('b.example', { domains: theirs.domains, guards: [pin(['a.example'], [{ leaf256: ours.leaf256 }])] })
    const incoming: unknown[] = []
    b.on('pair-authenticated', ({ pair }) => incoming.push([pair.level, pair.peerIdentity]))
    const a = await world.engine('a.example', {
      domains: ours.domains,
      guards: [pin(['b.example'], [{ leaf256: theirs.leaf256 }])],
      policy: policies.ladder({ invalidCertificate: 'encrypt-only' })
    })
    const report = await world.run(a.probe(PAIR))
    assert.equal(report.pairs[0]?.peerIdentity, 'pin')
    assert.deepEqual(incoming[0], [report.level, 'pin'])
  })

  it('[SEC-PIN-a] keep the links of a pinned certificate, both ways, when settings change, and end them with the pin', async () => {
    const theirs = selfSigned('b.example')
    const ours = selfSigned('a.example')
    const pins = [pin(['b.example'], [{ leaf256: theirs.leaf256 }])]
    const policy = policies.ladder({ invalidCertificate: 'encrypt-only' })
    const b = await world.engine('b.example', {
      domains: theirs.domains,
      guards: [pin(['a.example'], [{ leaf256: ours.leaf256 }])],
      policy
    })
    const a = await world.engine('a.example', { domains: ours.domains, guards: pins, policy })
    const link = await world.run(a.connect(PAIR))
    await a.setPolicy(layer(policies.ladder({ invalidCertificate: 'encrypt-only' })))
    await world.clock.settle()
    assert.deepEqual(a.links(), [link])
    assert.deepEqual(
      link.pairs.map(({ flow, peerIdentity }) => [flow, peerIdentity]),
      [
        ['send', 'pin'],
        ['receive', 'pin']
      ]
    )
    assert.deepEqual(
      b.links().flatMap(({ pairs }) => pairs.map(({ flow, peerIdentity }) => [flow, peerIdentity])),
      [
        ['receive', 'pin'],
        ['send', 'pin']
      ]
    )
    await a.setGuards([])
    await world.clock.settle()
    assert.deepEqual(a.links(), [])
  })

  it('[SEC-PIN-a] refuse any other certificate of a pinned domain, even one that an authority vouches for, without any fallback', async () => {
    await world.engine('b.example')
    const a = await world.engine('a.example', { guards: [pin(['b.example'], [{ leaf256: 'ab'.repeat(32) }])] })
    const report = await world.run(a.probe(PAIR))
    assert.equal(report.level, undefined)
    assert.equal(report.error?.code, 'S2S_CERTIFICATE')
    assert.equal(report.trace.filter(entry => entry.step === 'connect').length, 1)
  })

  it('[SEC-PIN-a] refuse a pinned domain that changes its certificate, as an event says; of another one the event has the new hash', async () => {
    const [before, after] = [selfSigned('b.example'), selfSigned('b.example')]
    const policy = policies.ladder({ invalidCertificate: 'encrypt-only' })
    const b = await world.engine('b.example', { domains: before.domains, policy })
    for (const guards of [[pin(['b.example'], [{ leaf256: before.leaf256 }])], []]) {
      await b.addDomain('b.example', before.domains['b.example'])
      const a = await world.engine(guards.length === 0 ? 'c.example' : 'a.example', { guards, policy })
      const seen: unknown[] = []
      a.on('negotiation-step', ({ entry }) => {
        if (entry.step === 'check-certificate') seen.push([entry.outcome, entry.facts.verdict.fingerprint256])
      })
      const pair = pairOf(guards.length === 0 ? 'c.example' : 'a.example', 'b.example')
      const first = await world.run(a.probe(pair))
      await b.addDomain('b.example', after.domains['b.example'])
      const second = await world.run(a.probe(pair))
      assert.deepEqual([first.error?.code, second.error?.code], [undefined, guards.length === 0 ? undefined : 'S2S_CERTIFICATE'])
      assert.deepEqual(seen, [
        ['ok', before.leaf256],
        [guards.length === 0 ? 'ok' : 'failed', after.leaf256]
      ])
    }
  })

  it('never reach a pinned domain in clear, whatever the policy would do', async () => {
    await world.engine('b.example', { state: 'missing' })
    const a = await world.engine('a.example', { guards: [pin(['b.example'], [{ leaf256: 'ab'.repeat(32) }])] })
    assert.equal((await world.run(a.probe(PAIR))).level, undefined)
  })

  it('[SEC-DOWN-a] learn of a pair although others fail to, which is a warning', async () => {
    await world.engine('b.example')
    const learned: string[] = []
    const asleep = { kind: 'guard', name: 'asleep', learn: () => Promise.reject(new Error('no memory')) as unknown as undefined } as const
    const broken = { kind: 'guard', name: 'broken', learn: () => assert.fail('no memory') } as const
    const a = await world.engine('a.example', {
      extensions: { bidi: false },
      guards: [asleep, broken, { kind: 'guard', name: 'awake', learn: ({ level }) => void learned.push(level) }]
    })
    const warnings: string[] = []
    a.on('warning', ({ error }) => warnings.push(error.detail ?? ''))
    await world.run(a.connect(PAIR))
    assert.deepEqual(learned, ['sasl-external'])
    assert.deepEqual(warnings.sort(), ['the guard asleep failed to learn', 'the guard broken failed to learn'])
  })

  it('block a domain in both directions, before DNS and after the header', async () => {
    const b = await world.engine('b.example')
    const a = await world.engine('a.example', { guards: [block(['b.example', '*.evil.example'])] })
    const outgoing = await world.run(a.probe(PAIR))
    assert.equal(outgoing.error?.code, 'S2S_POLICY')
    const incoming = await world.run(b.probe(pairOf('b.example', 'a.example')))
    assert.equal(incoming.error?.code, 'S2S_STREAM_ERROR_RECEIVED')
    assert.match(incoming.error.message, /policy-violation/)
  })

  it('tell a blocked peer that policy is the reason, and not what the policy says', async () => {
    await world.engine('b.example', { policy: { name: 'ours', admit: () => ({ answer: 'refuse', because: 'they owe us money' }) } })
    const a = await world.engine('a.example')
    const report = await world.run(a.probe(PAIR))
    assert.match(report.error?.message ?? '', /policy-violation/)
    assert.doesNotMatch(JSON.stringify(report), /money/)
  })

  it('allow only who is named', async () => {
    await world.engine('b.example')
    await world.engine('c.example')
    const a = await world.engine('a.example', { guards: [allowOnly(['b.example'])] })
    assert.equal((await world.run(a.probe(PAIR))).level, 'sasl-external')
    assert.equal((await world.run(a.probe(pairOf('a.example', 'c.example')))).error?.code, 'S2S_POLICY')
  })

  it('apply where they are scoped, and policies likewise, by the remote domain', async () => {
    await world.engine('b.example', { state: 'expired' })
    await world.engine('c.example', { state: 'expired' })
    const a = await world.engine('a.example', {
      policy: layer(forDomains(['b.example'], policies.ladder({ invalidCertificate: 'encrypt-only' })), policies.strict())
    })
    assert.equal((await world.run(a.probe(PAIR))).level, 'tls-dialback')
    assert.equal((await world.run(a.probe(pairOf('a.example', 'c.example')))).level, undefined)
  })
})
