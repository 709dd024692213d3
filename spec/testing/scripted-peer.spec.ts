import assert, { AssertionError } from 'node:assert/strict'
import { FederationError } from '../../lib/errors.ts'
import type { Tls, Transport } from '../../lib/model/plugs.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import { authOf, saslFailureOf, SUCCESS } from '../../lib/testing/peer-xml.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import type { PeerOptions } from '../../lib/testing/peer-options.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { tcpTransport } from '../../lib/transport/tcp.ts'
import { nodeTls } from '../../lib/transport/tls.ts'
import { NS_SASL, NS_STREAM_ERRORS } from '../../lib/xml/namespaces.ts'

const authority = createAuthority()
const VERONA = { from: 'verona.example', to: 'padua.example' }
const PADUA = { from: 'padua.example', to: 'verona.example' }

interface Carrier {
  readonly name: string
  transports(): readonly [ours: Transport, theirs: Transport, host: string]
  readonly tls: Tls
}

const memory = (tls: Tls, name: string): Carrier => ({
  name,
  tls,
  transports: () => {
    const network = createNetwork()
    return [network.transportFor('192.0.2.1'), network.transportFor('192.0.2.2'), '192.0.2.2']
  }
})
const CARRIERS = [
  memory(simulatedTls(), 'the in-memory network and simulated TLS'),
  memory(nodeTls(), 'the in-memory network and node:tls'),
  { name: 'TCP and node:tls', tls: nodeTls(), transports: () => [tcpTransport(), tcpTransport(), '127.0.0.1'] as const }
]
const inMemory = memory(simulatedTls(), '')

async function peers(
  carrier: Carrier,
  run: (initiating: ScriptedPeer, receiving: ScriptedPeer) => Promise<void>,
  options: PeerOptions & { readonly direct?: boolean } = {}
): Promise<void> {
  const [ours, theirs, host] = carrier.transports()
  const { direct = false, ...rest } = options
  const common = { tls: carrier.tls, ...rest }
  const receivingOptions = { ...common, credentials: authority.issue('padua.example') }
  const listener = await listenForPeers(theirs, { host, port: 0 }, direct ? { ...receivingOptions, direct: {} } : receivingOptions)
  const initiatingOptions = { ...common, credentials: authority.issue('verona.example') }
  const dialling = dialPeer(ours, listener, direct ? { ...initiatingOptions, direct: { servername: 'padua.example' } } : initiatingOptions)
  const [initiating, receiving] = await Promise.all([dialling, listener.accept()])
  try {
    await run(initiating, receiving)
  } finally {
    initiating.connection.destroy()
    receiving.connection.destroy()
    await listener.close()
  }
}

const failsWith = (pattern: RegExp) => (error: unknown) => error instanceof AssertionError && pattern.test(error.message)

for (const carrier of CARRIERS)
  describe(`scripted peers over ${carrier.name}`, () => {
    it('play a whole negotiation: header, features, STARTTLS, EXTERNAL, restart, stanza, end', async () => {
      await peers(carrier, async (initiating, receiving) => {
        initiating.sendHeader(VERONA)
        await receiving.expectHeader({ ...VERONA, version: '1.0', id: undefined })
        receiving.sendHeader({ ...PADUA, id: 'a1' })
        receiving.sendFeatures({ starttls: 'required', dialback: 'with-errors' })
        await initiating.expectHeader({ ...PADUA, id: 'a1' })
        const clear = await initiating.expectFeatures()
        assert.deepEqual([clear.starttls, clear.dialback, clear.dialbackErrors, clear.mechanisms], ['required', true, true, []])

        const [ours, theirs] = await Promise.all([initiating.startTls({ servername: 'padua.example' }), receiving.acceptStartTls()])
        assert.deepEqual([ours.chain.length, theirs.chain.length, theirs.servername, ours.alpn], [1, 1, 'padua.example', 'xmpp-server'])

        initiating.sendHeader(VERONA)
        await receiving.expectHeader(VERONA)
        receiving.sendHeader({ ...PADUA, id: 'b2' })
        receiving.sendFeatures({ mechanisms: ['EXTERNAL'], bidi: true })
        await initiating.expectHeader({ id: 'b2' })
        assert.deepEqual((await initiating.expectFeatures()).mechanisms, ['EXTERNAL'])
        initiating.send(authOf('EXTERNAL', 'verona.example'))
        const auth = await receiving.expect('auth', NS_SASL, { mechanism: 'EXTERNAL' })
        assert.equal(Buffer.from(auth.getText(), 'base64').toString(), 'verona.example')
        receiving.send(SUCCESS)
        await initiating.expect('success', NS_SASL)
        for (const peer of [initiating, receiving]) peer.restart()

        initiating.sendHeader(VERONA)
        await receiving.expectHeader(VERONA)
        initiating.send("<message from='romeo@verona.example' to='juliet@padua.example'><body>hark</body></message>")
        const message = await receiving.expect('message', 'jabber:server', { type: undefined })
        assert.equal(message.getChildText('body'), 'hark')
        initiating.close()
        await receiving.expectClose()
        assert.equal(await receiving.expectEnd(), 'fin')
      })
    })

    it('begin with TLS where it is direct', async () => {
      await peers(
        carrier,
        async (initiating, receiving) => {
          assert.equal(receiving.secured?.servername, 'padua.example')
          initiating.sendHeader(VERONA)
          await receiving.expectHeader(VERONA)
        },
        { direct: true }
      )
    })

    it('break a connection, inside TLS too', async () => {
      await peers(carrier, async (initiating, receiving) => {
        receiving.reset()
        assert.equal(await initiating.expectEnd(), 'reset')
      })
      await peers(
        carrier,
        async (initiating, receiving) => {
          receiving.reset()
          await initiating.expectEnd()
        },
        { direct: true }
      )
    })
  })

describe('a scripted peer', () => {
  it('sends bytes as they are, in whatever pieces', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      receiving.send('<str')
      receiving.send(Buffer.from("eam:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='x'>"))
      assert.equal((await initiating.expectHeader({ id: 'x', from: undefined })).version, undefined)
    })
  })

  it('says what it expected, what came instead, and what had happened until then', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      initiating.sendHeader(VERONA)
      await receiving.expectHeader()
      receiving.sendHeader(PADUA)
      initiating.send(saslFailureOf('not-authorized', 'who\u202e are you?'))
      await assert.rejects(
        receiving.expect('auth', NS_SASL, { mechanism: 'EXTERNAL' }),
        failsWith(
          /^expected <auth\/> in urn:\S+ \(mechanism='EXTERNAL'\), got <failure [^\n]*\n← <\?xml[^\n]*\n→ <\?xml[^\n]*\n← <failure [^\n]*\\u\{202e\} are you[^\n]*$/
        )
      )
    })
  })

  const others: readonly [string, (peer: ScriptedPeer) => void, (peer: ScriptedPeer) => Promise<unknown>, RegExp][] = [
    ['a header where an element has to be', peer => peer.sendHeader(VERONA), peer => peer.expect('auth'), /got a stream header/],
    ['another namespace', peer => peer.send("<auth xmlns='urn:other'/>"), peer => peer.expect('auth', NS_SASL), /expected <auth\/> in/],
    ['another attribute', peer => peer.send("<a x='1'/>"), peer => peer.expect('a', undefined, { x: '2' }), /x='2'/],
    ['an attribute too many', peer => peer.send("<a x='1'/>"), peer => peer.expect('a', undefined, { x: undefined }), /without x/],
    ['the closing tag', peer => peer.send('</stream:stream>'), peer => peer.expect('a'), /got the closing tag/],
    ['an end', peer => peer.hangUp(), peer => peer.expect('a'), /got the end of the connection/],
    ['a reset', peer => peer.reset(), peer => peer.expect('a'), /got a reset/],
    [
      'an element where the end has to be',
      peer => peer.send('<a/>'),
      peer => peer.expectEnd(),
      /expected the end of the connection, got <a/
    ],
    [
      'an element where the closing tag has to be',
      peer => peer.send('<a/>'),
      peer => peer.expectClose(),
      /expected the closing tag, got <a/
    ],
    ['an element where nothing has to be', peer => peer.send('<a/>'), peer => peer.expectNothing(), /expected nothing, got <a/],
    ['an end where nothing has to be', peer => peer.hangUp(), peer => peer.expectNothing(), /expected nothing, got the end/],
    [
      'another stream error',
      peer => peer.sendStreamError('host-unknown'),
      peer => peer.expectStreamError('not-authorized'),
      /host-unknown/
    ],
    ['what is not well-formed', peer => peer.send('<a></b>'), peer => peer.expect('a'), /not well-formed/]
  ]
  for (const [what, send, expect, message] of others)
    it(`fails on ${what}`, async () => {
      await peers(inMemory, async (initiating, receiving) => {
        if (!what.startsWith('a header')) {
          initiating.sendHeader(VERONA)
          await receiving.expectHeader()
        }
        send(initiating)
        await assert.rejects(expect(receiving), failsWith(message))
      })
    })

  it('fails on another header', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      initiating.sendHeader(VERONA)
      await assert.rejects(receiving.expectHeader({ to: 'mantua.example' }), failsWith(/expected a stream header \(to='mantua.example'\)/))
    })
  })

  it('takes a stream error with its condition', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      receiving.sendHeader(PADUA)
      receiving.sendStreamError('not-authorized', 'who are you?')
      await initiating.expectHeader()
      const error = await initiating.expectStreamError('not-authorized')
      assert.equal(error.getChildText('text', NS_STREAM_ERRORS), 'who are you?')
      assert.equal(await initiating.expectEnd(), 'fin')
    })
  })

  it('waits no longer than its deadline, on the clock it was given', async () => {
    const clock = createTestClock()
    await peers(
      inMemory,
      async initiating => {
        await assert.rejects(clock.run(initiating.expectHeader()), failsWith(/expected a stream header, got nothing in time/))
        assert.equal(clock.pendingTimers, 0)
      },
      { clock, deadline: 60_000 }
    )
  })

  it('waits on real time by default', async () => {
    await peers(inMemory, initiating => assert.rejects(initiating.expectHeader(), failsWith(/got nothing in time/)), { deadline: 20 })
  })

  it('sees that nothing comes', async () => {
    await peers(inMemory, async initiating => await initiating.expectNothing())
  })

  it('refuses to begin TLS, or to restart, where bytes are left over', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      initiating.sendHeader(VERONA)
      await receiving.expectHeader()
      initiating.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:stream")
      await assert.rejects(receiving.acceptStartTls(), failsWith(/left over in clear where TLS has to begin/))
    })
  })

  it('passes on why a handshake failed', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      initiating.send('no handshake')
      await assert.rejects(
        receiving.secure('receiving'),
        (error: unknown) => FederationError.is(error) && error.code === 'S2S_TLS_HANDSHAKE'
      )
      assert.match(receiving.transcript, /^= no TLS: The TLS handshake failed/)
    })
  })

  it('does not read what its script does not expect, so that the other side is pushed back', async () => {
    await peers(inMemory, async (initiating, receiving) => {
      initiating.sendHeader(VERONA)
      await receiving.expectHeader()
      for (let sent = 0; sent < 200; sent += 1) initiating.send(`<message><body>${'x'.repeat(1000)}</body></message>`)
      await receiving.expect('message')
      assert.ok(initiating.connection.writableLength > 100_000)
    })
  })
})

describe('a listener for scripted peers', () => {
  const at = { host: '192.0.2.2', port: 5269 }

  it('hands out connections in order, and says how many are waiting', async () => {
    const network = createNetwork()
    const listener = await listenForPeers(network.transportFor(at.host), at)
    const dial = (): Promise<ScriptedPeer> => dialPeer(network.transportFor('192.0.2.1'), listener)
    for (const from of ['one.example', 'two.example']) (await dial()).sendHeader({ from })
    const accepted = [await listener.accept(), await listener.accept()]
    assert.equal(listener.waiting, 0)
    for (const [index, from] of ['one.example', 'two.example'].entries()) await accepted[index]?.expectHeader({ from })
    const both = Promise.all([listener.accept(), listener.accept()])
    await Promise.all([dial(), dial()])
    assert.equal((await both).length, 2)
  })

  it('waits no longer than its deadline for a connection', async () => {
    const listener = await listenForPeers(createNetwork().transportFor(at.host), at, { deadline: 10 })
    await assert.rejects(listener.accept(), (error: unknown) => FederationError.is(error) && error.code === 'S2S_TIMEOUT')
  })

  it('plays a script with each connection, and tells of the first that failed', async () => {
    const network = createNetwork()
    const listener = await listenForPeers(network.transportFor(at.host), at)
    const dial = (): Promise<ScriptedPeer> => dialPeer(network.transportFor('192.0.2.1'), listener)
    const early = await dial()
    listener.serve(async peer => {
      const { from } = await peer.expectHeader()
      peer.sendHeader({ id: from })
    })
    for (const peer of [early, await dial()]) {
      peer.sendHeader({ from: 'x.example' })
      await peer.expectHeader({ id: 'x.example' })
    }
    const silent = await dial()
    silent.hangUp()
    await silent.expectEnd()
    await assert.rejects(listener.close(), failsWith(/expected a stream header, got the end of the connection/))
  })
})
