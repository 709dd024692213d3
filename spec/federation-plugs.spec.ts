import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { Element } from 'ltx'
import type { FederationError } from '../lib/errors.ts'
import type { Transport } from '../lib/model/plugs.ts'
import { createWorld, pairOf, rejection } from './world.ts'
import type { World } from './world.ts'

const PAIR = pairOf('a.example', 'b.example')
const HEADER = `<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='b.example' from='a.example' version='1.0'>`

describe('an engine with a part of the application that misbehaves', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0, 'timers are left')
    assert.equal(world.network.wires.length, 0, 'connections are left')
    assert.equal(world.network.listening.length, 0, 'listeners are left')
  })

  const throwing = (): Duplex =>
    new Duplex({
      read: () => undefined,
      write: () => {
        throw new Error('the socket is not open')
      }
    })

  for (const [first, code] of [
    [HEADER, 'S2S_STREAM_CLOSED'],
    [`${HEADER}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, 'S2S_TLS_HANDSHAKE']
  ] as const)
    it(`ends an accepted connection whose write throws, with ${code}`, async () => {
      const b = await world.engine('b.example')
      const connection = throwing()
      const accepted = b.accept(connection, { address: '198.51.100.1' })
      connection.push(first)
      const report = await world.run(accepted)
      assert.equal(report.error?.code, code)
      assert.ok(connection.destroyed)
    })

  it('tells who sends that a dialled connection whose write throws is gone', async () => {
    await world.engine('b.example')
    const network = world.network.transportFor(world.addressOf('a.example'))
    const transport: Transport = { connect: () => Promise.resolve(throwing()), listen: (at, on) => network.listen(at, on) }
    const a = await world.engine('a.example', { transport })
    const error: FederationError = await world.run(rejection(a.connect(PAIR)))
    assert.equal(error.code, 'S2S_STREAM_CLOSED')
    const bounced = await world.run(rejection(a.send(new Element('message', { from: 'x@a.example', to: 'y@b.example' }))))
    assert.equal(bounced.code, 'S2S_STREAM_CLOSED')
  })
})
