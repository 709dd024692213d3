import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { readClientHello } from '../../lib/transport/client-hello.ts'
import { inMemory } from './connections.ts'

const NAMELESS = { servername: undefined }

/** The first flight of Node's own client. */
async function helloFor(servername: string): Promise<Buffer> {
  const { initiating, receiving } = inMemory()
  const client = connect({ socket: initiating, servername, ALPNProtocols: ['xmpp-server'] }).on('error', () => undefined)
  const hello = await new Promise<Buffer>(resolve => receiving.once('data', resolve))
  client.destroy()
  receiving.destroy()
  return hello
}

/** The same handshake message in records of at most so many bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const fragment = message.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 255]), fragment)
  }
  return Buffer.concat(records)
}

describe('the server name of a ClientHello', () => {
  it('is read as soon as the last byte is there, and not before', async () => {
    const hello = await helloFor('shakespeare.example')
    for (let length = 0; length < hello.length; length += 1) {
      const read = readClientHello(hello.subarray(0, length))
      assert.ok('needs' in read && read.needs > length && read.needs <= hello.length, `${length} bytes: ${JSON.stringify(read)}`)
    }
    assert.deepEqual(readClientHello(hello), { servername: 'shakespeare.example' })
    assert.deepEqual(readClientHello(Buffer.concat([hello, Buffer.from('more')])), { servername: 'shakespeare.example' })
  })

  it('is read across records', async () => {
    const hello = await helloFor('shakespeare.example')
    for (const size of [400, 700, 1500]) assert.deepEqual(readClientHello(inRecords(hello, size)), { servername: 'shakespeare.example' })
  })

  it('is none when the message is spread over more records than anyone needs', async () => {
    const hello = await helloFor('shakespeare.example')
    for (const size of [1, 2, 7, 20]) assert.deepEqual(readClientHello(inRecords(hello, size)), NAMELESS)
  })

  it('is looked for a few times only, however small the pieces are that it comes in', async () => {
    const hello = inRecords(await helloFor('shakespeare.example'), 400)
    let looks = 0
    let needs = 0
    for (let length = 1; length <= hello.length; length += 1) {
      if (length < needs) continue
      looks += 1
      const read = readClientHello(hello.subarray(0, length))
      if (!('needs' in read)) break
      needs = read.needs
    }
    assert.ok(looks <= 20, `${looks} looks`)
  })

  it('is none where none is sent', async () => {
    assert.deepEqual(readClientHello(await helloFor('')), NAMELESS)
  })

  it('is none for what is no ClientHello, which is not waited for either', () => {
    for (const bytes of [
      Buffer.from('<stream:stream'),
      Buffer.from('G'),
      Buffer.from([0x80, 0x2e, 1]),
      Buffer.from([22, 3, 1, 0, 0]),
      Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])
    ])
      assert.deepEqual(readClientHello(bytes), NAMELESS)
  })

  it('is none when the message claims to be longer than any is', () => {
    assert.deepEqual(readClientHello(Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff])), NAMELESS)
  })

  it('is read from no bytes beyond their ends, whatever they are', async () => {
    const hello = await helloFor('shakespeare.example')
    const changes = fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(changes, each => {
        const bytes = Buffer.from(hello)
        for (const [at, value] of each) bytes[at] = value
        const read = readClientHello(bytes)
        assert.ok('needs' in read || read.servername === undefined || read.servername.length <= bytes.length)
      }),
      { numRuns: 2000 }
    )
  })
})
