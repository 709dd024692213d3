import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { contained } from '../../lib/transport/contained.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { credentialsFor, gone, inMemory } from './connections.ts'

const tls = nodeTls()
const context = tls.createContext(credentialsFor('padua.example'))
const { signal } = new AbortController()

/** As the simplest adapters are written: what it is given goes on at once, and what goes on may throw. */
class Adapter extends Duplex {
  readonly #send: (chunk: Buffer) => void

  constructor(send: (chunk: Buffer) => void) {
    super()
    this.#send = send
  }

  override _read(): void {
    // What arrives is pushed.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: (error?: Error) => void): void {
    this.#send(chunk)
    setImmediate(taken)
  }
}

function throwingAfter(writes: number, onward: (chunk: Buffer) => void = () => undefined): (chunk: Buffer) => void {
  let seen = 0
  return chunk => {
    if (++seen > writes) throw new Error('the socket is not open')
    onward(chunk)
  }
}

describe('a connection of the application that throws where a socket would end', () => {
  for (const writes of [0, 1, 2])
    it(`ends with the error when write ${writes + 1} throws, though it waited behind another`, async () => {
      const adapter = contained(new Adapter(throwingAfter(writes)))
      const errors: unknown[] = []
      const answers: unknown[] = []
      adapter.on('error', error => errors.push(error.message))
      for (let n = 0; n < 3; n += 1) adapter.write('<a/>', error => answers.push(error instanceof Error))
      await gone(adapter)
      assert.deepEqual(errors, ['the socket is not open'])
      assert.deepEqual(answers, [writes < 1, writes < 2, true])
    })

  it('ends with the error when what it throws at several writes at once is none', async () => {
    const adapter = new Adapter(() => undefined)
    adapter._writev = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw 'the socket is not open'
    }
    const errors: unknown[] = []
    contained(adapter).on('error', error => errors.push(error.message))
    for (let n = 0; n < 3; n += 1) adapter.write('<a/>')
    await gone(adapter)
    assert.deepEqual(errors, ['the socket is not open'])
  })

  for (const writes of [0, 1])
    it(`fails the TLS handshake, or ends what it gave, when TLS writes for time ${writes + 1}`, async () => {
      const ends = inMemory()
      ends.initiating.on('error', () => undefined)
      const adapter = new Adapter(throwingAfter(writes, chunk => ends.receiving.write(chunk)))
      ends.receiving.on('data', (chunk: Buffer) => adapter.push(chunk)).on('end', () => adapter.push(null))
      contained(adapter)
      const server = tls.server(adapter, { contextFor: () => Promise.resolve(context), signal }).then(
        ({ duplex }) => duplex.on('error', () => undefined).write('<a/>'),
        (error: unknown) => error
      )
      const client = tls.client(ends.initiating, { context: undefined, servername: 'padua.example', alpn: [], signal }).then(
        ({ duplex }) => duplex.on('error', () => undefined).write('<a/>'),
        (error: unknown) => error
      )
      await gone(adapter)
      ends.receiving.destroy()
      ends.initiating.destroy()
      await Promise.all([server, client])
    })
})
