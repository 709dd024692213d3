import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { layer } from '../../lib/policy/layer.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const A = 'a.example'
const B = 'b.example'
const STEP = 15_000

const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
const all = (fate: string, count: number): readonly string[] => Array.from({ length: count }, () => fate)
const idsOf = (count: number): readonly string[] => Array.from({ length: count }, (_, number) => `${number + 1}`)

describe('resumption of what was sent back on a stream that went both ways', () => {
  let world: World
  let heard: Record<string, string[]>
  /** What A does with each stanza. */
  let onStanza: (id: string) => void | Promise<void>
  let a: Federation
  let b: Federation

  beforeEach(() => {
    world = createWorld()
    heard = { [A]: [], [B]: [] }
    onStanza = () => undefined
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
    assert.equal(world.network.wires.length, 0)
  })

  /** A has dialled B, and B sends back on that. */
  async function linked(options: { a?: Partial<FederationOptions>; b?: Partial<FederationOptions> } = {}): Promise<void> {
    a = await world.engine(A, {
      onStanza: ({ id = '' }) => {
        heard[A]?.push(id)
        return onStanza(id)
      },
      ...options.a
    })
    b = await world.engine(B, { onStanza: ({ id = '' }) => void heard[B]?.push(id), ...options.b })
    await world.run(a.connect(pairOf(A, B)))
    await world.run(b.connect(pairOf(B, A)))
    await world.clock.settle()
    assert.equal(world.network.opened, 1)
  }

  const sendAll = (engine: Federation, from: string, to: string, ids: readonly string[]): readonly Promise<string>[] =>
    ids.map(id => engine.send(message(from, to, id)).catch((error: unknown) => FederationError.from(error).code))
  const sendBack = (...ids: readonly string[]): readonly Promise<string>[] => sendAll(b, B, A, ids)
  const endsOf = (sent: readonly Promise<string>[]): Promise<readonly string[]> => world.run(Promise.all(sent))
  const reset = (arriving?: number): void => {
    for (const wire of world.network.wires) wire.reset(arriving)
  }
  /** One stanza has come back on the link. */
  const begun = async (): Promise<void> => assert.deepEqual(await endsOf(sendBack('0')), ['acknowledged'])

  for (const [name, lose] of Object.entries<() => void | Promise<void>>({
    'is reset': () => reset(),
    'is reset, and hardly anything arrives': () => reset(40),
    'is ended by the initiating machine': () => world.network.wires[0]?.finish('initiating'),
    'is ended by the receiving machine': () => world.network.wires[0]?.finish('receiving'),
    'brings nothing to the receiving side any more': () => world.network.wires[0]?.stall('initiating')
  }))
    it(`[ENG-Q-a] leaves nothing in doubt when the connection ${name}, keeps the order, and takes one more connection`, async () => {
      await linked()
      await begun()
      const sent = sendBack(...idsOf(50))
      await lose()
      await world.clock.settle()
      const more = sendBack('51', '52')
      assert.deepEqual(await endsOf([...sent, ...more]), all('acknowledged', 52))
      assert.deepEqual(heard[A], ['0', ...idsOf(52)])
      assert.equal(world.network.opened, 2)
      assert.deepEqual(
        b.links().map(({ direction }) => direction),
        ['incoming']
      )
    })

  it('[ENG-Q-a] leaves nothing in doubt of either side, as often as the connection breaks', async () => {
    await linked()
    const sent: Promise<string>[] = []
    for (let times = 0; times < 8; times += 1) {
      const ids = idsOf(20).map(id => `${times}-${id}`)
      sent.push(...sendAll(a, A, B, ids), ...sendBack(...ids))
      await world.clock.advance(1)
      reset(times * 700)
      await world.clock.settle()
    }
    assert.deepEqual(await endsOf(sent), all('acknowledged', 320))
    assert.equal(heard[A]?.length, 160)
    assert.deepEqual(heard[A], heard[B])
  })

  it('[ENG-Q-a] hands nothing over twice that was in hand when the connection broke, however long that takes', async () => {
    await linked()
    let release: () => void = () => undefined
    const busy = new Promise<void>(resolve => (release = resolve))
    onStanza = id => (id === '2' ? busy : undefined)
    const sent = sendBack('1', '2', '3')
    await world.clock.settle()
    reset()
    await world.clock.settle()
    assert.deepEqual(await endsOf(sent.slice(0, 2)), all('acknowledged', 2))
    assert.deepEqual(heard[A], ['1', '2'])
    release()
    assert.deepEqual(await endsOf(sent), all('acknowledged', 3))
    assert.deepEqual(heard[A], ['1', '2', '3'])
    assert.equal(b.routes()[0]?.state, 'send', 'the pair goes on on what its peer has come back on')
  })

  it('[ENG-Q-a] is not held up by handlers that wait for the acknowledgement of their answers', async () => {
    await linked({
      b: {
        onStanza: async ({ id = '' }) => {
          heard[B]?.push(id)
          await b.send(message(B, A, `re-${id}`))
        }
      }
    })
    let went = (): void => undefined
    onStanza = () => went()
    await endsOf(sendAll(a, A, B, ['0']))
    went = () => reset()
    const began = world.clock.now()
    const sent = sendAll(a, A, B, ['1', '2', '3'])
    await world.clock.settle()
    went = () => undefined
    assert.deepEqual(await endsOf(sent), all('acknowledged', 3))
    await world.clock.settle()
    assert.ok(world.clock.now() - began < STEP, `it took ${world.clock.now() - began} ms`)
    assert.deepEqual(heard, { [A]: ['re-0', 're-1', 're-2', 're-3'], [B]: ['0', '1', '2', '3'] })
  })

  it('[ENG-Q-a] leaves nothing of the initiating side in doubt either, after links that only what was sent back got through on', async () => {
    await linked()
    for (let times = 0; times < 4; times += 1) {
      await begun()
      reset()
      await world.clock.settle()
    }
    const sent = sendAll(a, A, B, ['1', '2'])
    reset(0)
    assert.deepEqual(await endsOf(sent), all('acknowledged', 2))
  })

  it('[ENG-Q-a] is left in doubt when the peer does not come back in time; then the pair is dialled, and what waited follows', async () => {
    await linked()
    await begun()
    const fault = world.network.refuse(world.addressOf(B))
    world.network.wires[0]?.stall('receiving')
    const sent = sendBack('1', '2')
    await world.clock.settle()
    reset()
    await world.clock.settle()
    const more = sendBack('3')
    assert.equal(b.routes()[0]?.state, 'queue')
    assert.equal(world.network.opened, 1)
    await world.clock.advance(STEP)
    assert.deepEqual(await endsOf([...sent, ...more]), ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'acknowledged'])
    assert.deepEqual(heard[A], ['0', '3'])
    fault.lift()
  })

  it('[ENG-Q-a] calls a peer once that is gone, and bounces nothing because of it', async () => {
    await linked()
    await begun()
    const fault = world.network.refuse(world.addressOf(B))
    const tried: string[] = []
    a.on('negotiation-ended', ({ report }) => tried.push(report.error?.code ?? 'ok'))
    reset()
    await world.clock.advance(1_000)
    assert.deepEqual(tried, ['S2S_CONNECT_FAILED'])
    assert.equal(a.routes()[0]?.state, 'queue')
    await world.clock.advance(300_000)
    assert.equal(tried.length, 1)
    fault.lift()
    reset()
    await world.run(a.connect(pairOf(A, B)))
    await world.clock.settle()
    await begun()
    const again = world.network.refuse(world.addressOf(B))
    reset()
    await world.clock.advance(1_000)
    again.lift()
    assert.deepEqual(await endsOf(sendAll(a, A, B, ['1'])), ['acknowledged'])
  })

  it('[ENG-Q-a] bounces for a while after a call that somebody has come to wait for', async () => {
    await linked()
    await begun()
    world.network.blackHole(world.addressOf(B))
    reset()
    await world.clock.advance(1_000)
    const connecting = a.connect(pairOf(A, B)).catch((error: unknown) => FederationError.from(error).code)
    assert.equal(await world.run(connecting), 'S2S_TIMEOUT')
    assert.equal(a.routes()[0]?.state, 'bounce')
  })

  it('[ENG-Q-a] bounces what was handed over while it called a peer that is gone', async () => {
    await linked()
    await begun()
    world.network.refuse(world.addressOf(B))
    reset()
    await world.clock.advance(0)
    const sent = sendAll(a, A, B, ['1'])
    const [end] = await endsOf(sent)
    assert.notEqual(end, 'acknowledged')
    assert.equal(heard[B]?.length, 0)
  })

  it('calls nobody for a stream that nothing came back on, that was closed, or that cannot be resumed', async () => {
    await linked()
    reset()
    await world.clock.advance(60_000)
    assert.equal(world.network.opened, 1)
    await endsOf(sendAll(a, A, B, ['1']))
    await begun()
    assert.equal(world.network.opened, 2)
    await world.run(Promise.all(b.links().map(link => link.close())))
    await world.clock.advance(60_000)
    assert.equal(world.network.opened, 2)
    await world.stop()
    world = createWorld()
    heard = { [A]: [], [B]: [] }
    await linked({ b: { extensions: { resumption: false } } })
    await begun()
    reset()
    await world.clock.advance(60_000)
    assert.equal(world.network.opened, 1)
  })

  it('[ENG-Q-a] calls a peer that breaks off again and again eight times in a row, and then no more than once in ten seconds', async () => {
    await linked()
    const breakOff = async (): Promise<number> => {
      await begun()
      const before = world.network.opened
      reset()
      await world.clock.settle()
      return world.network.opened - before
    }
    for (let times = 0; times < 8; times += 1) assert.equal(await breakOff(), 1)
    assert.equal(await breakOff(), 0)
    for (const [wait, calls] of [
      [9_000, 0],
      [10_000, 1]
    ] as const) {
      await world.clock.advance(wait)
      await world.run(a.connect(pairOf(A, B)))
      await world.clock.settle()
      assert.equal(await breakOff(), calls)
    }
  })

  it('[XEP0288-2.2-b] is left in doubt under a policy that does not let it flow any more, which bounces what waited', async () => {
    await linked()
    await begun()
    const sent = sendBack('1', '2')
    reset(0)
    await world.run(b.setPolicy(layer({ admit: ({ direction }) => (direction === 'outgoing' ? 'refuse' : undefined) }, policies.ladder())))
    const more = sendBack('3')
    assert.deepEqual(await endsOf([...sent, ...more]), ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_POLICY'])
    assert.deepEqual(heard[A], ['0'])
  })

  it('[ENG-Q-a] is left in doubt when its domain is hosted no more, and when its engine stops or drains', async () => {
    const ends: Readonly<Record<string, () => Promise<void>>> = {
      gone: () => b.removeDomain(B),
      stopped: () => b.stop(),
      drained: () => b.stop({ drain: true })
    }
    for (const end of Object.values(ends)) {
      await linked({ b: { domains: { 'main.example': undefined, [B]: world.authority.issue(B, { now: world.clock.now() }) } } })
      await begun()
      world.network.refuse(world.addressOf(B))
      const sent = sendBack('1', '2')
      reset(0)
      await world.clock.settle()
      const began = world.clock.now()
      const ending = end()
      assert.deepEqual(await endsOf(sent), all('S2S_IN_DOUBT', 2))
      await world.run(ending)
      assert.ok(world.clock.now() - began < STEP)
      await world.stop()
      world = createWorld()
      heard = { [A]: [], [B]: [] }
    }
  })
})
