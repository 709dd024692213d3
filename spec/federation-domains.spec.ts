import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import type { Federation } from '../lib/federation.ts'
import type { FederationOptions } from '../lib/options.ts'
import type { Policy } from '../lib/model/policy.ts'
import { policies } from '../lib/policy/presets.ts'
import { createWorld, pairOf } from './world.ts'
import type { World } from './world.ts'

const [A, C, B] = ['a.example', 'c.example', 'b.example'] as const
/** What makes pairs share a link. */
const policy: Policy = { proofs: () => ['dialback'] }

describe('a domain that is removed while its pair shares a link with others', () => {
  let world: World
  /** What arrived, by the target and in order. */
  let heard: string[]

  beforeEach(() => {
    world = createWorld()
    heard = []
  })
  afterEach(async () => {
    await world.stop()
    await world.clock.settle()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })
  const end = (sent: Promise<string>): Promise<string> => sent.catch((thrown: unknown) => FederationError.from(thrown).code)

  /** An engine for two domains that share a certificate. */
  async function ours(options: Partial<FederationOptions> = {}): Promise<Federation> {
    const credentials = world.authority.issue(A, { alsoFor: [C], now: world.clock.now() })
    const engine = await world.engine(A, { domains: { [A]: credentials, [C]: credentials }, ...options })
    world.network.zone.server(C, { addresses: [world.addressOf(A)] })
    return engine
  }

  /** Handles one stanza a second. */
  const slowly = ({ id = '' }: { readonly id?: string | undefined }): Promise<void> =>
    new Promise(resolve => {
      world.clock.setTimeout(() => {
        heard.push(id)
        resolve()
      }, 1_000)
    })

  /** One outgoing link with the pairs of both domains. */
  async function shared(a: Federation): Promise<void> {
    await world.run(a.connect(pairOf(A, B)))
    await world.run(a.connect(pairOf(C, B)))
    assert.deepEqual(
      a.links().map(({ direction, pairs }) => [direction, pairs.filter(({ flow }) => flow === 'send').length]),
      [['outgoing', 2]]
    )
  }

  for (const way of ['one way', 'both ways'])
    it(`[ENG-Q-a] leaves no stanza of the others in doubt, on a link that goes ${way}: they are acknowledged before it ends`, async () => {
      const extensions = { bidi: way === 'both ways' }
      const a = await ours({ policy, extensions })
      const b = await world.engine(B, { policy, extensions, onStanza: slowly })
      const size = way === 'both ways' ? 4 : 2
      await shared(a)
      assert.equal(a.links()[0]?.pairs.length, size)
      const resets: string[] = []
      a.on('link-reset', ({ error }) => resets.push(error.code))
      const ends = Array.from({ length: 12 }, (_, index) => end(a.send(message(A, B, `${index}`))))
      await world.clock.advance(10)
      await world.run(a.removeDomain(C))
      assert.deepEqual(resets, ['S2S_NOT_HOSTED'])
      assert.ok(a.links().every(({ pairs }) => pairs.every(({ pair }) => pair.sender !== C && pair.target !== C)))
      const late = end(a.send(message(A, B, 'late')))
      const gone = end(a.send(message(C, B, 'gone')))
      const back = end(b.send(message(B, C, 'back')))
      assert.equal(await gone, 'S2S_NOT_HOSTED')
      assert.deepEqual(await world.run(Promise.all(ends)), Array(12).fill('acknowledged'))
      assert.equal(await world.run(late), 'acknowledged')
      assert.notEqual(await world.run(back), 'acknowledged')
      assert.deepEqual(heard, [...Array(12).keys(), 'late'].map(String))
      assert.deepEqual(
        b.links().map(({ pairs }) => pairs.map(({ pair }) => pair.sender === C || pair.target === C).includes(true)),
        [false]
      )
    })

  it('[ENG-Q-a] leaves nothing in doubt of what was sent back on a link that others have opened', async () => {
    const b = await world.engine(B, { policy, onStanza: slowly })
    const a = await ours({ policy })
    await world.run(b.send(message(B, A, 'there')))
    await world.run(b.send(message(B, C, 'there')))
    assert.deepEqual(
      a.links().map(({ direction }) => direction),
      ['incoming']
    )
    const sending =
      a
        .links()[0]
        ?.pairs.filter(({ flow }) => flow === 'send')
        .map(({ pair }) => pair.sender) ?? []
    assert.ok(
      sending.some(sender => sender === A),
      sending.join()
    )
    const ends = Array.from({ length: 12 }, (_, index) => end(a.send(message(A, B, `${index}`))))
    await world.clock.advance(10)
    await world.run(a.removeDomain(C))
    assert.ok(a.links().every(({ pairs }) => pairs.every(({ pair }) => pair.sender !== C && pair.target !== C)))
    assert.deepEqual(await world.run(Promise.all(ends)), Array(12).fill('acknowledged'))
  })

  for (const streamManagement of [true, false])
    it(`[RFC6120-10.4-a] delivers nothing more for it ${streamManagement ? 'with' : 'without'} stream management, not even what waited for the handler`, async () => {
      const extensions = { streamManagement }
      const b = await world.engine(B, { policy, extensions })
      let isBusy = false
      const a = await ours({
        policy,
        extensions,
        onStanza: ({ id = '' }) => {
          heard.push(id)
          return isBusy ? new Promise(resolve => void world.clock.setTimeout(resolve, 2_000)) : undefined
        }
      })
      await world.run(b.send(message(B, A, '1')))
      await world.run(b.send(message(B, C, '2')))
      isBusy = true
      const ends = ['3', '4', '5', '6'].map((id, index) => end(b.send(message(B, index < 2 ? A : C, id))))
      await world.clock.advance(10)
      await world.run(a.removeDomain(C))
      const after = end(b.send(message(B, C, '7')))
      await world.clock.advance(20_000)
      assert.deepEqual(heard, ['1', '2', '3', '4'])
      await world.run(Promise.all([...ends, after]))
      assert.ok(!(await Promise.all(ends)).slice(2).includes('acknowledged'))
    })

  it('ends the link at once when the engine stops meanwhile', async () => {
    const a = await ours({ policy, timeouts: { close: 3_000 } })
    await world.engine(B, { policy, onStanza: () => new Promise(() => undefined) })
    await shared(a)
    const sent = end(a.send(message(A, B, '1')))
    await world.clock.advance(10)
    await world.run(a.removeDomain(C))
    await world.clock.advance(10_000)
    assert.equal(a.links().length, 1)
    const began = world.clock.now()
    await world.run(a.stop())
    assert.ok(world.clock.now() - began <= 10_000, `${world.clock.now() - began} ms`)
    assert.equal(await sent, 'S2S_IN_DOUBT')
  })

  it('ends the link at once when a pair that is left may not go on either', async () => {
    const a = await ours({ policy })
    await world.engine(B, { policy, onStanza: () => new Promise(() => undefined) })
    await shared(a)
    const sent = end(a.send(message(A, B, '1')))
    await world.clock.advance(10)
    await world.run(a.removeDomain(C))
    assert.equal(a.links().length, 1)
    await world.run(a.setPolicy(policies.strict()))
    assert.equal(await world.run(sent), 'S2S_IN_DOUBT')
    assert.deepEqual(a.links(), [])
  })
})
