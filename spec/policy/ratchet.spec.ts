import assert from 'node:assert/strict'
import type { Federation } from '../../lib/federation.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Guard } from '../../lib/model/policy.ts'
import { forDomains } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { ratchet } from '../../lib/policy/ratchet.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PAIR = pairOf('a.example', 'b.example')

describe('a ratchet', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(() => world.stop())

  async function levels(
    a: Federation,
    ...states: readonly (CertificateState | 'clear')[]
  ): Promise<readonly (SecurityLevel | undefined)[]> {
    const reached: (SecurityLevel | undefined)[] = []
    for (const state of states) {
      const b = await world.engine(
        'b.example',
        state === 'clear' ? { policy: policies.ladder({ tls: 'never' }) } : { state, policy: policies.ladder({ acceptSelfSigned: true }) }
      )
      const link = world.run(a.connect(PAIR))
      reached.push(
        await link.then(
          ({ level }) => level,
          () => undefined
        )
      )
      await world.run(b.stop())
    }
    return reached
  }
  const outgoing = async (...guards: readonly Guard[]): Promise<Federation> =>
    await world.engine('a.example', {
      guards,
      policy: policies.ladder({ invalidCertificate: 'encrypt-only' }),
      // On one stream both directions would be learned at once.
      extensions: { bidi: false }
    })

  it('[SEC-DOWN-a] refuses the way back to clear once a domain was met inside TLS, and without it there is one', async () => {
    assert.deepEqual(await levels(await outgoing(), 'valid', 'clear'), ['sasl-external', 'plain-dialback'])
    await world.stop()
    const a = await outgoing(ratchet())
    assert.deepEqual(await levels(a, 'clear', 'valid', 'clear', 'expired'), ['plain-dialback', 'sasl-external', undefined, 'tls-dialback'])
  })

  it('says why in the report', async () => {
    const a = await outgoing(ratchet())
    await levels(a, 'valid')
    await world.engine('b.example', { policy: policies.ladder({ tls: 'never' }) })
    const { trace } = await world.run(a.probe(PAIR))
    const told = trace.filter(entry => entry.step === 'policy' && entry.facts.by === 'ratchet')
    assert.match(JSON.stringify(told), /sasl-external was reached with this domain before/)
  })

  it('holds the level too, where it is told to', async () => {
    const a = await outgoing(ratchet({ hold: 'level' }))
    assert.deepEqual(await levels(a, 'expired', 'valid', 'expired', 'valid'), ['tls-dialback', 'sasl-external', undefined, 'sasl-external'])
  })

  it('remembers where it is told to, each direction for itself, and only the domains that it is for', async () => {
    const kept = new Map<string, SecurityLevel>()
    const memory = {
      get: (remote: string, direction: string) => kept.get(`${direction} ${remote}`),
      set: (remote: string, direction: string, level: SecurityLevel) => void kept.set(`${direction} ${remote}`, level)
    }
    const a = await outgoing(forDomains(['b.example'], ratchet({ memory })))
    await world.engine('c.example')
    await world.run(a.connect(pairOf('a.example', 'c.example')))
    await levels(a, 'clear', 'valid')
    assert.deepEqual([...kept], [['outgoing b.example', 'sasl-external']])
    const b = await world.engine('b.example')
    await world.run(b.connect(pairOf('b.example', 'a.example')))
    await world.run(a.connect(PAIR))
    assert.deepEqual(Object.fromEntries(kept), { 'incoming b.example': 'sasl-external', 'outgoing b.example': 'sasl-external' })
  })

  it('refuses an incoming domain in clear that came inside TLS before', async () => {
    const b = await world.engine('b.example', { guards: [ratchet()] })
    const first = await world.engine('a.example')
    await world.run(first.connect(PAIR))
    await world.run(first.stop())
    const second = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }) })
    const report = await world.run(second.probe(PAIR))
    assert.equal(report.level, undefined)
    assert.ok(b.links().every(link => link.level !== 'plain-dialback'))
  })

  it('takes no option that it does not know', () => {
    for (const options of [{ hold: 'tls' }, { memory: {} }, { keep: true }])
      assert.throws(() => ratchet(options as Parameters<typeof ratchet>[0]), { code: 'S2S_CONFIG' })
  })
})
