import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { createSecureContext, TLSSocket } from 'node:tls'
import { FederationError } from '../../lib/errors.ts'
import type { Secured, Tls, TlsContext } from '../../lib/model/plugs.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network, NetworkOptions } from '../../lib/testing/network.ts'
import { atRest } from '../../lib/testing/rest.ts'
import type { TlsAlert } from '../../lib/testing/simulated-records.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { isCertificateAlert, nodeTls } from '../../lib/transport/tls.ts'

const authority = createAuthority()
const verona = authority.issue('verona.example', { state: 'unknown-ca' })
const padua = authority.issue('padua.example', { intermediate: true })
const never = new AbortController().signal

/** One kind of TLS under comparison, and a receiving side of the same kind that demands a certificate. */
interface Kind {
  readonly name: string
  readonly tls: Tls
  demand(connection: Duplex): void
}

const simulated: Kind = {
  name: 'simulated',
  tls: simulatedTls(),
  demand: connection => {
    const tls = simulatedTls({ refuses: 'certificate-required' })
    const context = tls.createContext(padua)
    tls.server(connection, { contextFor: () => Promise.resolve(context), signal: never }).catch(() => undefined)
  }
}

const real: Kind = {
  name: 'node',
  tls: nodeTls(),
  demand: connection => {
    const secureContext = createSecureContext({ key: padua.key, cert: padua.cert })
    const socket = new TLSSocket(connection, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: true })
    // A receiving TLSSocket that no tls.Server is around tells of a missing certificate by this event alone.
    socket.on('error', () => undefined).on('_tlsError', () => setImmediate(() => connection.destroy()))
  }
}

interface World {
  readonly kind: Kind
  readonly network: Network
  readonly initiating: Duplex
  readonly receiving: Duplex
  readonly ours: TlsContext
  readonly theirs: TlsContext
}

async function world(kind: Kind, options: NetworkOptions = {}, arrange: (network: Network) => unknown = () => undefined): Promise<World> {
  const network = createNetwork(options)
  arrange(network)
  const accepted: Duplex[] = []
  await network.transportFor('192.0.2.2').listen({ host: '192.0.2.2', port: 5269 }, connection => accepted.push(connection))
  const initiating = await network.transportFor('192.0.2.1').connect({ address: '192.0.2.2', port: 5269 }, { signal: never })
  await atRest()
  const [receiving] = accepted
  assert.ok(receiving)
  return { kind, network, initiating, receiving, ours: kind.tls.createContext(verona), theirs: kind.tls.createContext(padua) }
}

type ClientOptions = Parameters<Tls['client']>[1]
type ServerOptions = Parameters<Tls['server']>[1]

const asClient = ({ kind, initiating, ours }: World, options: Partial<ClientOptions> = {}): Promise<Secured> =>
  kind.tls.client(initiating, { context: ours, servername: 'padua.example', alpn: ['xmpp-server'], signal: never, ...options })

const asServer = ({ kind, receiving, theirs }: World, options: Partial<ServerOptions> = {}): Promise<Secured> =>
  kind.tls.server(receiving, { contextFor: () => Promise.resolve(theirs), signal: never, ...options })

async function secured(at: World, client: Partial<ClientOptions> = {}, server: Partial<ServerOptions> = {}): Promise<[Secured, Secured]> {
  return await Promise.all([asClient(at, client), asServer(at, server)])
}

/** What a handshake gave, as comparable data. */
async function told(result: Promise<Secured>): Promise<unknown> {
  try {
    const { chain, facts, alpn, servername } = await result
    return { chain: chain.map(der => der.toString('base64')), protocol: facts.protocol, alpn, servername }
  } catch (error) {
    assert.ok(FederationError.is(error), String(error))
    return error.code
  }
}

interface Remains {
  readonly text: string
  readonly ended: boolean
  readonly closed: boolean
  readonly alert: boolean
  readonly errored: boolean
}

/** What is left of a duplex, as comparable data once it is asked for. */
function watch(duplex: Duplex): () => Remains {
  let text = ''
  let ended = false
  let error: Error | null = duplex.errored
  duplex.on('data', (chunk: Buffer) => (text += chunk.toString()))
  duplex.on('end', () => (ended = true))
  duplex.on('error', happened => (error = happened))
  return () => ({
    text: text.length > 60 ? `${text.length} bytes, ${new Set(text).size} of them different` : text,
    ended,
    closed: duplex.destroyed,
    alert: isCertificateAlert(error),
    errored: error !== null
  })
}

async function outcome(at: World, ...results: readonly Promise<unknown>[]): Promise<unknown> {
  const values = await Promise.all(results)
  await atRest()
  return { values, initiatingGone: at.initiating.destroyed, receivingGone: at.receiving.destroyed, wires: at.network.wires.length }
}

/** What the duplexes of a finished handshake show after something was done to them. */
async function afterwards(at: World, happen: (ours: Secured, theirs: Secured) => void | Promise<void>): Promise<unknown> {
  const [ours, theirs] = await secured(at)
  const [here, there] = [watch(ours.duplex), watch(theirs.duplex)]
  await happen(ours, theirs)
  return [await outcome(at), here(), there()]
}

const failing = new FederationError('S2S_CONFIG', { detail: 'the key is gone' })

const SCENARIOS: Readonly<Record<string, (at: World) => Promise<unknown>>> = {
  'a handshake': at => outcome(at, told(asClient(at)), told(asServer(at))),
  'no certificate of the initiating side': at => outcome(at, told(asClient(at, { context: undefined })), told(asServer(at))),
  'no ALPN': at => outcome(at, told(asClient(at, { alpn: [] })), told(asServer(at))),
  'ALPN that offers others too': at => outcome(at, told(asClient(at, { alpn: ['h2', 'xmpp-server'] })), told(asServer(at))),
  'ALPN without xmpp-server': at => outcome(at, told(asClient(at, { alpn: ['xmpp-client'] })), told(asServer(at))),
  'an address as server name': at => outcome(at, told(asClient(at, { servername: '192.0.2.2' })), told(asServer(at))),
  'what is asked of the key store': async at => {
    const asked: (string | undefined)[] = []
    const contextFor = (name: string | undefined): Promise<TlsContext> => {
      asked.push(name)
      return Promise.resolve(at.theirs)
    }
    return [await outcome(at, told(asClient(at)), told(asServer(at, { contextFor }))), asked]
  },
  'nothing to show': at => outcome(at, told(asClient(at)), told(asServer(at, { contextFor: () => Promise.resolve(undefined) }))),
  'a key store that fails': at => outcome(at, told(asClient(at)), told(asServer(at, { contextFor: () => Promise.reject(failing) }))),
  'a key store that has nothing unnamed, but what is asked for': at =>
    outcome(
      at,
      told(asClient(at)),
      told(asServer(at, { contextFor: name => Promise.resolve(name === undefined ? undefined : at.theirs) }))
    ),
  'bytes in clear where the ClientHello has to be': async at => {
    at.initiating.write("<stream:stream xmlns='jabber:server'>")
    return await outcome(at, told(asServer(at)))
  },
  'bytes in clear where the ServerHello has to be': async at => {
    at.receiving.write('<stream:features/>')
    return await outcome(at, told(asClient(at)))
  },
  'a FIN instead of the ClientHello': async at => {
    at.initiating.end()
    return await outcome(at, told(asServer(at)))
  },
  'a FIN instead of the ServerHello': async at => {
    at.receiving.resume().end()
    return await outcome(at, told(asClient(at)))
  },
  'a reset instead of the ServerHello': async at => {
    at.receiving.destroy()
    return await outcome(at, told(asClient(at)))
  },
  'a reset instead of the ClientHello': async at => {
    at.initiating.destroy()
    return await outcome(at, told(asServer(at)))
  },
  'a connection that is gone': async at => {
    at.initiating.destroy()
    at.receiving.destroy()
    await atRest()
    return await outcome(at, told(asClient(at)), told(asServer(at)))
  },
  'a deadline that was over before': async at => {
    const reason = new FederationError('S2S_TIMEOUT')
    return await outcome(
      at,
      told(asClient(at, { signal: AbortSignal.abort(reason) })),
      told(asServer(at, { signal: AbortSignal.abort(reason) }))
    )
  },
  'a deadline in the middle': async at => {
    const deadline = new AbortController()
    const asking = told(asClient(at, { signal: deadline.signal }))
    await atRest()
    deadline.abort(new FederationError('S2S_TIMEOUT'))
    return await outcome(at, asking)
  },
  'a deadline while the key store thinks': async at => {
    const deadline = new AbortController()
    const asking = told(asServer(at, { signal: deadline.signal, contextFor: () => new Promise(() => undefined) }))
    await atRest()
    deadline.abort()
    return await outcome(at, asking)
  },
  'a signal that is aborted when all is done': async at => {
    const deadline = new AbortController()
    const [ours] = await secured(at, { signal: deadline.signal }, { signal: deadline.signal })
    deadline.abort()
    await atRest()
    return ours.duplex.destroyed
  },
  'a certificate demanded by a peer that gets none': async at => {
    at.kind.demand(at.receiving)
    const ours = await asClient(at, { context: undefined })
    const seen = watch(ours.duplex)
    await atRest()
    return [await outcome(at), seen()]
  },
  'plaintext both ways': at =>
    afterwards(at, (ours, theirs) => {
      ours.duplex.write('two households')
      theirs.duplex.write('both alike ')
      theirs.duplex.write('in dignity')
    }),
  'plaintext that needs many records': at => afterwards(at, ours => void ours.duplex.write('x'.repeat(100_000))),
  'an end, answered by an end': at => afterwards(at, ours => void ours.duplex.end('farewell')),
  'an end of the receiving side': at => afterwards(at, (_ours, theirs) => void theirs.duplex.end('farewell')),
  'what was sent before an end was seen': at =>
    afterwards(at, (ours, theirs) => {
      theirs.duplex.write('y'.repeat(50_000))
      ours.duplex.end()
    }),
  'a destroyed initiating side': at => afterwards(at, ours => void ours.duplex.destroy()),
  'a destroyed receiving side': at => afterwards(at, (_ours, theirs) => void theirs.duplex.destroy()),
  'a reset beneath': at => afterwards(at, () => at.network.wires[0]?.reset()),
  'a FIN beneath, without close_notify': at => afterwards(at, () => at.network.wires[0]?.finish('receiving')),
  'bytes in clear from the initiating side': at => afterwards(at, () => void at.initiating.write('<message/>')),
  'bytes in clear from the receiving side': at => afterwards(at, () => void at.receiving.write('<message/>'))
}

describe('simulated TLS', () => {
  for (const [name, scenario] of Object.entries(SCENARIOS))
    it(`shows what node:tls shows: ${name}`, async () => {
      const [pretended, meant] = [await scenario(await world(simulated)), await scenario(await world(real))]
      assert.deepEqual(pretended, meant)
    })

  const refusing = async (at: World, protocol: 'TLS 1.2' | 'TLS 1.3', refuses: TlsAlert): Promise<Secured> => {
    const tls = simulatedTls({ protocol, refuses })
    const context = tls.createContext(padua)
    tls.server(at.receiving, { contextFor: () => Promise.resolve(context), signal: never }).catch(() => undefined)
    return await asClient(at)
  }

  for (const alert of [
    'bad-certificate',
    'unsupported-certificate',
    'certificate-revoked',
    'certificate-expired',
    'certificate-unknown',
    'unknown-ca',
    'access-denied'
  ] as const) {
    it(`[ENG-CERT-b] refuses our certificate with ${alert}, under TLS 1.2 in the handshake`, async () => {
      const at = await world(simulated)
      assert.equal(await told(refusing(at, 'TLS 1.2', alert)), 'S2S_CERTIFICATE_REFUSED')
      await atRest()
      assert.equal(at.network.wires.length, 0)
    })

    it(`[ENG-CERT-b] refuses our certificate with ${alert}, under TLS 1.3 after it`, async () => {
      const at = await world(simulated)
      const seen = watch((await refusing(at, 'TLS 1.3', alert)).duplex)
      await atRest()
      assert.deepEqual([seen().alert, seen().closed, at.network.wires.length], [true, true, 0])
    })
  }

  it('refuses the certificate of the receiving side, which then knows that it was refused', async () => {
    const at = await world(simulated)
    const tls = simulatedTls({ refuses: 'unknown-ca' })
    const client = tls.client(at.initiating, { context: undefined, servername: 'padua.example', alpn: [], signal: never })
    assert.deepEqual(await Promise.all([told(client), told(asServer(at))]), ['S2S_TLS_HANDSHAKE', 'S2S_CERTIFICATE_REFUSED'])
  })

  it('cannot refuse a certificate of ours that it was not shown', async () => {
    const at = await world(simulated)
    const tls = simulatedTls({ protocol: 'TLS 1.2', refuses: 'bad-certificate' })
    const context = tls.createContext(padua)
    tls.server(at.receiving, { contextFor: () => Promise.resolve(context), signal: never }).catch(() => undefined)
    assert.equal(await told(asClient(at, { context: undefined })), 'S2S_TLS_HANDSHAKE')
  })

  it('does not take another alert for a refusal of our certificate', async () => {
    const at = await world(simulated)
    assert.equal(await told(refusing(at, 'TLS 1.2', 'internal-error')), 'S2S_TLS_HANDSHAKE')
  })

  it('finds out about bytes in clear between its records', async () => {
    for (const noise of ['<presence/>', Buffer.from([23, 3, 3, 255, 255]), Buffer.from([23, 2, 0, 0, 1, 65])]) {
      const at = await world(simulated)
      const [ours] = await secured(at)
      const seen = watch(ours.duplex)
      at.receiving.write(noise)
      await atRest()
      assert.deepEqual([seen().text, seen().errored, seen().closed], ['', true, true])
    }
  })

  it('fails a handshake with node:tls, in either role', async () => {
    const client = await world(simulated)
    assert.deepEqual(
      await Promise.all([told(asClient(client)), told(asServer({ ...client, kind: real, theirs: real.tls.createContext(padua) }))]),
      ['S2S_TLS_HANDSHAKE', 'S2S_TLS_HANDSHAKE']
    )
    const server = await world(simulated)
    assert.deepEqual(
      await Promise.all([told(asClient({ ...server, kind: real, ours: real.tls.createContext(verona) })), told(asServer(server))]),
      ['S2S_TLS_HANDSHAKE', 'S2S_TLS_HANDSHAKE']
    )
  })

  it('carries chains longer than a record', async () => {
    const at = await world(simulated)
    const long = simulated.tls.createContext({ key: verona.key, cert: verona.cert.toString().repeat(30) })
    const [, theirs] = await secured(at, { context: long })
    assert.equal(theirs.chain.length, 60)
    assert.deepEqual(theirs.chain, long.chain)
  })

  it('works one byte at a time', async () => {
    const at = await world(simulated, { segment: 1 })
    const [ours, theirs] = await secured(at)
    const [here, there] = [watch(ours.duplex), watch(theirs.duplex)]
    ours.duplex.write('one household')
    theirs.duplex.end('the other')
    await atRest()
    assert.deepEqual([here().text, there().text, at.network.wires.length], ['the other', 'one household', 0])
  })

  it('pushes back on its writer, and goes on when its reader reads', async () => {
    const at = await world(simulated, { highWaterMark: 1000 })
    const [ours, theirs] = await secured(at)
    for (let written = 0; written < 200; written += 1) ours.duplex.write('x'.repeat(1000))
    await atRest()
    assert.ok(ours.duplex.writableLength > 100_000)
    const seen = watch(theirs.duplex)
    ours.duplex.resume().end()
    await atRest()
    assert.deepEqual([seen().text, seen().ended, at.network.wires.length], ['200000 bytes, 1 of them different', true, 0])
  })

  it('keeps what was sent for a reader that begins after the end', async () => {
    const at = await world(simulated)
    const [ours, theirs] = await secured(at)
    ours.duplex.resume().end('farewell')
    await atRest()
    const seen = watch(theirs.duplex)
    await atRest()
    assert.deepEqual([seen().text, seen().ended, at.network.wires.length], ['farewell', true, 0])
  })

  it('keeps what was sent for a reader that is slower than the end of the connection', async () => {
    const at = await world(simulated, { highWaterMark: 1_000_000 })
    const [ours, theirs] = await secured(at)
    ours.duplex.resume().end('x'.repeat(100_000))
    theirs.duplex.read(0)
    await atRest()
    const seen = watch(theirs.duplex)
    await atRest()
    assert.deepEqual([seen().text, seen().ended, at.network.wires.length], ['100000 bytes, 1 of them different', true, 0])
  })

  it('shows what is sent to the faults of the network, inside TLS too', async () => {
    const at = await world(simulated, {}, network => network.cut('192.0.2.2', { how: 'stall', of: 'initiating', before: '<auth' }))
    const [ours, theirs] = await secured(at)
    const seen = watch(theirs.duplex)
    ours.duplex.write('<stream:stream>')
    await atRest()
    ours.duplex.write("<auth mechanism='EXTERNAL'>=</auth>")
    await atRest()
    assert.equal(seen().text, '<stream:stream>')
    at.network.wires[0]?.resume()
    await atRest()
    assert.equal(seen().text, "<stream:stream><auth mechanism='EXTERNAL'>=</auth>")
  })

  it('refuses credentials as nodeTls does, and contexts of another Tls', async () => {
    const padded = { key: padua.key, cert: verona.cert }
    assert.throws(
      () => simulated.tls.createContext(padded),
      (error: unknown) => FederationError.is(error) && error.code === 'S2S_CONFIG'
    )
    const at = await world(simulated)
    assert.equal(await told(asClient(at, { context: real.tls.createContext(verona) })), 'S2S_CONFIG')
  })
})
