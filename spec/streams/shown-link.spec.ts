import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { Element } from 'ltx'
import { domain } from '../../lib/model/domain.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

describe('what links and routes look like to whoever prints them', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
  })

  it('is what there is to know of a link in either direction, and nothing that it is made of', async () => {
    const a = await world.engine('a.example')
    const b = await world.engine('b.example')
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    for (const [engine, flows] of [
      [a, ['send', 'receive']],
      [b, ['receive', 'send']]
    ] as const) {
      const [link] = engine.links()
      assert.ok(link)
      const { id, direction, since, tls, certificate, pairs } = link
      assert.deepEqual(JSON.parse(JSON.stringify(engine.links())), [
        JSON.parse(JSON.stringify({ id, direction, level: 'sasl-external', since, pairs, tls, certificate }))
      ])
      assert.deepEqual(
        link.toJSON().pairs.map(({ flow }) => flow),
        flows
      )
      assert.equal(inspect(link), inspect(link.toJSON()))
    }
  })

  it('is what goes on in a route, with the sentence of why it bounces', async () => {
    const a = await world.engine('a.example')
    const sent = a.send(new Element('message', { from: 'x@a.example', to: `y@${domain('nowhere.example')}`, id: '1' }))
    await world.run(sent.catch(() => undefined))
    const [route] = JSON.parse(JSON.stringify(a.routes())) as readonly Readonly<Record<string, Readonly<Record<string, unknown>>>>[]
    assert.deepEqual(
      [route?.['state'], route?.['held'], route?.['reason']?.['code'], route?.['reason']?.['message']],
      ['bounce', { stanzas: 0, bytes: 0 }, 'S2S_DNS_NO_SERVICE', a.routes()[0]?.reason?.message]
    )
    assert.equal(route?.['reason']?.['stack'], undefined)
  })
})
