import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Duplex } from 'node:stream'
import type { Listener, SocketAddress } from '../../lib/model/plugs.ts'
import { formatAddress, tcpTransport } from '../../lib/transport/tcp.ts'
import { gone, readAll, rejection } from './connections.ts'

const tcp = tcpTransport()
const never = new AbortController().signal
const hasIpv6 = Object.values(networkInterfaces()).some(each => each?.some(({ address }) => address === '::1'))

interface Accepted {
  readonly connection: Duplex
  readonly from: SocketAddress
}

async function listening(host: string): Promise<{ listener: Listener; accepted: Promise<Accepted> }> {
  let accept: (accepted: Accepted) => void = () => undefined
  const accepted = new Promise<Accepted>(resolve => (accept = resolve))
  const listener = await tcp.listen({ host, port: 0 }, (connection, from) => accept({ connection, from }))
  return { listener, accepted }
}

describe('the TCP transport', () => {
  for (const host of hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1'])
    it(`dials and accepts on ${host}`, async () => {
      const { listener, accepted } = await listening(host)
      const ours = await tcp.connect(listener, { signal: never })
      const { connection, from } = await accepted
      assert.equal(from.address, host)
      connection.end('<stream:stream>')
      assert.equal(await readAll(ours), '<stream:stream>')
      await gone(connection)
      await listener.close()
    })

  it('tells of IPv4 peers by their IPv4 address, on an IPv6 listener that takes them too', async function () {
    if (!hasIpv6) this.skip()
    const { listener, accepted } = await listening('::ffff:127.0.0.1')
    const ours = await tcp.connect({ address: '127.0.0.1', port: listener.port }, { signal: never })
    const { connection, from } = await accepted
    assert.equal(from.address, '127.0.0.1')
    ours.destroy()
    connection.resume()
    await gone(connection)
    await listener.close()
  })

  it('rejects when nobody listens, with the address and the reason', async () => {
    const { listener } = await listening('127.0.0.1')
    await listener.close()
    const error = await rejection(tcp.connect(listener, { signal: never }))
    assert.equal(error.code, 'S2S_CONNECT_FAILED')
    assert.equal(error.detail, `127.0.0.1:${listener.port} ECONNREFUSED`)
  })

  it('dials no names, which something else would resolve, and no impossible ports', async () => {
    for (const to of [
      { address: 'localhost', port: 5269 },
      { address: '127.1', port: 5269 },
      { address: '127.0.0.1', port: 0 },
      { address: '127.0.0.1', port: 65_536 }
    ])
      assert.equal((await rejection(tcp.connect(to, { signal: never }))).code, 'S2S_CONNECT_FAILED')
  })

  it('stops dialling with its signal', async () => {
    const { listener } = await listening('127.0.0.1')
    const aborted = new AbortController()
    const failed = rejection(tcp.connect(listener, { signal: aborted.signal }))
    aborted.abort()
    assert.equal((await failed).code, 'S2S_ABORTED')
    assert.equal((await rejection(tcp.connect(listener, { signal: aborted.signal }))).code, 'S2S_ABORTED')
    await listener.close()
  })

  it('hears errors of sockets that nobody owns yet', async () => {
    const { listener, accepted } = await listening('127.0.0.1')
    const raw = connect(listener.port, '127.0.0.1')
    const { connection } = await accepted
    assert.ok(connection.listenerCount('error') > 0)
    connection.resume()
    raw.resetAndDestroy()
    await gone(connection)
    await listener.close()
  })

  it('frees the port of a closed listener at once, and leaves its connections alone', async () => {
    const { listener, accepted } = await listening('127.0.0.1')
    const ours = await tcp.connect(listener, { signal: never })
    const { connection } = await accepted
    await listener.close()
    const again = await tcp.listen({ host: listener.address, port: listener.port }, () => undefined)
    connection.write('still here')
    const [chunk] = (await once(ours, 'data')) as [Buffer]
    assert.equal(chunk.toString(), 'still here')
    ours.destroy()
    connection.destroy()
    await again.close()
  })

  it('says what is wrong with an address that cannot be listened on', async () => {
    const { listener } = await listening('127.0.0.1')
    const taken = await rejection(tcp.listen({ host: '127.0.0.1', port: listener.port }, () => undefined))
    assert.equal(taken.code, 'S2S_CONFIG')
    assert.equal(taken.detail, `cannot listen on 127.0.0.1:${listener.port} (EADDRINUSE)`)
    await listener.close()
  })

  it('writes addresses as they are read', () => {
    assert.deepEqual(
      [formatAddress({ address: '192.0.2.1', port: 1 }), formatAddress({ address: '2001:db8::1', port: 2 })],
      ['192.0.2.1:1', '[2001:db8::1]:2']
    )
  })
})
