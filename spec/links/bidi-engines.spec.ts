import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import type { Guard } from '../../lib/model/policy.ts'
import { pin } from '../../lib/policy/guards.ts'
import { layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const A = 'a.example'
const B = 'b.example'
const THERE = pairOf(A, B)
const BACK = pairOf(B, A)

function message(from: string, to: string, id: string): Element {
  return new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
}

describe('a bidirectional stream between two engines', () => {
  let world: World
  /** What arrived where, in order. */
  let heard: Record<string, string[]>

  beforeEach(() => {
    world = createWorld()
    heard = { [A]: [], [B]: [] }
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
    assert.equal(world.network.wires.length, 0)
  })

  const engine = (name: string, options: Partial<FederationOptions> = {}): Promise<Federation> =>
    world.engine(name, { onStanza: ({ id = '' }) => void heard[name]?.push(id), ...options })

  const flows = (federation: Federation): readonly string[] =>
    federation
      .links()
      .flatMap(link => link.pairs.map(({ pair, flow, level }) => `${link.direction} ${flow} ${pair.sender} ${pair.target} ${level}`))

  it('[XEP0288-2.2-d] carries stanzas both ways at the level of its pair, and nobody dials back', async () => {
    const [a, b] = [await engine(A), await engine(B)]
    assert.equal(await world.run(a.send(message(A, B, '1'))), 'acknowledged')
    assert.equal(await world.run(b.send(message(B, A, '2'))), 'acknowledged')
    assert.deepEqual(heard, { [A]: ['2'], [B]: ['1'] })
    assert.equal(world.network.wires.length, 1)
    assert.deepEqual(flows(a), [`outgoing send ${A} ${B} sasl-external`, `outgoing receive ${B} ${A} sasl-external`])
    assert.deepEqual(flows(b), [`incoming receive ${A} ${B} sasl-external`, `incoming send ${B} ${A} sasl-external`])
    const link = await world.run(b.connect(BACK))
    assert.equal(link.direction, 'incoming')
    assert.equal(world.network.wires.length, 1)
  })

  it('is what a pair goes on with when its own dial has failed, and nothing bounces', async () => {
    const [a, b] = [await engine(A), await engine(B)]
    world.network.zone.server(A, { addresses: ['192.0.2.250'] })
    world.network.blackHole('192.0.2.250')
    const early = b.send(message(B, A, '1'))
    await world.clock.advance(2_000)
    await world.run(a.connect(THERE))
    const late = b.send(message(B, A, '2'))
    assert.deepEqual(await world.run(Promise.all([early, late])), ['acknowledged', 'acknowledged'])
    assert.deepEqual(heard[A], ['1', '2'])
    assert.deepEqual(
      b.routes().map(({ pair, state }) => [pair.target, state]),
      [[A, 'send']]
    )
  })

  it('[XEP0288-2.2-b] is not what a pair goes on with whose own stream was lost: that is resumed first', async () => {
    let release: () => void = () => undefined
    const busy = new Promise<void>(resolve => (release = resolve))
    const [a, b] = [
      await engine(A),
      await engine(B, {
        onStanza: ({ id = '' }) => {
          heard[B]?.push(id)
          return id === '1' ? busy : undefined
        }
      })
    ]
    await world.run(Promise.all([a.connect(THERE), b.connect(BACK)]))
    await world.clock.settle()
    assert.equal(world.network.wires.length, 2)
    const sent = ['1', '2', '3'].map(id => a.send(message(A, B, id)))
    await world.clock.settle()
    const [own] = world.network.wires.filter(({ to }) => to.address === world.addressOf(B))
    own?.reset()
    await world.clock.settle()
    sent.push(a.send(message(A, B, '4')))
    release()
    assert.deepEqual(await world.run(Promise.all(sent)), ['acknowledged', 'acknowledged', 'acknowledged', 'acknowledged'])
    assert.deepEqual(heard[B], ['1', '2', '3', '4'])
  })

  it('tells each pair in each direction when it is authenticated, and guards learn of both', async () => {
    const learned: string[] = []
    const a = await engine(A, {
      guards: [{ kind: 'guard', name: 'ear', learn: ({ pair, flow }) => void learned.push(`${pair.sender} ${flow}`) }]
    })
    await engine(B)
    await world.run(a.connect(THERE))
    assert.deepEqual(learned, [`${A} send`, `${B} receive`])
  })

  for (const [who, options] of [
    ['the initiating', [{ extensions: { bidi: false } }, {}]],
    ['the receiving', [{}, { extensions: { bidi: false } }]]
  ] as const) {
    it(`goes one way where ${who} engine has switched it off`, async () => {
      const [a, b] = [await engine(A, options[0]), await engine(B, options[1])]
      await world.run(a.send(message(A, B, '1')))
      await world.run(b.send(message(B, A, '2')))
      assert.equal(world.network.wires.length, 2)
      assert.deepEqual(heard, { [A]: ['2'], [B]: ['1'] })
      const { report } = await world.run(a.connect(THERE))
      const why = report.trace.filter(({ step }) => step === 'bidi').map(({ outcome, code }) => `${outcome} ${code}`)
      assert.deepEqual(why, who === 'the initiating' ? ['skipped switched-off'] : ['absent not-offered'])
    })
  }

  const refusing = (direction: 'incoming' | 'outgoing') =>
    layer({ admit: peer => (peer.direction === direction ? 'refuse' : undefined) }, policies.ladder())
  const demanding = (direction: 'incoming' | 'outgoing') =>
    layer(
      { minimumLevel: peer => (peer.direction === direction ? 'sasl-external' : undefined), proofs: () => ['dialback'] },
      policies.ladder()
    )

  it('is not asked for by whoever would not take the reversed pair from a stream of its own', async () => {
    for (const policy of [refusing('incoming'), demanding('incoming')]) {
      const a = await engine(A, { policy, extensions: { streamManagement: false } })
      await engine(B, { policy: policies.ladder({ external: false }) })
      const link = await world.run(a.connect(THERE)).catch(() => undefined)
      if (link !== undefined) assert.equal(link.pairs.length, 1)
      await world.stop()
    }
  })

  it('sends nothing back that the outgoing policy, floor or pins refuse, and dials or bounces as ever', async () => {
    const pinned = pin([A], [{ leaf256: '00'.repeat(32) }])
    const cases: Partial<FederationOptions>[] = [
      { policy: refusing('outgoing') },
      { guards: [outgoingOnly(pinned)], policy: policies.ladder({ invalidCertificate: 'abort' }) }
    ]
    for (const options of cases) {
      const [a, b] = [await engine(A), await engine(B, options)]
      await world.run(a.connect(THERE))
      assert.deepEqual(flows(b), [`incoming receive ${A} ${B} sasl-external`])
      await assert.rejects(world.run(b.send(message(B, A, '1'))))
      assert.deepEqual(heard[A], [])
      await world.stop()
    }
  })

  it('[XEP0288-2.2-b] sends nothing back under a policy that was replaced while it was asked', async () => {
    let answer: () => void = () => undefined
    const asked = new Promise<void>(resolve => (answer = resolve))
    const slow = layer(
      {
        admit: async ({ direction }) => {
          if (direction === 'outgoing') await asked
          return undefined
        }
      },
      policies.ladder()
    )
    const [a, b] = [await engine(A), await engine(B, { policy: slow })]
    await world.run(a.connect(THERE))
    await world.run(b.setPolicy(refusing('outgoing')))
    answer()
    await world.clock.settle()
    assert.deepEqual(flows(b), [`incoming receive ${A} ${B} sasl-external`])
    assert.equal(await world.run(b.send(message(B, A, '1')).catch((error: unknown) => FederationError.from(error).code)), 'S2S_POLICY')
  })

  it('is not used where a stream of our own may reach a higher level', async () => {
    const a = await engine(A, {
      policy: layer({ proofs: ({ direction }) => (direction === 'outgoing' ? ['dialback'] : undefined) }, policies.ladder())
    })
    const b = await engine(B)
    const link = await world.run(a.connect(THERE))
    assert.equal(link.level, 'tls-dialback')
    await world.run(b.send(message(B, A, '1')))
    assert.deepEqual(
      flows(b).filter(each => each.includes('send')),
      [`outgoing send ${B} ${A} sasl-external`]
    )
    const incoming = b.links().find(({ direction }) => direction === 'incoming')
    assert.ok(incoming?.report.trace.some(({ step, code }) => step === 'bidi' && code === 'higher-alone'))
  })

  it('carries pairs proved by dialback where policy wants nothing better', async () => {
    const policy = policies.ladder({ external: false })
    const [a, b] = [await engine(A, { policy }), await engine(B, { policy })]
    await world.run(a.send(message(A, B, '1')))
    await world.run(b.send(message(B, A, '2')))
    assert.deepEqual(flows(b), [`incoming receive ${A} ${B} tls-dialback`, `incoming send ${B} ${A} tls-dialback`])
    assert.equal(world.network.wires.length, 1)
  })

  for (const state of ['self-signed', 'missing'] as const) {
    it(`goes one way where the certificate of the initiating side is ${state}, or that of the receiving side`, async () => {
      for (const [mine, theirs] of [
        [state, 'valid'],
        ['valid', state]
      ] as const) {
        const policy = policies.ladder({ invalidCertificate: 'encrypt-only', acceptSelfSigned: true })
        const a = await world.engine(A, { policy, state: mine })
        const b = await world.engine(B, { policy, state: theirs })
        const link = await world.run(a.connect(THERE))
        assert.equal(link.pairs.length, 1)
        assert.ok(b.links().every(each => each.pairs.length === 1))
        await world.stop()
      }
    })
  }

  it('[ENG-BIDI-c] keeps both streams that were opened at the same moment, loses nothing and keeps the order', async () => {
    const [a, b] = [await engine(A), await engine(B)]
    const ids = Array.from({ length: 200 }, (_, n) => `${n}`)
    await world.run(Promise.all(ids.flatMap(id => [a.send(message(A, B, id)), b.send(message(B, A, id))])))
    assert.deepEqual(heard, { [A]: ids, [B]: ids })
    assert.equal(world.network.wires.length, 2)
    await world.run(Promise.all(ids.flatMap(id => [a.send(message(A, B, id)), b.send(message(B, A, id))])))
    assert.deepEqual(heard, { [A]: [...ids, ...ids], [B]: [...ids, ...ids] })
    assert.equal(world.network.wires.length, 2)
  })

  it('goes back to a stream of its own when the peer has closed the one it was given, in order', async () => {
    const [a, b] = [await engine(A), await engine(B)]
    const link = await world.run(a.connect(THERE))
    const first = Array.from({ length: 20 }, (_, n) => b.send(message(B, A, `${n}`)))
    const closed = link.close()
    const second = Array.from({ length: 20 }, (_, n) => b.send(message(B, A, `${n + 20}`)))
    const ends = await world.run(Promise.allSettled([...first, ...second]))
    await world.run(closed)
    const delivered = heard[A]?.map(Number) ?? []
    assert.deepEqual(
      delivered,
      [...delivered].sort((x, y) => x - y)
    )
    ends.forEach((end, n) => {
      if (end.status === 'fulfilled') assert.ok(delivered.includes(n), `${n} arrived`)
    })
    assert.equal(await world.run(b.send(message(B, A, '99'))), 'acknowledged')
  })

  for (const who of ['initiating', 'receiving'] as const) {
    it(`lets a handler of the ${who} side wait for the acknowledgement of what it answers on the same stream`, async () => {
      const echo: FederationOptions['onStanza'] = async ({ id = '' }) => {
        heard[B]?.push(id)
        await b.send(message(B, A, `re-${id}`))
      }
      const a = await engine(A)
      const b: Federation = await world.engine(B, { onStanza: echo })
      await world.run(who === 'receiving' ? a.connect(THERE) : b.connect(BACK))
      // Until the initiating side has asked for stream management, what comes back is not acknowledged.
      await world.clock.settle()
      const began = world.clock.now()
      const ids = Array.from({ length: 500 }, (_, n) => `${n}`)
      const all = await world.run(Promise.all(ids.map(id => a.send(message(A, B, id)))))
      assert.deepEqual(new Set(all), new Set(['acknowledged']))
      await world.clock.settle()
      assert.ok(world.clock.now() - began < 20_000, `it took ${world.clock.now() - began} ms`)
      assert.equal(world.network.wires.length, 1)
      assert.deepEqual(heard, { [B]: ids, [A]: ids.map(id => `re-${id}`) })
    })
  }

  it('leaves in doubt what was sent on a stream that breaks, and sends the rest on the next, in order', async () => {
    const [a, b] = [await engine(A), await engine(B)]
    await world.run(a.connect(THERE))
    await world.run(b.send(message(B, A, '0')))
    const sent = Array.from({ length: 10 }, (_, n) => b.send(message(B, A, `${n + 1}`)))
    world.network.wires[0]?.reset(40)
    const more = b.send(message(B, A, '11'))
    const ends = await world.run(Promise.allSettled([...sent, more]))
    const delivered = heard[A]?.map(Number) ?? []
    assert.deepEqual(
      delivered,
      [...delivered].sort((x, y) => x - y)
    )
    ends.forEach((end, n) => {
      if (end.status === 'fulfilled') assert.ok(delivered.includes(n + 1), `${n + 1} arrived`)
      else assert.equal(FederationError.from(end.reason).code, 'S2S_IN_DOUBT')
    })
  })
})

/** A guard that asks for another certificate where we dial, and for none where we are dialled. */
function outgoingOnly(guard: Guard): Guard {
  return {
    kind: 'guard',
    name: 'outgoing',
    pins: peer => (peer.direction === 'outgoing' ? guard.pins?.(peer) : undefined)
  }
}
