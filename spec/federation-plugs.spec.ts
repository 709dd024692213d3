import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { Element } from 'ltx'
import type { FederationError } from '../lib/errors.ts'
import type { Listener, Secured, Tls, Transport } from '../lib/model/plugs.ts'
import type { Report } from '../lib/model/report.ts'
import { policies } from '../lib/policy/presets.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
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

  const closing: Readonly<Record<string, () => Promise<void>>> = {
    throws: () => {
      throw new Error('somebody else has closed it')
    },
    rejects: () => Promise.reject(new Error('somebody else has closed it'))
  }
  for (const [how, fails] of Object.entries(closing)) {
    const withListeners = (name: string, listen: Transport['listen']): Transport => {
      const network = world.network.transportFor(world.addressOf(name))
      return {
        connect: (to, options) => network.connect(to, options),
        listen: async (at, onConnection) => {
          const opened = await listen(at, onConnection)
          const { address, port } = opened
          return {
            address,
            port,
            close: () => {
              void opened.close()
              return fails()
            }
          }
        }
      }
    }

    it(`stops all the rest when closing a listener ${how}, and warns`, async () => {
      const warnings: string[] = []
      await world.engine('b.example')
      const network = world.network.transportFor(world.addressOf('a.example'))
      const a = await world.engine('a.example', { transport: withListeners('a.example', (at, on) => network.listen(at, on)) })
      a.on('warning', ({ error }) => warnings.push(error.message))
      await world.run(a.connect(PAIR))
      await world.run(a.stop())
      assert.deepEqual(a.links(), [])
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] ?? '', /the listener on 192\.0\.2\.\d port 5269 could not be closed: somebody else has closed it/)
    })

    it(`says why it could not start although closing what it had opened ${how}`, async () => {
      const network = world.network.transportFor(world.addressOf('a.example'))
      const transport = withListeners('a.example', (at, on) =>
        at.port === 5270 ? Promise.reject(new Error('EADDRINUSE')) : network.listen(at, on)
      )
      const listen = [5269, 5270].map(port => ({ host: world.addressOf('a.example'), port }))
      const error = await rejection(world.engine('a.example', { transport, listen }))
      assert.equal(error.code, 'S2S_CONFIG')
      assert.match(error.message, /cannot listen: Error: EADDRINUSE/)
    })
  }

  const shapes: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /what transport\.listen gave has to be an object with close, not nothing/],
    [{ address: '192.0.2.1', port: 5269 }, /what transport\.listen gave\.close has to be a function/],
    [{ port: 5269, close: () => Promise.resolve() }, /the address of what transport\.listen gave has to be text/],
    [
      { address: '192.0.2.1', port: '5269', close: () => Promise.resolve() },
      /the port of what transport\.listen gave has to be a whole number/
    ]
  ]
  for (const [index, [listener, sentence]] of shapes.entries())
    it(`does not start on what is no listener (${index})`, async () => {
      const network = world.network.transportFor(world.addressOf('a.example'))
      const transport: Transport = {
        connect: (to, options) => network.connect(to, options),
        listen: () => Promise.resolve(listener as Listener)
      }
      const error = await rejection(world.engine('a.example', { transport }))
      assert.equal(error.code, 'S2S_CONFIG')
      assert.match(error.message, sentence)
    })

  const inner = simulatedTls()
  const failing: Readonly<Record<string, (handshake: () => Promise<Secured>) => Promise<Secured>>> = {
    throws: () => {
      throw new Error('the key is not there')
    },
    rejects: () => Promise.reject(new Error('the key is not there')),
    'never answers': () => new Promise(() => undefined),
    'is too late': async handshake => {
      await new Promise<void>(resolve => world.clock.setTimeout(resolve, 2_000))
      return await handshake()
    }
  }
  for (const [how, fails] of Object.entries(failing)) {
    const heedless = { signal: new AbortController().signal }
    const tls: Tls = {
      createContext: credentials => inner.createContext(credentials),
      client: (connection, options) => fails(() => inner.client(connection, { ...options, ...heedless })),
      server: (connection, options) => fails(() => inner.server(connection, { ...options, ...heedless }))
    }
    const broken = { tls, timeouts: { step: 1_000 }, policy: policies.strict() }
    const code = how === 'throws' || how === 'rejects' ? 'S2S_INTERNAL' : 'S2S_TIMEOUT'

    it(`[ENG-TLS-a] leaves no connection to a peer open when its Tls ${how}`, async () => {
      await world.engine('b.example', { timeouts: { step: 60_000, negotiation: 60_000 } })
      const a = await world.engine('a.example', broken)
      const report = await world.run(a.probe(PAIR))
      assert.equal(report.error?.code, code)
      await world.clock.advance(3_000)
      assert.equal(world.network.wires.length, 0)
    })

    if (code === 'S2S_INTERNAL')
      it(`does not go on in clear when its Tls ${how}: that is no failure of the peer's`, async () => {
        await world.engine('b.example')
        const a = await world.engine('a.example', { tls })
        const report = await world.run(a.probe(PAIR))
        assert.deepEqual([report.level, report.error?.code], [undefined, code])
        assert.match(report.error?.message ?? '', /the Tls failed: the key is not there/u)
      })

    it(`[ENG-TLS-a] leaves no connection of a peer open when its Tls ${how}`, async () => {
      const b = await world.engine('b.example', broken)
      const ended = new Promise<Report>(resolve => b.on('negotiation-ended', ({ report }) => resolve(report)))
      const a = await world.engine('a.example', { timeouts: { step: 60_000, negotiation: 60_000 }, policy: policies.strict() })
      const probing = a.probe(PAIR)
      assert.equal((await world.run(ended)).error?.code, code)
      await world.run(probing)
      await world.clock.advance(3_000)
      assert.equal(world.network.wires.length, 0)
    })
  }
})
