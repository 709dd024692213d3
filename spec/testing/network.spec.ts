import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { FederationError } from '../../lib/errors.ts'
import type { Listener, SocketAddress, Transport } from '../../lib/model/plugs.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network, NetworkOptions } from '../../lib/testing/network.ts'
import { atRest } from '../../lib/testing/rest.ts'
import { tcpTransport } from '../../lib/transport/tcp.ts'

const VERONA = '192.0.2.1'
const PADUA = '192.0.2.2'
const never = new AbortController().signal

interface Ends {
  readonly initiating: Duplex
  readonly receiving: Duplex
  readonly listener: Listener
}

async function connected(ours: Transport, theirs: Transport, at: { host: string; port: number }): Promise<Ends> {
  const accepted: Duplex[] = []
  const listener = await theirs.listen(at, connection => accepted.push(connection))
  const initiating = await ours.connect({ address: at.host, port: listener.port }, { signal: never })
  await atRest()
  const [receiving] = accepted
  assert.ok(receiving)
  return { initiating, receiving, listener }
}

async function pair(
  options: NetworkOptions = {},
  arrange: (network: Network) => void = () => undefined
): Promise<Ends & { network: Network }> {
  const network = createNetwork(options)
  arrange(network)
  return { ...(await connected(network.transportFor(VERONA), network.transportFor(PADUA), { host: PADUA, port: 5269 })), network }
}

/** Everything a duplex still gives, and how it ended. */
function collect(duplex: Duplex): { text: string; ended: boolean; error: string | undefined; closed: boolean } {
  const seen: ReturnType<typeof collect> = { text: '', ended: false, error: codeOf(duplex.errored), closed: duplex.destroyed }
  duplex.on('data', (chunk: Buffer) => (seen.text += chunk.toString('latin1')))
  duplex.on('end', () => (seen.ended = true))
  duplex.on('error', error => (seen.error = codeOf(error)))
  duplex.on('close', () => (seen.closed = true))
  return seen
}

const codeOf = (error: NodeJS.ErrnoException | null): string | undefined => error?.code

const rejectsWith = (code: string, detail?: RegExp) => (error: unknown) =>
  FederationError.is(error) && error.code === code && (detail === undefined || detail.test(error.message))

const CARRIERS: readonly { name: string; ours: () => readonly [Transport, Transport, string] }[] = [
  { name: 'TCP', ours: () => [tcpTransport(), tcpTransport(), '127.0.0.1'] },
  {
    name: 'the in-memory network',
    ours: () => {
      const network = createNetwork()
      return [network.transportFor(VERONA), network.transportFor(PADUA), PADUA]
    }
  }
]

for (const { name, ours } of CARRIERS)
  describe(`a connection over ${name}`, () => {
    const open = (): Promise<Ends> => {
      const [near, far, host] = ours()
      return connected(near, far, { host, port: 0 })
    }

    it('carries bytes both ways, in order', async () => {
      const { initiating, receiving, listener } = await open()
      const [here, there] = [collect(initiating), collect(receiving)]
      for (const word of ['two ', 'households, ']) initiating.write(word)
      receiving.write('both alike')
      await atRest()
      assert.deepEqual([here.text, there.text], ['both alike', 'two households, '])
      initiating.destroy()
      receiving.destroy()
      await listener.close()
    })

    it('an end is seen after all bytes, is answered by an end, and leaves nothing open', async () => {
      const { initiating, receiving, listener } = await open()
      const [here, there] = [collect(initiating), collect(receiving)]
      initiating.end('farewell')
      await atRest()
      assert.deepEqual(
        [here, there],
        [
          { text: '', ended: true, error: undefined, closed: true },
          { text: 'farewell', ended: true, error: undefined, closed: true }
        ]
      )
      await listener.close()
    })

    it('delivers what was written before the end was seen', async () => {
      const { initiating, receiving, listener } = await open()
      const here = collect(initiating)
      receiving.write('a')
      initiating.end()
      receiving.write('b')
      receiving.resume()
      await atRest()
      assert.deepEqual([here.text, here.ended, here.closed], ['ab', true, true])
      await listener.close()
    })

    it('pushes back on the writer, and goes on when the reader reads', async () => {
      const { initiating, receiving, listener } = await open()
      const size = 8_000_000
      assert.equal(initiating.write(Buffer.alloc(size)), false)
      const more = 4_000
      for (let sent = 0; sent < more; sent += 1) initiating.write(Buffer.alloc(1000))
      await atRest()
      assert.ok(initiating.writableLength > 0)
      let read = 0
      receiving.on('data', (chunk: Buffer) => (read += chunk.length))
      while (initiating.writableLength > 0) await once(initiating, 'drain')
      await atRest()
      assert.equal(read, size + more * 1000)
      initiating.destroy()
      receiving.destroy()
      await listener.close()
    })

    it('breaks on the end that writes to one that has gone', async () => {
      const { initiating, receiving, listener } = await open()
      const here = collect(initiating)
      receiving.destroy()
      for (let tries = 0; tries < 20 && !here.closed; tries += 1) {
        initiating.write('anyone?')
        await atRest()
      }
      assert.equal(here.closed, true)
      await listener.close()
    })

    it('refuses where nobody listens, and after a listener was closed', async () => {
      const [near, far, host] = ours()
      const listener = await far.listen({ host, port: 0 }, () => assert.fail('accepted'))
      const to = { address: host, port: listener.port }
      await listener.close()
      await assert.rejects(near.connect(to, { signal: never }), rejectsWith('S2S_CONNECT_FAILED', /ECONNREFUSED/))
    })

    it('dials addresses only, and nothing when called off', async () => {
      const [near, , host] = ours()
      await assert.rejects(
        near.connect({ address: 'localhost', port: 1 }, { signal: never }),
        rejectsWith('S2S_CONNECT_FAILED', /no address to dial/)
      )
      await assert.rejects(near.connect({ address: host, port: 1 }, { signal: AbortSignal.abort() }), rejectsWith('S2S_ABORTED'))
    })

    it('listens on an address of its own and a free port only', async () => {
      const [, far, host] = ours()
      const first = await far.listen({ host, port: 0 }, () => undefined)
      await assert.rejects(
        far.listen({ host, port: first.port }, () => undefined),
        rejectsWith('S2S_CONFIG', /EADDRINUSE/)
      )
      await assert.rejects(
        far.listen({ host: '203.0.113.9', port: 0 }, () => undefined),
        rejectsWith('S2S_CONFIG', /EADDRNOTAVAIL/)
      )
      await first.close()
    })
  })

describe('the in-memory network', () => {
  it('tells who dialled, from an address of the family that was dialled', async () => {
    const network = createNetwork()
    const callers: SocketAddress[] = []
    await network.transportFor([PADUA, '2001:db8::2']).listen({ host: '::', port: 5269 }, (_connection, from) => callers.push(from))
    const verona = network.transportFor([VERONA, '2001:db8::1'])
    for (const address of [PADUA, '2001:db8::2']) await verona.connect({ address, port: 5269 }, { signal: never })
    await atRest()
    assert.deepEqual(
      callers.map(({ address }) => address),
      [VERONA, '2001:db8::1']
    )
  })

  it('names an address of its own where a listener is on all, never those of the real machine', async () => {
    const listener = await createNetwork()
      .transportFor([PADUA, '2001:db8::2'])
      .listen({ host: '::', port: 0 }, () => undefined)
    assert.equal(listener.address, PADUA)
  })

  it('counts what is open, and who still holds it', async () => {
    const { network, initiating, receiving, listener } = await pair()
    assert.deepEqual([network.opened, network.wires.length, network.listening.length], [1, 1, 1])
    collect(receiving)
    initiating.destroy()
    await atRest()
    assert.equal(network.wires.length, 0)
    await listener.close()
    assert.deepEqual([network.opened, network.listening], [1, []])
  })

  it('names the end that leaks', async () => {
    const { network, initiating } = await pair({}, made => made.cut(PADUA, { how: 'stall', of: 'initiating', after: 0 }))
    initiating.destroy()
    await atRest()
    assert.deepEqual(
      network.wires.map(wire => wire.heldBy),
      [['receiving']]
    )
  })

  it('a destroyed end resets the other, after what it had sent', async () => {
    const { initiating, receiving } = await pair()
    const there = collect(receiving)
    initiating.write('last words')
    initiating.destroy()
    await atRest()
    assert.deepEqual(there, { text: 'last words', ended: false, error: 'ECONNRESET', closed: true })
  })

  it('a reset follows in a turn of its own, so that what came before it is seen by whoever waits for it', async () => {
    const { initiating, receiving } = await pair()
    const seen: string[] = []
    receiving.on('readable', () => {
      const chunk = receiving.read() as Buffer | null
      if (chunk !== null) seen.push(chunk.toString())
    })
    receiving.on('error', error => seen.push(error.message))
    await atRest()
    initiating.write('last words')
    initiating.destroy()
    await atRest()
    assert.deepEqual(seen, ['last words', 'read ECONNRESET'])
  })

  it('breaks neither end when both have ended before they are destroyed', async () => {
    const { initiating, receiving } = await pair()
    const [here, there] = [collect(initiating), collect(receiving)]
    initiating.end()
    await once(initiating, 'finish')
    initiating.destroy()
    await atRest()
    assert.deepEqual([here.error, there.error, there.ended, there.closed], [undefined, undefined, true, true])
  })

  it('keeps a half of a connection open on request', async () => {
    const network = createNetwork()
    const padua = network.transportFor(PADUA, { allowHalfOpen: true })
    const { initiating, receiving } = await connected(network.transportFor(VERONA), padua, { host: PADUA, port: 5269 })
    const [, there] = [collect(initiating), collect(receiving)]
    initiating.end()
    await atRest()
    assert.deepEqual([there.ended, receiving.writable], [true, true])
  })

  it('resets who writes on to an end that has ended and gone', async () => {
    const network = createNetwork()
    const padua = network.transportFor(PADUA, { allowHalfOpen: true })
    const { initiating, receiving } = await connected(network.transportFor(VERONA), padua, { host: PADUA, port: 5269 })
    const there = collect(receiving)
    initiating.end()
    await once(initiating, 'finish')
    initiating.destroy()
    await atRest()
    assert.deepEqual([there.ended, there.error, there.closed], [true, undefined, false])
    receiving.write('anyone?')
    await atRest()
    assert.deepEqual([there.error, there.closed, network.wires.length], ['ECONNRESET', true, 0])
  })

  it('hands over copies: what a writer does with its buffer later is its own business', async () => {
    const { initiating, receiving } = await pair()
    const there = collect(receiving)
    const buffer = Buffer.from('constant')
    initiating.write(buffer)
    buffer.fill('x')
    await atRest()
    assert.equal(there.text, 'constant')
  })

  it('holds three buffers of the high-water mark at most', async () => {
    const { network, initiating } = await pair({ highWaterMark: 1000 })
    for (let written = 0; written < 50; written += 1) initiating.write(Buffer.alloc(100))
    await atRest()
    const [wire] = network.wires
    assert.equal(wire?.sent.initiating, 2000)
    assert.equal(initiating.writableLength, 5000 - 2000 + 100)
  })

  it('splits bytes as finely as asked', async () => {
    const { initiating, receiving } = await pair({ segment: 1 })
    const chunks: string[] = []
    receiving.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    initiating.write('abc')
    initiating.write('d')
    await atRest()
    assert.deepEqual(chunks, ['a', 'b', 'c', 'd'])
  })

  it('takes its time on a clock, for connecting and for each direction', async () => {
    const clock = createTestClock(0)
    const network = createNetwork({ clock, latency: 40 })
    const padua = network.transportFor(PADUA)
    await padua.listen({ host: PADUA, port: 5269 }, connection => connection.pipe(connection))
    const work = async (): Promise<readonly number[]> => {
      const connection = await network.transportFor(VERONA).connect({ address: PADUA, port: 5269 }, { signal: never })
      const at = [clock.now()]
      connection.write('ping')
      await once(connection, 'data')
      at.push(clock.now())
      connection.end()
      await once(connection.resume(), 'close')
      return [...at, clock.now()]
    }
    assert.deepEqual(await clock.run(work()), [40, 120, 200])
    assert.deepEqual([clock.pendingTimers, network.wires.length], [0, 0])
  })

  it('leaves no timer behind on a connection that is gone', async () => {
    const clock = createTestClock(0)
    const network = createNetwork({ clock, latency: 40 })
    const both = connected(network.transportFor(VERONA), network.transportFor(PADUA), { host: PADUA, port: 5269 })
    const { initiating, receiving } = await clock.run(both)
    initiating.write('never read')
    receiving.destroy()
    initiating.destroy()
    await clock.settle()
    assert.deepEqual([clock.pendingTimers, network.wires.length], [0, 0])
  })

  it('needs a clock for latency', () => {
    assert.throws(() => createNetwork({ latency: 1 }), rejectsWith('S2S_CONFIG'))
  })
})

describe('faults of the in-memory network', () => {
  const dial = (network: Network, signal = never): Promise<Duplex> =>
    network.transportFor(VERONA).connect({ address: PADUA, port: 5269 }, { signal })

  it('refuses connections until lifted', async () => {
    const { network } = await pair()
    const fault = network.refuse(PADUA)
    await assert.rejects(dial(network), rejectsWith('S2S_CONNECT_FAILED', /ECONNREFUSED/))
    assert.equal(fault.hits, 1)
    fault.lift()
    await dial(network)
    assert.equal(fault.hits, 1)
  })

  it('swallows connections until the dialler gives up', async () => {
    const { network } = await pair()
    const fault = network.blackHole(`${PADUA}:5269`)
    const giveUp = new AbortController()
    const dialling = dial(network, giveUp.signal)
    await atRest()
    giveUp.abort(new FederationError('S2S_TIMEOUT'))
    await assert.rejects(dialling, rejectsWith('S2S_TIMEOUT'))
    assert.deepEqual([fault.hits, network.opened], [1, 1])
  })

  it('is for the port that it names', async () => {
    const { network } = await pair()
    const fault = network.refuse({ address: PADUA, port: 5270 })
    await dial(network)
    assert.equal(fault.hits, 0)
  })

  const places = [
    { place: { after: 3 }, arrives: 'abc', what: 'after three bytes' },
    { place: { after: 0 }, arrives: '', what: 'before the first byte' },
    { place: { after: 'cd' }, arrives: 'abcd', what: 'after a pattern' },
    { place: { before: 'cd' }, arrives: 'ab', what: 'before a pattern' },
    { place: { after: 'b', nth: 2 }, arrives: 'abcdeab', what: 'after its second occurrence' }
  ] as const
  for (const of of ['initiating', 'receiving'] as const)
    for (const { place, arrives, what } of places) {
      const broken = async (how: 'reset' | 'fin' | 'stall', chunks: readonly string[]) => {
        const made = await pair({}, network => network.cut(PADUA, { how, of, ...place }))
        const [from, to] = of === 'initiating' ? [made.initiating, made.receiving] : [made.receiving, made.initiating]
        const [sender, reader] = [collect(from), collect(to)]
        for (const chunk of chunks) from.write(chunk)
        await atRest()
        return { ...made, sender, reader }
      }
      for (const chunks of [['abcdeabcde'], 'abcdeabcde'.split('')] as const) {
        // In pieces of one byte the first of a pattern has already passed when the second shows what it is.
        const expected = 'before' in place && chunks.length > 1 ? 'abc' : arrives
        const pieces = `${chunks.length} pieces`

        it(`resets both ends ${what} of the ${of} one, in ${pieces}`, async () => {
          const { sender, reader, network } = await broken('reset', chunks)
          assert.deepEqual([reader.text, reader.error, sender.error], [expected, 'ECONNRESET', 'ECONNRESET'])
          assert.equal(network.wires.length, 0)
        })

        it(`ends the bytes ${what} of the ${of} one, in ${pieces}`, async () => {
          const { sender, reader } = await broken('fin', chunks)
          assert.deepEqual([reader.text, reader.ended, reader.error, sender.error], [expected, true, undefined, undefined])
        })

        it(`stalls ${what} of the ${of} one, in ${pieces}, and goes on when told`, async () => {
          const { sender, reader, network } = await broken('stall', chunks)
          assert.deepEqual([reader.text, reader.ended, sender.error], [expected, false, undefined])
          const [wire] = network.wires
          wire?.resume(of)
          await atRest()
          assert.equal(reader.text, 'abcdeabcde')
        })
      }
    }

  it('resets the sender of a cut although the other end does not read', async () => {
    const { initiating } = await pair({ highWaterMark: 100 }, network => network.cut(PADUA, { how: 'reset', of: 'initiating', after: 200 }))
    const here = collect(initiating)
    for (const bytes of [120, 120]) initiating.write(Buffer.alloc(bytes))
    await atRest()
    assert.equal(here.error, 'ECONNRESET')
  })

  it('happens at the first of several places', async () => {
    for (const places of [
      [2, 5],
      [5, 2]
    ]) {
      const { initiating, receiving } = await pair({}, network => {
        for (const after of places) network.cut(PADUA, { how: 'fin', of: 'initiating', after })
      })
      const there = collect(receiving)
      initiating.write('abcdefgh')
      await atRest()
      assert.equal(there.text, 'ab')
    }
  })

  it('happens as often as asked', async () => {
    const { network } = await pair()
    const fault = network.cut(PADUA, { how: 'reset', of: 'receiving', after: 0, times: 1 })
    const ends = [collect(await dial(network)), collect(await dial(network))]
    await atRest()
    assert.deepEqual(
      ends.map(end => end.error),
      ['ECONNRESET', undefined]
    )
    assert.equal(fault.hits, 1)
  })

  it('leaves the other direction alone when one is stalled, and pushes back on the stalled one', async () => {
    const { network, initiating, receiving } = await pair({ highWaterMark: 100 })
    const [here, there] = [collect(initiating), collect(receiving)]
    const [wire] = network.wires
    wire?.stall('initiating')
    initiating.write(Buffer.alloc(1000))
    initiating.write('more')
    receiving.write('still here')
    await atRest()
    assert.deepEqual([here.text, there.text, initiating.writableLength > 0], ['still here', '', true])
    initiating.destroy()
    await atRest()
    assert.deepEqual([there.error, there.closed], [undefined, false])
    wire?.resume()
    await atRest()
    assert.deepEqual([there.error, there.closed], ['ECONNRESET', true])
  })

  it('resets and ends on command', async () => {
    const first = await pair()
    const [here, there] = [collect(first.initiating), collect(first.receiving)]
    first.network.wires[0]?.reset()
    await atRest()
    assert.deepEqual([here.error, there.error], ['ECONNRESET', 'ECONNRESET'])
    const second = await pair()
    const reader = collect(second.receiving)
    collect(second.initiating)
    second.network.wires[0]?.finish('initiating')
    await atRest()
    assert.deepEqual([reader.ended, reader.error, second.network.wires.length], [true, undefined, 0])
  })

  it('loses on command what is on its way behind so many bytes', async () => {
    const { network, initiating, receiving } = await pair()
    const [here, there] = [collect(initiating), collect(receiving)]
    const taken: unknown[] = []
    initiating.write('one', error => taken.push(error))
    initiating.write('two', error => taken.push(error))
    network.wires[0]?.reset(4)
    await atRest()
    assert.deepEqual([there.text, there.error, here.error, network.wires.length], ['onet', 'ECONNRESET', 'ECONNRESET', 0])
    assert.deepEqual(taken, [null, null], 'they were taken before they were lost')
  })

  it('loses on command what takes its time, and lets a writer that was pushed back end', async () => {
    const clock = createTestClock()
    const { network, initiating, receiving } = await clock.run(pair({ clock, latency: 10, highWaterMark: 4 }))
    const [here, there] = [collect(initiating), collect(receiving)]
    const taken: unknown[] = []
    initiating.write('12345678', error => taken.push(error))
    network.wires[0]?.reset(2)
    await clock.advance(10)
    assert.deepEqual([there.text, there.error, here.error, taken.length, network.wires.length], ['12', 'ECONNRESET', 'ECONNRESET', 1, 0])
  })

  it('cuts a connection that is there, at a place in what is sent from now on', async () => {
    const { network, initiating, receiving } = await pair()
    const [here, there] = [collect(initiating), collect(receiving)]
    initiating.write('before')
    network.wires[0]?.cut({ how: 'fin', of: 'initiating', after: 3 })
    receiving.write('answer')
    await atRest()
    assert.deepEqual([there.text, there.ended, here.text], ['before', false, 'answer'])
    initiating.write('after')
    await atRest()
    assert.deepEqual([there.text, there.ended], ['beforeaft', true])
    const second = await pair()
    const reader = collect(second.receiving)
    second.network.wires[0]?.cut({ how: 'reset', of: 'initiating', after: 0 })
    await atRest()
    assert.equal(reader.error, 'ECONNRESET')
  })

  it('never runs out of ports', async () => {
    const transport = createNetwork().transportFor(PADUA)
    const ports = new Set<number>()
    for (let round = 0; round < 20_000; round += 1) {
      const listener = await transport.listen({ host: PADUA, port: 0 }, () => undefined)
      ports.add(listener.port)
      await listener.close()
    }
    assert.ok(Math.max(...ports) < 65_536 && ports.size > 10_000)
  })
})
