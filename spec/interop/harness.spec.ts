import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { ENGINE, openProsodyLab, suiteProsodyLab } from './lab.ts'
import { DOMAIN } from './server.ts'

const PROSODY = DOMAIN.prosody

describe('a real Prosody', () => {
  const lab = suiteProsodyLab({ variant: 'default' })

  it('finds a domain through our DNS server and dials it', async () => {
    const listener = createServer().listen(0, '127.0.0.1')
    await once(listener, 'listening')
    lab().publish(ENGINE, listener.address() as AddressInfo)
    const dialled = once(listener, 'connection')
    const answer = lab().server.shell(`xmpp:ping("${PROSODY}", "${ENGINE}", 1)`)
    const [connection] = (await dialled) as [Socket]
    connection.on('error', () => undefined)
    const [header] = (await once(connection, 'data')) as [Buffer]
    assert.match(header.toString(), /^<\?xml version='1\.0'\?><stream:stream [^>]*from='prosody\.test'/)
    assert.match(header.toString(), /to='engine\.test'/)
    assert.deepEqual(
      lab().dns.queries.map(({ name, type }) => `${name} ${type}`),
      [`_xmpps-server._tcp.${ENGINE} SRV`, `_xmpp-server._tcp.${ENGINE} SRV`, `host.${ENGINE} A`]
    )
    connection.destroy()
    listener.close()
    assert.match(await answer, /connected/)
  })

  it('speaks through its shell, and ends when it is told to', async () => {
    assert.match(await lab().server.shell('s2s:show()'), /s2s connections shown/)
    const other = await openProsodyLab({ variant: 'plain' })
    await other.close()
    const connection = connect(other.server.port, other.server.address)
    const [error] = (await once(connection, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNREFUSED')
  })
})
