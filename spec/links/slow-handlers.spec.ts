import assert from 'node:assert/strict'
import { Element } from 'ltx'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const WORK = 20

describe('a handler that takes its time', () => {
  let world: World
  /** When each stanza was handled. */
  let handled: string[]

  beforeEach(() => {
    world = createWorld()
    handled = []
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const engine = (name: string, options: Partial<FederationOptions> = {}): Promise<Federation> => world.engine(name, options)
  const slowly: FederationOptions['onStanza'] = ({ id = '' }) =>
    new Promise<void>(resolve => {
      world.clock.setTimeout(() => {
        handled.push(id)
        resolve()
      }, WORK)
    })
  const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })

  /** Milliseconds until each of several stanzas, sent one after the other, is acknowledged. */
  async function took(sender: Federation, from: string, to: string, count: number): Promise<readonly number[]> {
    const times: number[] = []
    for (let number = 1; number <= count; number += 1) {
      const since = world.clock.now()
      assert.equal(await world.run(sender.send(message(from, to, String(number)))), 'acknowledged')
      times.push(world.clock.now() - since)
    }
    return times
  }

  for (const bidi of [true, false])
    it(`[XEP0198-4-c] keeps a sender waiting no longer than it works ${bidi ? 'on a bidirectional stream' : 'on one that goes one way'}`, async () => {
      await engine('b.example', { onStanza: slowly, extensions: { bidi } })
      const a = await engine('a.example')
      await world.run(a.connect(pairOf('a.example', 'b.example')))
      const times = await took(a, 'a.example', 'b.example', 4)
      assert.ok(
        times.every(each => each >= WORK && each < 10 * WORK + (bidi ? 0 : 500)),
        String(times)
      )
    })

  it('[XEP0198-4-c] keeps a sender waiting no longer than it works where the stanzas come back on our own stream', async () => {
    const a = await engine('a.example', { onStanza: slowly })
    const b = await engine('b.example')
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    await world.clock.settle()
    const times = await took(b, 'b.example', 'a.example', 4)
    assert.equal(b.links().length, 1)
    assert.ok(
      times.every(each => each >= WORK && each < 10 * WORK),
      String(times)
    )
  })

  it('[XEP0198-4-c] does not close the window of a sender that is ahead of it', async () => {
    await engine('b.example', { onStanza: slowly })
    const a = await engine('a.example', { limits: { unackedStanzas: 20 } })
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    const since = world.clock.now()
    const ids = Array.from({ length: 100 }, (_, index) => String(index))
    await world.run(Promise.all(ids.map(id => a.send(message('a.example', 'b.example', id)))))
    assert.deepEqual(handled, ids)
    const time = world.clock.now() - since
    assert.ok(time < 2 * WORK * ids.length, String(time))
  })

  it('drains as fast as it works', async () => {
    await engine('b.example', { onStanza: slowly })
    const a = await engine('a.example')
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    const since = world.clock.now()
    const sent = a.send(message('a.example', 'b.example', '1'))
    await world.run(a.stop({ drain: true }))
    assert.equal(await sent, 'acknowledged')
    assert.ok(world.clock.now() - since < 20 * WORK, String(world.clock.now() - since))
  })
})
