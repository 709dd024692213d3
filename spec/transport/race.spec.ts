import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import type { Duplex } from 'node:stream'
import { FederationError } from '../../lib/errors.ts'
import type { Endpoint } from '../../lib/model/endpoint.ts'
import type { Clock, Resolver, SocketAddress, Transport } from '../../lib/model/plugs.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createZone } from '../../lib/testing/zone.ts'
import type { Zone } from '../../lib/testing/zone.ts'
import { dialEndpoint } from '../../lib/transport/race.ts'
import { tcpTransport } from '../../lib/transport/tcp.ts'
import { gone, rejection } from './connections.ts'

const HOST = 'xmpp.shakespeare.example'
const endpoint = (wishes: Partial<Endpoint> = {}): Endpoint => ({ host: HOST, port: 5269, tls: 'starttls', source: 'srv', ...wishes })
const never = new AbortController().signal

/** What happens when an address is dialled: it accepts or refuses after some milliseconds, or nothing happens. */
type Behaviour = { readonly accepts: number } | { readonly refuses: number } | 'black hole'

interface Attempt {
  readonly address: string
  readonly at: number
  readonly signal: AbortSignal
  connection?: Duplex
}

/** A transport to scripted addresses, on the clock of the spec. `deaf` ones go on after they were called off. */
function scripted(clock: Clock, script: Readonly<Record<string, Behaviour>>, deaf = false): { transport: Transport; attempts: Attempt[] } {
  const attempts: Attempt[] = []
  const connect: Transport['connect'] = ({ address }, { signal }) =>
    new Promise((resolve, reject) => {
      const attempt: Attempt = { address, at: clock.now(), signal }
      attempts.push(attempt)
      const behaviour = script[address] ?? 'black hole'
      if (!deaf) signal.addEventListener('abort', () => reject(FederationError.from(signal.reason)), { once: true })
      if (behaviour === 'black hole') return
      if ('refuses' in behaviour)
        return void clock.setTimeout(
          () => reject(new FederationError('S2S_CONNECT_FAILED', { detail: `${address} ECONNREFUSED` })),
          behaviour.refuses
        )
      clock.setTimeout(() => {
        if (deaf || !signal.aborted) resolve((attempt.connection = new PassThrough()))
      }, behaviour.accepts)
    })
  return { transport: { connect, listen: () => Promise.reject(new FederationError('S2S_CONFIG')) }, attempts }
}

interface Wishes {
  readonly addresses: readonly string[]
  readonly script?: Readonly<Record<string, Behaviour>>
  readonly deaf?: boolean
  readonly allowPrivate?: boolean
  readonly isOwnListener?: (address: SocketAddress) => boolean
  readonly signal?: AbortSignal
  readonly endpoint?: Endpoint
}

function dialling({ addresses, script = {}, deaf, ...wishes }: Wishes): {
  dialled: ReturnType<typeof dialEndpoint>
  attempts: Attempt[]
  clock: ReturnType<typeof createTestClock>
  start: number
} {
  const clock = createTestClock()
  const { transport, attempts } = scripted(clock, script, deaf)
  const options = {
    resolver: zoneWith(addresses).resolver,
    transport,
    clock,
    signal: never,
    allowPrivate: false,
    isOwnListener: () => false,
    ...wishes
  }
  return { dialled: dialEndpoint(wishes.endpoint ?? endpoint(), options), attempts, clock, start: clock.now() }
}

function zoneWith(addresses: readonly string[]): Zone {
  const zone = createZone()
  if (addresses.length > 0) zone.addresses(HOST, addresses)
  return zone
}

const SIX = '2001:db8::7'
const FOUR = '198.51.100.7'
const OTHER = '203.0.113.7'

/** What a resolver of an application may do where it has to give a promise of an answer. */
const WRONG: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error('no network')
  },
  "rejects with a stranger's error": () => Promise.reject(new Error('no network')),
  'answers nothing': () => Promise.resolve(undefined),
  'gives texts': () => Promise.resolve({ status: 'found', ttl: 1, secure: false, records: [FOUR] }),
  'gives no list': () => Promise.resolve({ status: 'found', ttl: 1, secure: false })
}

describe('dialling an endpoint', () => {
  for (const [how, addresses] of Object.entries(WRONG))
    it(`says that the lookup failed when the resolver ${how}`, async () => {
      const resolver = { ...createZone().resolver, addresses: addresses as Resolver['addresses'] }
      const { transport } = scripted(createTestClock(), {})
      const by = { resolver, transport, clock: createTestClock(), signal: never, allowPrivate: false, isOwnListener: () => false }
      assert.equal((await rejection(dialEndpoint(endpoint(), by))).code, 'S2S_DNS_FAILED')
    })

  it('takes an answer that is there at once, and addresses that do not say their family', async () => {
    const answer = { status: 'found', ttl: 1, secure: false, records: [{ address: FOUR }] }
    const addresses = (() => answer) as unknown as Resolver['addresses']
    const clock = createTestClock()
    const { transport } = scripted(clock, { [FOUR]: { accepts: 0 } })
    const resolver = { ...createZone().resolver, addresses }
    const by = { resolver, transport, clock, signal: never, allowPrivate: false, isOwnListener: () => false }
    assert.equal((await clock.run(dialEndpoint(endpoint(), by))).address.address, FOUR)
  })

  it('[RFC8305-a] reaches IPv4 within 300 ms when IPv6 is a black hole', async () => {
    const { dialled, clock, start } = dialling({ addresses: [SIX, FOUR], script: { [FOUR]: { accepts: 20 } } })
    const { connection, address } = await clock.run(dialled)
    assert.deepEqual(address, { address: FOUR, port: 5269 })
    assert.equal(clock.now() - start, 270)
    assert.ok(connection.listenerCount('error') > 0)
  })

  it('gives each address 250 ms before the next is tried beside it', async () => {
    const { dialled, attempts, clock, start } = dialling({ addresses: [SIX, FOUR, OTHER], script: { [OTHER]: { accepts: 0 } } })
    await clock.run(dialled)
    assert.deepEqual(
      attempts.map(({ address, at }) => [address, at - start]),
      [
        [SIX, 0],
        [FOUR, 250],
        [OTHER, 500]
      ]
    )
  })

  it('[RFC6120-3.2.1-c] tries the next address at once when one refuses', async () => {
    const { dialled, attempts, clock, start } = dialling({
      addresses: [SIX, FOUR],
      script: { [SIX]: { refuses: 10 }, [FOUR]: { accepts: 5 } }
    })
    assert.equal((await clock.run(dialled)).address.address, FOUR)
    assert.deepEqual(
      attempts.map(({ at }) => at - start),
      [0, 10]
    )
  })

  it('[RFC8305-b] keeps one connection: the others are called off, and one that is made all the same is closed', async () => {
    for (const deaf of [false, true]) {
      const { dialled, attempts, clock } = dialling({
        addresses: [SIX, FOUR],
        deaf,
        script: { [SIX]: { accepts: 400 }, [FOUR]: { accepts: 20 } }
      })
      const { connection } = await clock.run(dialled)
      const [loser, winner] = attempts
      assert.ok(loser !== undefined && winner !== undefined)
      assert.equal(connection, winner.connection)
      assert.deepEqual([loser.signal.aborted, winner.signal.aborted], [true, false])
      await clock.advance(1000)
      assert.equal(loser.connection?.destroyed, deaf ? true : undefined)
      assert.equal(connection.destroyed, false)
      assert.equal(clock.pendingTimers, 0)
      connection.destroy()
    }
  })

  it('says of every address why it failed', async () => {
    const { dialled, clock } = dialling({ addresses: [SIX, FOUR], script: { [SIX]: { refuses: 1 }, [FOUR]: { refuses: 1 } } })
    const error = await clock.run(rejection(dialled))
    assert.equal(error.code, 'S2S_CONNECT_FAILED')
    assert.match(error.message, /2001:db8::7 ECONNREFUSED; 198\.51\.100\.7 ECONNREFUSED/)
    assert.ok(error.cause instanceof AggregateError)
    assert.equal(error.cause.errors.length, 2)
  })

  it('ends with its signal: no address is dialled any more, and those being dialled are called off', async () => {
    const deadline = new AbortController()
    const { dialled, attempts, clock } = dialling({ addresses: [SIX, FOUR], signal: deadline.signal })
    const failed = rejection(dialled)
    await clock.advance(10)
    deadline.abort(new FederationError('S2S_TIMEOUT'))
    assert.equal((await failed).code, 'S2S_TIMEOUT')
    await clock.advance(1000)
    assert.deepEqual(
      attempts.map(({ signal }) => signal.aborted),
      [true]
    )
    assert.equal(clock.pendingTimers, 0)
  })

  it('[XEP0495-a] touches the addresses of its own endpoint alone, however long they take', async () => {
    const clock = createTestClock()
    const zone = zoneWith([SIX, FOUR])
    zone.addresses('second.shakespeare.example', [OTHER])
    const { transport, attempts } = scripted(clock, {})
    const deadline = new AbortController()
    const failed = rejection(
      dialEndpoint(endpoint(), {
        resolver: zone.resolver,
        transport,
        clock,
        signal: deadline.signal,
        allowPrivate: false,
        isOwnListener: () => false
      })
    )
    await clock.advance(60_000)
    deadline.abort()
    await failed
    assert.deepEqual([attempts.map(({ address }) => address), zone.lookups.map(({ name }) => name)], [[SIX, FOUR], [HOST]])
  })

  it('tells a host without addresses from one that could not be looked up', async () => {
    const none = await rejection(dialling({ addresses: [] }).dialled)
    assert.equal(none.code, 'S2S_DNS_NO_SERVICE')
    const zone = zoneWith([])
    zone.fail(HOST)
    const options = {
      ...scripted(createTestClock(), {}),
      resolver: zone.resolver,
      clock: createTestClock(),
      signal: never,
      allowPrivate: false,
      isOwnListener: () => false
    }
    assert.equal((await rejection(dialEndpoint(endpoint(), options))).code, 'S2S_DNS_FAILED')
    const broken: Resolver = { srv: () => Promise.reject(new Error('broken')), addresses: () => Promise.reject(new Error('broken')) }
    assert.equal((await rejection(dialEndpoint(endpoint(), { ...options, resolver: broken }))).code, 'S2S_DNS_FAILED')
  })
})

describe('addresses that DNS must not name', () => {
  it('[SEC-SSRF-a] are not dialled, and the error names them', async () => {
    for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0', '169.254.169.254', '::1', '10.0.0.1']) {
      const { dialled, attempts } = dialling({ addresses: [address] })
      const error = await rejection(dialled)
      assert.equal(error.code, 'S2S_DNS_FORBIDDEN_ADDRESS')
      assert.ok(error.message.includes(address))
      assert.equal(attempts.length, 0)
    }
  })

  it('[SEC-SSRF-a] are left out when there are others', async () => {
    const { dialled, attempts, clock } = dialling({ addresses: ['127.0.0.1', FOUR], script: { [FOUR]: { accepts: 1 } } })
    await clock.run(dialled)
    assert.deepEqual(
      attempts.map(({ address }) => address),
      [FOUR]
    )
  })

  it('[SEC-SSRF-a] are refused as SRV targets that are literal addresses too', async () => {
    const { dialled, attempts } = dialling({ addresses: [], endpoint: endpoint({ host: '127.0.0.1', port: 6379 }) })
    assert.equal((await rejection(dialled)).code, 'S2S_DNS_FORBIDDEN_ADDRESS')
    assert.equal(attempts.length, 0)
  })

  it('are dialled where the operator allows private addresses, or wrote the host down', async () => {
    const allowed = dialling({ addresses: ['127.0.0.1'], allowPrivate: true, script: { '127.0.0.1': { accepts: 1 } } })
    await allowed.clock.run(allowed.dialled)
    const written = dialling({
      addresses: ['10.0.0.1'],
      endpoint: endpoint({ source: 'override' }),
      script: { '10.0.0.1': { accepts: 1 } }
    })
    await written.clock.run(written.dialled)
  })

  it('include our own listeners, even where private addresses are allowed', async () => {
    const isOwnListener = ({ address, port }: SocketAddress): boolean => address === FOUR && port === 5269
    assert.equal(
      (await rejection(dialling({ addresses: [FOUR], isOwnListener, allowPrivate: true }).dialled)).code,
      'S2S_DNS_FORBIDDEN_ADDRESS'
    )
    const otherPort = dialling({ addresses: [FOUR], isOwnListener, endpoint: endpoint({ port: 5270 }), script: { [FOUR]: { accepts: 1 } } })
    await otherPort.clock.run(otherPort.dialled)
  })
})

describe('dialling over TCP', () => {
  let server: Server
  let port: number
  const accepted: Socket[] = []

  before(async () => {
    server = createServer(socket => void accepted.push(socket.on('error', () => undefined))).listen(0, '127.0.0.2')
    await once(server, 'listening')
    const bound = server.address()
    port = bound === null || typeof bound === 'string' ? 0 : bound.port
  })

  after(() => {
    for (const socket of accepted) socket.destroy()
    server.close()
  })

  it('[RFC6120-3.2.1-c] connects to the second address when the first refuses', async () => {
    const clock = createTestClock()
    const zone = zoneWith(['127.0.0.1', '127.0.0.2'])
    const options = {
      resolver: zone.resolver,
      transport: tcpTransport(),
      clock,
      signal: never,
      allowPrivate: true,
      isOwnListener: () => false
    }
    const { connection, address } = await dialEndpoint(endpoint({ port }), options)
    assert.deepEqual(address, { address: '127.0.0.2', port })
    assert.equal(connection.listenerCount('error') > 0, true)
    connection.destroy()
    await gone(connection)
  })
})
