import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { Clock } from '../../lib/model/plugs.ts'
import type { Limits } from '../../lib/model/settings.ts'
import { DEFAULT_LIMITS } from '../../lib/defaults.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { XmlStream } from '../../lib/xml/stream.ts'

const HEADER = `<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`

describe('an XML stream over one connection', () => {
  let server: Server
  let near: Socket
  let far: Socket
  let received = ''
  const realClock: Clock = {
    now: () => Date.now(),
    setTimeout: (run, delay) => {
      const timer = setTimeout(run, delay)
      return { cancel: () => clearTimeout(timer) }
    }
  }

  beforeEach(async () => {
    received = ''
    server = createServer({ allowHalfOpen: true }, socket => socket.setNoDelay(true))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const accepted = once(server, 'connection') as Promise<[Socket]>
    near = connect((server.address() as AddressInfo).port, '127.0.0.1')
    ;[far] = await accepted
    far.setEncoding('utf8')
    far.on('error', () => undefined)
    far.on('data', (text: string) => (received += text))
  })

  afterEach(async () => {
    near.destroy()
    far.destroy()
    server.close()
    await once(server, 'close')
  })

  const open = (clock: Clock = realClock, limits: Partial<Limits> = {}): XmlStream =>
    new XmlStream(near, { limits: { ...DEFAULT_LIMITS, ...limits }, encrypted: false, clock, closeTimeout: 5000 })
  const arrived = async (text: string): Promise<void> => {
    while (!received.includes(text)) await once(far, 'data')
  }
  const rejects = async (promise: Promise<unknown>, code: ErrorCode): Promise<FederationError> => {
    const error: unknown = await promise.then(
      () => assert.fail('it did not reject'),
      (thrown: unknown) => thrown
    )
    assert.ok(FederationError.is(error))
    assert.equal(error.code, code)
    return error
  }

  it('gives the header, then each element, then the closing tag', async () => {
    const stream = open()
    far.write(`${HEADER}<stream:features/>`)
    far.write(`<db:result xmlns:db='jabber:server:dialback' from='a.example' to='b.example'>key</db:result></stream:stream>`)
    const header = await stream.readHeader()
    assert.equal(header.contentNamespace, 'jabber:server')
    const features = await stream.read()
    assert.ok(features.kind === 'element' && features.name === 'features')
    const result = await stream.read()
    assert.ok(result.kind === 'element')
    assert.equal(result.namespace, 'jabber:server:dialback')
    assert.equal(result.element().getText(), 'key')
    assert.equal((await stream.read()).kind, 'close')
  })

  it('writes everything of one turn in one write', async () => {
    const chunks: string[] = []
    far.on('data', (text: string) => chunks.push(text))
    const stream = open()
    stream.write('<a/>')
    await Promise.resolve()
    stream.write('<b/>')
    stream.write(Buffer.from('<c/>'))
    await arrived('<c/>')
    assert.deepEqual(chunks, ['<a/><b/><c/>'])
  })

  it('is full when as much was written in one turn as may wait, and has room again when the connection has taken it', async () => {
    const stream = open(realClock, { unackedStanzas: 3, unackedBytes: 1_000 })
    const taken: unknown[] = []
    for (let n = 1; n <= 3; n += 1) {
      assert.equal(stream.full, false)
      stream.write('<a/>', error => taken.push(error))
    }
    assert.equal(stream.full, true)
    await stream.drained()
    assert.equal(stream.full, false)
    stream.write('x'.repeat(999))
    assert.equal(stream.full, false)
    stream.write(Buffer.from('y'))
    assert.equal(stream.full, true)
    await stream.drained()
    await arrived('xy')
    assert.deepEqual(taken, [undefined, undefined, undefined])
    stream.write('x'.repeat(1_000))
    const never = stream.drained()
    stream.abandon()
    await never
  })

  it('listens once for all who wait until the connection takes more, and for nobody once the connection is given back', async () => {
    const stream = open()
    const listeners = (): number => near.listenerCount('drain') + near.listenerCount('close')
    const before = listeners()
    far.pause()
    near.cork()
    stream.write('x'.repeat(near.writableHighWaterMark))
    stream.flush()
    assert.equal(stream.full, true)
    let woken = 0
    const all = Array.from({ length: 20 }, () => stream.drained().then(() => (woken += 1)))
    await new Promise(resolve => setImmediate(resolve))
    assert.deepEqual([listeners(), woken], [before, 0])
    near.uncork()
    far.resume()
    await Promise.all(all)
    assert.equal(stream.detach().listenerCount('drain'), 0)
  })

  it('tells when the socket has the bytes, and that what comes after the closing tag was never written', async () => {
    const stream = open()
    assert.equal(await new Promise(resolve => stream.write('<a/>', resolve)), undefined)
    stream.sendClosing()
    const refused = await new Promise(resolve => stream.write('<b/>', resolve))
    assert.ok(FederationError.is(refused))
    await arrived('</stream:stream>')
    assert.equal(received, '<a/></stream:stream>')
  })

  it('tells what never reached a connection from what a connection was given before it broke, whatever it broke with', async () => {
    const stream = open()
    near.on('error', () => undefined)
    near.cork()
    const given = new Promise(resolve => stream.write('<a/>', resolve))
    stream.flush()
    const tooLate = new Promise(resolve => stream.write('<b/>', resolve))
    near.destroy(new FederationError('S2S_STREAM_CLOSED', { detail: 'said by whoever plugged the connection in' }))
    assert.ok(FederationError.is(await tooLate))
    assert.ok(!FederationError.is(await given))
  })

  it('[RFC6120-4.9.2-b] gives an unknown stream error as undefined-condition, with its name for readers only', async () => {
    const stream = open()
    far.write(`${HEADER}<stream:error><moon-phase xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`)
    await stream.readHeader()
    const error = await rejects(stream.read(), 'S2S_STREAM_ERROR_RECEIVED')
    assert.equal(error.condition, 'undefined-condition')
    assert.match(error.message, /moon-phase/)
  })

  it('[RFC6120-4.9.2-c] escapes and cuts the text of a stream error, and does nothing else with it', async () => {
    const stream = open()
    const text = '\u202e' + 'x'.repeat(5000)
    far.write(
      `${HEADER}<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>${text}</text></stream:error>`
    )
    await stream.readHeader()
    const error = await rejects(stream.read(), 'S2S_STREAM_ERROR_RECEIVED')
    assert.equal(error.condition, 'reset')
    assert.ok(error.message.length < 500)
    assert.ok(error.message.includes('\\u{202e}'))
  })

  it('[SEC-TLS-b] does not give the connection back for TLS while bytes in clear are waiting', async () => {
    const stream = open()
    far.write(`${HEADER}<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:stream>`)
    await stream.readHeader()
    await stream.read()
    await rejects(
      Promise.resolve().then(() => stream.detach()),
      'S2S_TLS_INJECTION'
    )
  })

  it('[RFC6120-4.3.3-a] starts anew with a fresh parser, and not at all when bytes are already there', async () => {
    const stream = open()
    far.write(`${HEADER}<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
    await stream.readHeader()
    await stream.read()
    stream.restart()
    far.write(`${HEADER}<stream:features/><message/>`)
    await stream.readHeader()
    await stream.read()
    await rejects(
      Promise.resolve().then(() => stream.restart()),
      'S2S_NOT_WELL_FORMED'
    )
  })

  it('refuses a second header where no restart is due', async () => {
    const stream = open()
    far.write(`${HEADER}${HEADER.slice(HEADER.indexOf('<stream:'))}</stream:stream>`)
    await stream.readHeader()
    const second = await stream.read()
    assert.ok(second.kind === 'element' && second.name === 'stream')
  })

  it('[RFC6120-4.9.1.1-a] ends with the error and the closing tag, and acts on nothing that follows', async () => {
    const stream = open()
    far.write(HEADER)
    await stream.readHeader()
    const ended = stream.end(new FederationError('S2S_POLICY', { detail: 'blocked' }))
    far.write('<message/></stream:stream>')
    far.on('end', () => far.end())
    await ended
    assert.match(received, /^<stream:error><policy-violation [^>]*\/>.*<\/stream:error><\/stream:stream>$/)
  })

  it('[RFC6120-4.4-b] closes the socket when the peer never answers the closing tag', async () => {
    const clock = createTestClock()
    const stream = open(clock)
    far.write(HEADER)
    await stream.readHeader()
    await clock.run(stream.end())
    assert.ok(near.destroyed)
    assert.equal(clock.pendingTimers, 0)
  })

  it('reports a reset and an end as a closed stream, for every read that follows', async () => {
    const stream = open()
    far.write(HEADER)
    await stream.readHeader()
    far.resetAndDestroy()
    await rejects(stream.read(), 'S2S_STREAM_CLOSED')
    await rejects(stream.read(), 'S2S_STREAM_CLOSED')
  })

  it('ends a connection whose write or end throws, and cannot say that nothing of it has left', async () => {
    const stream = open()
    const broken = (): never => {
      throw new FederationError('S2S_STOPPED')
    }
    near.write = broken
    const taken = new Promise<unknown>(resolve => stream.write('<a/>', resolve))
    const error = await taken
    assert.ok(error instanceof Error && !FederationError.is(error))
    assert.ok(near.destroyed)
    await rejects(stream.read(), 'S2S_STREAM_CLOSED')
    near.end = broken
    await stream.hangUp()
  })

  it('knows of an end that was read before it had the connection', async () => {
    near.allowHalfOpen = true
    near.resume()
    far.end()
    await once(near, 'end')
    assert.equal(near.destroyed, false)
    await rejects(open().readHeader(), 'S2S_STREAM_CLOSED')
  })

  it('does not read ahead of whoever consumes it', async () => {
    const stream = open()
    far.write(HEADER)
    await stream.readHeader()
    let accepted = true
    while (accepted) accepted = far.write(`<message><body>${'x'.repeat(60_000)}</body></message>`)
    stream.allowStanzas()
    const first = await stream.read()
    assert.equal(first.kind, 'element')
    assert.ok(near.readableLength < 200_000, `${near.readableLength} bytes were read ahead`)
  })
})
