import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Transport } from '../../lib/model/plugs.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const SENT = 20_000
const BODY = 'x'.repeat(2_000)
const LIMITS = { queuedStanzas: 500, unackedStanzas: 200 }
/** The buffers on the way take a whole write each, of what was sent in one turn: about 100 kB here. The rest has to wait. */
const BUFFERS = 1_500_000
/** What waits in a queue, in acknowledgement or in those buffers. */
const MOST_ACCEPTED = LIMITS.queuedStanzas + LIMITS.unackedStanzas + BUFFERS / BODY.length

const message = (id: number): Element =>
  new Element('message', { from: 'x@a.example', to: 'y@b.example', id: `${id}` }).c('body').t(BODY).root()

/** Bytes in the heap and in buffers outside of it, after a collection. */
function memory(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

interface Crowd {
  readonly ends: readonly Promise<string>[]
  /** How each ended so far, by what it ended with. */
  readonly counts: Map<string, number>
}

describe('back-pressure', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  /** Sends far more than may wait, as fast as it can. */
  async function crowd(send: (stanza: Element) => Promise<string>): Promise<Crowd> {
    const counts = new Map<string, number>()
    const ends: Promise<string>[] = []
    for (let id = 0; id < SENT; id += 1) {
      const end = send(message(id)).catch((error: unknown) => FederationError.from(error).code)
      ends.push(end)
      void end.then(how => counts.set(how, (counts.get(how) ?? 0) + 1))
      if (id % 50 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await world.clock.settle()
    return { ends, counts }
  }

  for (const streamManagement of [true, false]) {
    const how = streamManagement ? 'with' : 'without'

    it(`keeps memory flat and the sender waiting while a peer does not read, ${how} stream management, and loses nothing`, async () => {
      const delivered: number[] = []
      const options = { extensions: { streamManagement }, limits: LIMITS }
      const a = await world.engine('a.example', options)
      await world.engine('b.example', { ...options, onStanza: ({ id }) => void delivered.push(Number(id)) })
      await world.run(a.connect(pairOf('a.example', 'b.example')))
      const before = memory()
      const [wire] = world.network.wires
      wire?.stall('initiating')
      const { ends, counts } = await crowd(stanza => a.send(stanza))
      const waiting = SENT - [...counts.values()].reduce((sum, each) => sum + each, 0)
      assert.ok(waiting >= LIMITS.queuedStanzas && waiting <= LIMITS.queuedStanzas + LIMITS.unackedStanzas, `${waiting} wait`)
      assert.equal(counts.get('S2S_QUEUE_FULL'), SENT - waiting - (counts.get('written') ?? 0))
      assert.ok((wire?.sent.initiating ?? Infinity) < BUFFERS, `${wire?.sent.initiating ?? 0} bytes were written`)
      assert.ok(memory() - before < 20_000_000, `${memory() - before} bytes more, and ${SENT * BODY.length} were sent`)
      wire?.resume('initiating')
      const codes = await world.run(Promise.all(ends))
      const arrived = codes.flatMap((code, id) => (code === 'S2S_QUEUE_FULL' ? [] : [id]))
      await world.clock.settle()
      assert.deepEqual(delivered, arrived, 'what was not refused arrives, in order')
    })

    it(`does not read on while a handler works, ${how} stream management: memory stays flat, and the sender is pushed back`, async () => {
      let handed = 0
      const options = { extensions: { streamManagement }, limits: LIMITS }
      const a = await world.engine('a.example', options)
      const finish: (() => void)[] = []
      await world.engine('b.example', {
        ...options,
        onStanza: () => {
          handed += 1
          return handed > 1 ? undefined : new Promise<void>(resolve => finish.push(resolve))
        }
      })
      await world.run(a.connect(pairOf('a.example', 'b.example')))
      const before = memory()
      const { ends, counts } = await crowd(stanza => a.send(stanza))
      assert.equal(handed, 1)
      const [wire] = world.network.wires
      assert.ok((wire?.sent.initiating ?? Infinity) < BUFFERS, `${wire?.sent.initiating ?? 0} bytes were written`)
      const accepted = SENT - (counts.get('S2S_QUEUE_FULL') ?? 0)
      assert.ok(accepted >= LIMITS.queuedStanzas && accepted <= MOST_ACCEPTED, `${accepted} were accepted`)
      assert.ok(memory() - before < 20_000_000, `${memory() - before} bytes more, and ${SENT * BODY.length} were sent`)
      finish[0]?.()
      const codes = await world.run(Promise.all(ends))
      await world.clock.settle()
      assert.equal(handed, codes.filter(code => code !== 'S2S_QUEUE_FULL').length)
    })
  }

  for (const streamManagement of [true, false])
    it(`[ENG-Q-b] holds what is sent in one turn to the same bounds, ${streamManagement ? 'with' : 'without'} stream management`, async () => {
      const extensions = { streamManagement }
      const a = await world.engine('a.example', { extensions, limits: LIMITS })
      await world.engine('b.example', { extensions })
      await world.run(a.connect(pairOf('a.example', 'b.example')))
      await world.clock.settle()
      const ends = Array.from({ length: 5_000 }, (_, id) => a.send(message(id)).catch((error: unknown) => FederationError.from(error).code))
      const codes = await world.run(Promise.all(ends))
      assert.equal(codes.filter(code => code !== 'S2S_QUEUE_FULL').length, LIMITS.unackedStanzas + LIMITS.queuedStanzas)
    })

  it('writes what is sent in one turn of the event loop in one write', async () => {
    const writes: number[] = []
    const spied = (transport: Transport): Transport => ({
      listen: (at, onConnection) => transport.listen(at, onConnection),
      connect: async (to, options) => {
        const connection = await transport.connect(to, options)
        return noting(connection, writes)
      }
    })
    await world.engine('b.example')
    const a = await world.engine('a.example', { transport: spied(world.network.transportFor(world.addressOf('a.example'))) })
    await world.run(a.connect(pairOf('a.example', 'b.example')))
    await world.clock.settle()
    writes.length = 0
    const small = (id: number): Element => new Element('message', { from: 'x@a.example', to: 'y@b.example', id: `${id}` })
    for (let turn = 1; turn <= 3; turn += 1) {
      const ends = Array.from({ length: 100 }, (_, id) => a.send(small(id)))
      await new Promise(resolve => setImmediate(resolve))
      assert.equal(writes.length, 1, 'one write')
      assert.ok((writes[0] ?? 0) > 100 * 40, `of ${writes[0] ?? 0} bytes`)
      await world.run(Promise.all(ends))
      await world.clock.settle()
      writes.length = 0
    }
  })
})

/** Notes how much each write to a connection has. */
function noting(connection: Duplex, writes: number[]): Duplex {
  const write = connection.write.bind(connection)
  connection.write = (chunk: unknown, ...more: unknown[]) => {
    if (Buffer.isBuffer(chunk)) writes.push(chunk.length)
    return (write as (...all: unknown[]) => boolean)(chunk, ...more)
  }
  return connection
}
