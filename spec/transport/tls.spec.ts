import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { FederationError } from '../../lib/errors.ts'
import type { Secured, TlsContext } from '../../lib/model/plugs.ts'
import { isCertificateAlert, nodeTls } from '../../lib/transport/tls.ts'
import { CARRIERS, connected, credentialsFor, gone, inMemory, readAll, rejection } from './connections.ts'
import type { Ends } from './connections.ts'

const tls = nodeTls()
const verona = credentialsFor('verona.example')
const padua = credentialsFor('padua.example', 'rsa')
const veronaContext = tls.createContext(verona)
const paduaContext = tls.createContext(padua)
const XMPP = ['xmpp-server']
const never = new AbortController().signal

interface Sides {
  readonly context?: TlsContext
  readonly servername?: string
  readonly alpn?: readonly string[]
  readonly contextFor?: (servername: string | undefined) => Promise<TlsContext | undefined>
}

const asClient = (ends: Ends, { context, servername = 'padua.example', alpn = XMPP }: Sides = {}): Promise<Secured> =>
  tls.client(ends.initiating, { context, servername, alpn, signal: never })

const asServer = (ends: Ends, { contextFor = () => Promise.resolve(paduaContext) }: Sides = {}): Promise<Secured> =>
  tls.server(ends.receiving, { contextFor, signal: never })

async function secured(ends: Ends, sides: Sides = {}): Promise<{ ours: Secured; theirs: Secured }> {
  const [ours, theirs] = await Promise.all([asClient(ends, sides), asServer(ends, sides)])
  return { ours, theirs }
}

async function bothGone(ends: Ends): Promise<void> {
  await Promise.all([gone(ends.initiating), gone(ends.receiving)])
}

async function ended({ ours, theirs }: { ours: Secured; theirs: Secured }, ends: Ends): Promise<void> {
  ours.duplex.destroy()
  theirs.duplex.destroy()
  await bothGone(ends)
}

for (const carrier of CARRIERS)
  describe(`TLS over ${carrier}`, () => {
    it('hands on what each side presented, unjudged: self-signed certificates, names that nobody asked for', async () => {
      const ends = await connected(carrier)
      const both = await secured(ends, { context: veronaContext, servername: 'mantua.example' })
      assert.deepEqual(both.ours.chain, [padua.der])
      assert.deepEqual(both.theirs.chain, [verona.der])
      await ended(both, ends)
    })

    it('[RFC7590-3.6-a] tells protocol and cipher', async () => {
      const ends = await connected(carrier)
      const both = await secured(ends)
      const facts = { protocol: 'TLS 1.3', cipher: 'TLS_AES_256_GCM_SHA384' }
      assert.deepEqual([both.ours.facts, both.theirs.facts], [facts, facts])
      await ended(both, ends)
    })

    it('[XEP0368-b] sends the server name and ALPN xmpp-server, and takes both', async () => {
      const ends = await connected(carrier)
      const asked: (string | undefined)[] = []
      const both = await secured(ends, {
        servername: 'xn--bcher-kva.example',
        contextFor: name => {
          asked.push(name)
          return Promise.resolve(paduaContext)
        }
      })
      assert.deepEqual([both.theirs.servername, both.theirs.alpn, both.ours.alpn], ['xn--bcher-kva.example', 'xmpp-server', 'xmpp-server'])
      assert.deepEqual(asked, ['xn--bcher-kva.example'])
      await ended(both, ends)
    })

    it('never sends an address as a server name', async () => {
      const ends = await connected(carrier)
      const both = await secured(ends, { servername: '192.0.2.1' })
      assert.equal(both.theirs.servername, undefined)
      await ended(both, ends)
    })

    it('[XEP0368-e] refuses an ALPN list without xmpp-server, and accepts no ALPN at all', async () => {
      const strange = await connected(carrier)
      const raw = connect({ socket: strange.initiating, ALPNProtocols: ['h2'], rejectUnauthorized: false }).on('error', () => undefined)
      assert.equal((await rejection(asServer(strange))).code, 'S2S_TLS_HANDSHAKE')
      await gone(raw)
      assert.match(String(raw.errored?.message), /no application protocol/)
      strange.initiating.destroy()

      const silent = await connected(carrier)
      const both = await secured(silent, { alpn: [] })
      assert.deepEqual([both.ours.alpn, both.theirs.alpn], [undefined, undefined])
      await ended(both, silent)
    })

    it('goes on without a certificate of the initiating side, and says that there was none', async () => {
      const ends = await connected(carrier)
      const both = await secured(ends)
      assert.deepEqual(both.theirs.chain, [])
      await ended(both, ends)
    })

    it('carries plaintext both ways; an end becomes close_notify and the end of the connection beneath', async () => {
      const ends = await connected(carrier)
      const { ours, theirs } = await secured(ends)
      const [there, back] = [readAll(theirs.duplex), readAll(ours.duplex)]
      theirs.duplex.write('<features/>')
      ours.duplex.end('</stream:stream>')
      assert.deepEqual(await Promise.all([there, back]), ['</stream:stream>', '<features/>'])
      await bothGone(ends)
    })

    it('delivers what the peer had sent before it saw our end', async () => {
      const ends = await connected(carrier)
      const { ours, theirs } = await secured(ends)
      const text = 'x'.repeat(300_000)
      theirs.duplex.write(text)
      ours.duplex.end()
      theirs.duplex.resume()
      assert.equal((await readAll(ours.duplex)).length, text.length)
      await bothGone(ends)
    })

    it('takes the connection along when it is destroyed', async () => {
      const ends = await connected(carrier)
      const { ours, theirs } = await secured(ends)
      theirs.duplex.resume()
      ours.duplex.destroy()
      await gone(ours.duplex)
      await bothGone(ends)
    })

    it('ends both layers on either side when a record does not authenticate', async () => {
      for (const side of ['initiating', 'receiving'] as const) {
        const ends = await connected(carrier)
        const { ours, theirs } = await secured(ends)
        const victim = side === 'initiating' ? theirs : ours
        for (const each of [ours, theirs]) each.duplex.resume()
        ends[side].write(Buffer.concat([Buffer.from([0x17, 3, 3, 0, 40]), Buffer.alloc(40)]))
        await gone(victim.duplex)
        assert.match(String(victim.duplex.errored?.message), /bad record mac/)
        await bothGone(ends)
      }
    })

    it('[RFC6120-5.4.3.2-a] drops the connection without a byte of XML when the peer does not speak TLS', async () => {
      const ends = await connected(carrier)
      const failed = rejection(asServer(ends))
      const received = readAll(ends.initiating)
      ends.initiating.write("<stream:stream xmlns='jabber:server' to='padua.example'>")
      const error = await failed
      assert.equal(error.code, 'S2S_TLS_HANDSHAKE')
      assert.match(error.detail ?? '', /^[\w ]+$/)
      await gone(ends.receiving)
      if (carrier === 'tcp') assert.ok(!(await received).includes('<'))
      ends.initiating.destroy()
      await received.catch(() => undefined)
    })

    it('fails when the connection ends in the middle of the handshake, in either role', async () => {
      for (const end of ['end', 'destroy'] as const) {
        const asked = await connected(carrier)
        const server = rejection(asServer(asked))
        asked.initiating[end]()
        const asking = await connected(carrier)
        const client = rejection(asClient(asking))
        asking.receiving.once('data', () => asking.receiving[end]())
        for (const error of await Promise.all([server, client])) assert.equal(error.code, 'S2S_TLS_HANDSHAKE')
        await Promise.all([gone(asked.receiving), gone(asking.initiating)])
        asked.initiating.destroy()
        asking.receiving.destroy()
      }
    })

    it('[ENG-TLS-a] gives a stalled handshake up when its signal says so, with the reason of the signal, and drops the connection', async () => {
      const timeout = new FederationError('S2S_TIMEOUT', { detail: 'negotiate-tls took more than 10000 ms' })
      const client = await connected(carrier)
      const asking = new AbortController()
      const asked = rejection(
        tls.client(client.initiating, { context: undefined, servername: 'padua.example', alpn: XMPP, signal: asking.signal })
      )
      await once(client.receiving, 'data')
      asking.abort(timeout)
      assert.equal(await asked, timeout)
      await gone(client.initiating)
      client.receiving.destroy()

      const server = await connected(carrier)
      const answering = new AbortController()
      const answered = rejection(
        tls.server(server.receiving, { contextFor: () => Promise.resolve(paduaContext), signal: answering.signal })
      )
      server.initiating.write(await clientHello())
      await once(server.initiating, 'data')
      answering.abort(timeout)
      assert.equal(await answered, timeout)
      await gone(server.receiving)
      server.initiating.destroy()
    })

    it('[ENG-TLS-a] waits for no ClientHello longer than the signal allows', async () => {
      const ends = await connected(carrier)
      const deadline = new AbortController()
      const failed = rejection(tls.server(ends.receiving, { contextFor: () => Promise.resolve(paduaContext), signal: deadline.signal }))
      ends.initiating.write((await clientHello()).subarray(0, 100))
      await once(ends.receiving, 'readable')
      deadline.abort()
      assert.equal((await failed).code, 'S2S_ABORTED')
      await gone(ends.receiving)
      ends.initiating.destroy()
    })

    it('waits for no key store longer than the signal allows', async () => {
      const ends = await connected(carrier)
      const deadline = new AbortController()
      ends.initiating.write(await clientHello())
      const contextFor = (): Promise<undefined> => new Promise(() => setImmediate(() => deadline.abort()))
      const failed = rejection(tls.server(ends.receiving, { contextFor, signal: deadline.signal }))
      assert.equal((await failed).code, 'S2S_ABORTED')
      await gone(ends.receiving)
      ends.initiating.destroy()
    })

    it('rejects at once over a connection that is gone', async () => {
      const ends = await connected(carrier)
      ends.initiating.destroy()
      ends.receiving.destroy()
      await bothGone(ends)
      assert.deepEqual(
        [(await rejection(asClient(ends))).code, (await rejection(asServer(ends))).code],
        ['S2S_TLS_HANDSHAKE', 'S2S_TLS_HANDSHAKE']
      )
    })

    it('rejects at once over a connection that the peer has ended', async () => {
      const ends = await connected(carrier)
      const ended = once(ends.receiving, 'end')
      ends.initiating.end()
      ends.receiving.resume()
      await ended
      assert.equal((await rejection(asServer(ends))).code, 'S2S_TLS_HANDSHAKE')
      await gone(ends.receiving)
      ends.initiating.destroy()
    })

    it('takes a ClientHello that arrived while the context was being chosen', async () => {
      const ends = await connected(carrier)
      const client = asClient(ends)
      const server = asServer(ends, {
        contextFor: async () => {
          await new Promise(resolve => setImmediate(resolve))
          return paduaContext
        }
      })
      await ended({ ours: await client, theirs: await server }, ends)
    })
  })

describe('TLS', () => {
  it('hands on certificates in the order presented, duplicates and roots included', async () => {
    const others = ['root.example', 'intermediate.example'].map(name => credentialsFor(name))
    const [root, intermediate] = others
    assert.ok(root !== undefined && intermediate !== undefined)
    const presented = [verona, root, intermediate, intermediate]
    const context = tls.createContext({ ...verona, cert: presented.map(each => String(each.cert)).join('') })
    const ends = await connected('tcp')
    const both = await secured(ends, { context, contextFor: () => Promise.resolve(context) })
    const expected = presented.map(each => each.der)
    assert.deepEqual([context.chain, both.ours.chain, both.theirs.chain], [expected, expected, expected])
    await ended(both, ends)
  })

  it('presents nothing that was not configured, and names no authorities to the peer', async () => {
    const ends = await connected('tcp')
    const raw = connect({ socket: ends.initiating, rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
    const [theirs] = await Promise.all([asServer(ends), once(raw, 'secureConnect')])
    assert.equal(theirs.facts.protocol, 'TLS 1.2')
    assert.match(theirs.facts.cipher, /^TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256$/)
    // One RSA certificate and the handshake around it; the names of authorities would be many kilobytes.
    const received = ends.initiating instanceof Socket ? ends.initiating.bytesRead : Infinity
    assert.ok(received < 2000, `${received} bytes`)
    raw.destroy()
    theirs.duplex.destroy()
    await bothGone(ends)
  })

  it('refuses TLS 1.1 and whatever has no forward secrecy', async () => {
    for (const poor of [
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' },
      { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }
    ] as const) {
      const ends = await connected('tcp')
      const raw = connect({ socket: ends.initiating, rejectUnauthorized: false, ...poor })
      raw.on('error', () => undefined)
      assert.equal((await rejection(asServer(ends))).code, 'S2S_TLS_HANDSHAKE')
      raw.destroy()
      await bothGone(ends)
    }
  })

  it('resumes no session, of either version, even for a peer that offers one', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      let session: Buffer | undefined
      for (const round of [1, 2]) {
        const ends = await connected('tcp')
        const raw = connect({
          socket: ends.initiating,
          rejectUnauthorized: false,
          maxVersion,
          ...(session === undefined ? {} : { session })
        })
        raw.on('session', given => void (session = given))
        const [theirs] = await Promise.all([asServer(ends), once(raw, 'secureConnect')])
        const arrived = once(raw, 'data')
        theirs.duplex.write('<features/>')
        await arrived
        session ??= raw.getSession()
        assert.equal(raw.isSessionReused(), false, `${maxVersion}, connection ${round}`)
        raw.destroy()
        theirs.duplex.destroy()
        await bothGone(ends)
      }
      assert.ok(session !== undefined)
    }
  })

  it('never renegotiates', async () => {
    const ends = await connected('tcp')
    const raw = connect({ socket: ends.initiating, rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
    const [theirs] = await Promise.all([asServer(ends), once(raw, 'secureConnect')])
    theirs.duplex.resume()
    raw.on('error', () => undefined).resume()
    const refused = new Promise(resolve => raw.once('error', resolve))
    raw.renegotiate({ rejectUnauthorized: false }, () => undefined)
    assert.match(String(await refused), /no renegotiation/)
    raw.destroy()
    theirs.duplex.destroy()
    await bothGone(ends)
  })

  it('[ENG-CERT-a] shows the certificate of the server name asked for alone, whatever the kinds of the keys', async () => {
    const contextFor = (name: string | undefined): Promise<TlsContext> =>
      Promise.resolve(name === 'padua.example' ? paduaContext : veronaContext)
    for (const [servername, shown] of [
      ['padua.example', padua],
      ['verona.example', verona],
      ['192.0.2.1', verona]
    ] as const) {
      const ends = await connected('tcp')
      const both = await secured(ends, { servername, contextFor })
      assert.deepEqual(both.ours.chain, [shown.der])
      await ended(both, ends)
    }
  })

  it('fails when there is nothing to show, and says why when the key store did', async () => {
    const cases = [
      [() => Promise.resolve(undefined), 'S2S_TLS_HANDSHAKE'],
      [() => Promise.reject(new FederationError('S2S_CONFIG', { detail: 'the key is gone' })), 'S2S_CONFIG']
    ] as const
    for (const [contextFor, code] of cases) {
      const ends = await connected('tcp')
      const client = rejection(asClient(ends))
      assert.equal((await rejection(asServer(ends, { contextFor }))).code, code)
      assert.equal((await client).code, 'S2S_TLS_HANDSHAKE')
      await bothGone(ends)
    }
  })

  it('[ENG-CERT-b] tells a peer that refuses our certificate from a handshake that fails', async () => {
    const cases = [
      [1, veronaContext, 'S2S_TLS_HANDSHAKE', 'nobody can refuse a certificate that was not sent yet'],
      [2, veronaContext, 'S2S_CERTIFICATE_REFUSED', 'refused'],
      [2, undefined, 'S2S_TLS_HANDSHAKE', 'there is no certificate of ours to refuse']
    ] as const
    for (const [flight, context, code, why] of cases) {
      const ends = await connected('tcp')
      alertAfterFlight(ends, flight)
      const started = tls.client(ends.initiating, { context, servername: 'padua.example', alpn: [], signal: never })
      assert.equal((await rejection(started)).code, code, why)
      await gone(ends.initiating)
      ends.receiving.destroy()
    }
  })

  it('[ENG-CERT-b] knows a refusal that TLS 1.3 sends after the handshake by its alert', async () => {
    const ends = await connected('tcp')
    const { key, cert } = padua
    const secureContext = createSecureContext({ key, cert })
    const insisting = new TLSSocket(ends.receiving, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: true })
    insisting.on('error', () => undefined)
    const ours = await asClient(ends)
    ours.duplex.on('error', () => undefined).resume()
    await gone(ours.duplex)
    assert.ok(isCertificateAlert(ours.duplex.errored), String(ours.duplex.errored))
    insisting.destroy()
    ends.receiving.destroy()
  })

  it('knows all alerts about certificates, and no others', async () => {
    const about: number[] = []
    for (const alert of [0, 20, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 70, 80, 86, 112, 115, 116, 120]) {
      const ends = await connected('tcp')
      ends.receiving.once('data', () => ends.receiving.end(Buffer.from([0x15, 3, 3, 0, 2, 2, alert])))
      if (isCertificateAlert((await rejection(asClient(ends))).cause)) about.push(alert)
      ends.receiving.destroy()
    }
    assert.deepEqual(about, [42, 43, 44, 45, 46, 47, 48, 49, 116])
    assert.equal(isCertificateAlert(new Error('bad certificate')), false)
    assert.equal(isCertificateAlert(undefined), false)
  })
})

describe('credentials', () => {
  const refusal = (credentials: Parameters<typeof tls.createContext>[0]): string => {
    try {
      tls.createContext(credentials)
    } catch (error) {
      assert.ok(FederationError.is(error))
      assert.equal(error.code, 'S2S_CONFIG')
      assert.ok(!error.message.includes('BEGIN'), 'no key material in messages')
      return error.detail ?? ''
    }
    return 'accepted'
  }

  it('are refused with a sentence', () => {
    assert.match(refusal({ key: padua.key, cert: verona.cert }), /^the private key does not belong to the first certificate$/)
    assert.match(refusal({ key: 'no key', cert: verona.cert }), /^the private key cannot be read \(ERR_OSSL/)
    assert.match(refusal({ key: verona.key, cert: '' }), /^there is no PEM certificate in cert$/)
    assert.match(
      refusal({ key: verona.key, cert: `${String(verona.cert)}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n` }),
      /^certificate 2 cannot be read/
    )
  })

  it('may be encrypted, and a wrong or missing passphrase is refused with a sentence', async () => {
    const { createPrivateKey } = await import('node:crypto')
    const key = createPrivateKey(verona.key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'wherefore' })
    assert.equal(refusal({ key, cert: verona.cert, passphrase: 'wherefore' }), 'accepted')
    assert.match(refusal({ key, cert: verona.cert, passphrase: 'art thou' }), /^the private key cannot be read with this passphrase/)
    assert.match(refusal({ key, cert: verona.cert }), /^the private key cannot be read/)
  })

  it('may be buffers, and are not taken from another Tls', async () => {
    const context = tls.createContext({ key: Buffer.from(verona.key), cert: Buffer.from(verona.cert) })
    assert.deepEqual(context.chain, [verona.der])
    const ends = await connected('tcp')
    assert.equal((await rejection(asClient(ends, { context: { chain: context.chain } }))).code, 'S2S_CONFIG')
    await gone(ends.initiating)
    ends.receiving.destroy()
  })
})

/** The first flight of a client that is never heard of again. */
async function clientHello(): Promise<Buffer> {
  const { initiating, receiving } = inMemory()
  const hello = once(receiving, 'data') as Promise<[Buffer]>
  const socket = connect({ socket: initiating, servername: 'padua.example' }).on('error', () => undefined)
  const [bytes] = await hello
  socket.destroy()
  return bytes
}

/** A TLS 1.2 server that answers the first or second flight of a client with the alert unknown_ca. */
function alertAfterFlight(ends: Ends, flight: 1 | 2): void {
  const { initiating: outside, receiving: inside } = inMemory()
  const { key, cert } = padua
  const secureContext = createSecureContext({ key, cert, maxVersion: 'TLSv1.2' })
  new TLSSocket(inside, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false }).on('error', () => undefined)
  let seen = 0
  ends.receiving.on('data', (chunk: Buffer) => {
    seen += 1
    if (seen === flight) ends.receiving.write(Buffer.from([0x15, 3, 3, 0, 2, 2, 48]))
    else outside.write(chunk)
  })
  outside.on('data', chunk => ends.receiving.write(chunk))
}
