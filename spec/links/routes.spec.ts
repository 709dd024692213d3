import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import { policies } from '../../lib/policy/presets.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

const inClear = policies.ladder({ tls: 'never' })

describe('the route of a pair', () => {
  let world: World
  let listener: PeerListener
  const message = (id: string, text = ''): Element =>
    new Element('message', { from: 'x@a.example', to: 'y@b.example', id }).c('body').t(text).root()

  beforeEach(async () => {
    world = createWorld()
    listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
    world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  it('[XEP0478-b] sends what has just the size that the peer takes, and nothing of one byte more', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const sent = Array.from({ length: 100 }, (_, more) => a.send(message('1', 'x'.repeat(9_860 + more))))
    const refused = Promise.all(
      sent.map(each =>
        each.then(
          () => [],
          (error: unknown) => [String(error)]
        )
      )
    )
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    const other = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>"
    peer.sendFeatures({ dialback: 'with-errors', other })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    const messages = (await world.run(refused)).flat()
    assert.match(messages[0] ?? '', /\b10001 bytes\b.*\b10000\b/)
    const sizes: number[] = []
    while (sizes.length < sent.length - messages.length) {
      const frame = await peer.next()
      assert.equal(frame?.kind, 'element')
      sizes.push(frame.size)
    }
    assert.equal(sizes.at(-1), 10_000)
    await peer.expectNothing()
    peer.close()
  })

  it('[XEP0478-b] refuses what is too large for the peer, and goes on with the rest; a limit that is too small is a warning', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const warnings: string[] = []
    a.on('warning', ({ error }) => warnings.push(error.message))
    const sent = [message('1'), message('2', 'x'.repeat(20_000)), message('3')].map(each => a.send(each))
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({
      dialback: 'with-errors',
      other: `<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>9999</max-bytes><idle-seconds>abc</idle-seconds></limits>`
    })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await peer.expect('message', undefined, { id: '1' })
    await peer.expect('message', undefined, { id: '3' })
    const error = await rejection(sent[1] ?? Promise.resolve())
    assert.deepEqual([error.code, error.stanzaCondition, error.stanzaErrorType], ['S2S_TOO_LARGE', 'policy-violation', 'modify'])
    assert.equal(a.links().length, 1)
    assert.equal(warnings.filter(warning => warning.includes('b.example takes no stanza of more than 9999 bytes')).length, 1)
    peer.close()
  })

  it('[RFC6120-10.4.3-a] refuses for good what is too large ever to wait, and says so', async () => {
    const a = await world.engine('a.example', { policy: inClear, limits: { queuedBytes: 1000 } })
    const waiting = a.send(message('1'))
    const error = await rejection(a.send(message('2', 'x'.repeat(1000))))
    assert.deepEqual(
      [error.code, error.temporary, error.stanzaCondition, error.stanzaErrorType],
      ['S2S_TOO_LARGE', false, 'policy-violation', 'modify']
    )
    assert.match(error.message, /^The stanza is too large: \d{4} bytes, and the queue of a pair takes 1000 \(limits\.queuedBytes\)\.$/)
    const stopped = rejection(waiting)
    await world.run(a.stop())
    assert.equal((await stopped).code, 'S2S_STOPPED')
  })

  it('lets no stanza wait longer than the queue allows, and keeps the younger ones', async () => {
    const a = await world.engine('a.example', { policy: inClear, timeouts: { queue: 5000 } })
    const old = rejection(a.send(message('1')))
    await world.clock.settle()
    await world.clock.advance(3000)
    const young = a.send(message('2'))
    await world.clock.advance(2001)
    const error = await old
    assert.equal(error.code, 'S2S_TIMEOUT')
    assert.match(error.message, /5000 ms/)
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    await peer.expect('message', undefined, { id: '2' })
    assert.equal(await world.run(young), 'written')
    peer.close()
  })

  it('keeps the age of what is sent by whoever is told of a failure', async () => {
    const refused = world.network.refuse('192.0.2.200')
    const a = await world.engine('a.example', { policy: inClear, timeouts: { queue: 5000, connect: 60_000, negotiation: 60_000 } })
    let again: Promise<FederationError> | undefined
    a.on('stanza-bounced', () => {
      if (again !== undefined) return
      refused.lift()
      world.network.blackHole('192.0.2.200')
      a.retryNow('b.example')
      again = rejection(a.send(message('2')))
    })
    assert.equal((await world.run(rejection(a.send(message('1'))))).code, 'S2S_CONNECT_FAILED')
    const began = world.clock.now()
    const error = await world.run(again ?? assert.fail('nobody was told'))
    assert.equal(error.code, 'S2S_TIMEOUT')
    assert.match(error.message, /5000 ms/)
    assert.ok(world.clock.now() - began <= 5_001, `${world.clock.now() - began} ms`)
  })

  it('waits its turn when as many negotiations are under way as may be', async () => {
    const a = await world.engine('a.example', { policy: inClear, limits: { negotiations: 1 } })
    world.network.zone.server('c.example', { addresses: ['192.0.2.200'] })
    void a.send(message('1'))
    const second = a.connect(pairOf('a.example', 'c.example'))
    const first = await listener.accept()
    await first.expectHeader({ to: 'b.example' })
    await world.clock.settle()
    assert.equal(listener.waiting, 0)
    first.reset()
    const next = await listener.accept()
    await next.expectHeader({ to: 'c.example' })
    next.reset()
    await world.run(rejection(second))
  })

  it('begins no more negotiations in a second than it may, and all of them in their turn', async () => {
    const a = await world.engine('a.example', { policy: inClear, limits: { dialsPerSecond: 10 } })
    const pairs = Array.from({ length: 25 }, (_, i) => pairOf('a.example', `to${i}.example`))
    for (const { target } of pairs) world.network.zone.server(target, { addresses: ['192.0.2.200'] })
    const began: number[] = []
    a.on('negotiation-started', () => began.push(world.clock.now()))
    listener.serve(async peer => {
      await peer.expectHeader()
      peer.reset()
    })
    const start = world.clock.now()
    await world.run(Promise.all(pairs.map(pair => rejection(a.connect(pair)))))
    assert.equal(began.length, 25)
    assert.equal(began.filter(at => at === start).length, 10, "a second's worth at once")
    for (const since of began) assert.ok(began.filter(at => at > since && at <= since + 1000).length <= 10)
  })

  it('sends nobody through any more when the engine stops, and leaves no timer', async () => {
    const a = await world.engine('a.example', { policy: inClear, limits: { dialsPerSecond: 1 } })
    world.network.zone.server('c.example', { addresses: ['192.0.2.200'] })
    const both = [rejection(a.connect(pairOf('a.example', 'b.example'))), rejection(a.connect(pairOf('a.example', 'c.example')))]
    await world.clock.settle()
    await world.run(a.stop())
    assert.deepEqual(
      (await Promise.all(both)).map(error => error.code),
      ['S2S_STOPPED', 'S2S_STOPPED']
    )
  })

  it('bounces what waits for a peer that takes its proof and then nothing, instead of dialling it without end', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    let links = 0
    a.on('link-established', () => (links += 1))
    listener.serve(async peer => {
      await peer.expectHeader()
      peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
      peer.sendFeatures({ dialback: 'with-errors' })
      await peer.expect('result')
      peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
      peer.sendStreamError('resource-constraint')
      peer.reset()
    })
    const sent = Array.from({ length: 5 }, (_, i) => rejection(a.send(message(`${i}`))))
    const codes = new Set((await world.run(Promise.all(sent))).map(({ code }) => code))
    assert.ok(links >= 1 && links <= 2, `${links} links`)
    assert.ok(
      [...codes].every(code => ['S2S_STREAM_ERROR_RECEIVED', 'S2S_STREAM_CLOSED', 'S2S_IN_DOUBT'].includes(code)),
      [...codes].join()
    )
  })

  it('is forgotten when there are many, if nothing would be lost by it', async () => {
    world.network.blackHole('192.0.2.200')
    const a = await world.engine('a.example', {
      policy: inClear,
      timeouts: { connect: 10_000_000, negotiation: 10_000_000, queue: 10_000_000 }
    })
    const waiting = rejection(a.send(message('1')))
    const many = Array.from({ length: 1_100 }, (_, i) => new Element('message', { from: 'x@a.example', to: `y@to${i}.example` }))
    const failed = many.map(each => rejection(a.send(each)))
    await world.clock.advance(60_000)
    assert.deepEqual([...new Set((await Promise.all(failed)).map(({ code }) => code))], ['S2S_DNS_NO_SERVICE'])
    assert.ok(a.routes().length > 1_000, 'they are still bounced')
    await world.clock.advance(600_000)
    const more = Array.from({ length: 1_100 }, (_, i) =>
      rejection(a.send(new Element('message', { from: 'x@a.example', to: `y@more${i}.example` })))
    )
    await world.clock.advance(60_000)
    await Promise.all(more)
    assert.ok(a.routes().length <= 2_000, `${a.routes().length} routes`)
    assert.ok(a.routes().some(({ pair, stanzas }) => pair.target === 'b.example' && stanzas === 1))
    await world.run(a.stop())
    assert.equal((await waiting).code, 'S2S_STOPPED')
  })

  it('says that it does not know, of what was handed to the socket when the connection broke; nothing else is in doubt', async () => {
    const a = await world.engine('a.example', { policy: inClear })
    const sent = a.send(message('1'))
    const peer = await listener.accept()
    await peer.expectHeader()
    peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result')
    peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    assert.equal(await world.run(sent), 'written')
    // The socket is given the first three, and says that it broke; by the time of the others it is known to be gone.
    const handed = ['2', '3', '4'].map(id => a.send(message(id)))
    peer.reset()
    const later = new Promise<readonly Promise<unknown>[]>(resolve => {
      setImmediate(() => setImmediate(() => resolve(['5', '6'].map(id => a.send(message(id))))))
    })
    listener.serve(async again => {
      await again.expectHeader()
      again.reset()
    })
    const ends = await world.run(Promise.allSettled([...handed, ...(await later)]))
    const codes = ends.map(end => (end.status === 'fulfilled' ? end.value : FederationError.from(end.reason).code))
    assert.deepEqual(codes, ['S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_IN_DOUBT', 'S2S_STREAM_CLOSED', 'S2S_STREAM_CLOSED'])
  })
})
