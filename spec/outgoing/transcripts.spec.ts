import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { ErrorCode } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import type { Report } from '../../lib/model/report.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import { PROCEED } from '../../lib/testing/peer-xml.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { streamErrorXml } from '../../lib/xml/writer.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const US = 'a.example'
const THEM = 'b.example'
const NS_DIALBACK = 'jabber:server:dialback'
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl'
const PAIR = pairOf(US, THEM)
const SECRET = 'x'.repeat(32)
const inClear = policies.ladder({ tls: 'never' })

describe('the outgoing story, line by line', () => {
  let world: World
  let listener: PeerListener

  beforeEach(async () => {
    world = createWorld()
    const address = '192.0.2.200'
    const credentials = world.authority.issue(THEM, { now: world.clock.now() })
    listener = await listenForPeers(
      world.network.transportFor(address),
      { host: address, port: 5269 },
      { tls: simulatedTls(), credentials }
    )
    world.network.zone.server(THEM, { addresses: [address] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
  })

  const us = (options: Partial<FederationOptions> = {}): Promise<Federation> =>
    world.engine(US, { dialbackSecret: { current: SECRET }, ...options })
  const message = (id: string): Element => new Element('message', { from: `x@${US}`, to: `y@${THEM}`, id })

  /** Plays the peer's part against one negotiation, and gives the report. */
  async function probed(engine: Federation, script: (peer: ScriptedPeer) => Promise<void>): Promise<Report> {
    const probe = engine.probe(PAIR)
    await script(await listener.accept())
    return await world.run(probe)
  }

  async function greet(peer: ScriptedPeer, id: string, features: Parameters<ScriptedPeer['sendFeatures']>[0]): Promise<void> {
    await peer.expectHeader({ from: US, to: THEM })
    peer.sendHeader({ from: THEM, to: US, id })
    peer.sendFeatures(features)
  }

  async function rejected(promise: Promise<unknown>, code: ErrorCode): Promise<FederationError> {
    const error: unknown = await promise.then(
      () => assert.fail('it did not reject'),
      (thrown: unknown) => thrown
    )
    assert.ok(FederationError.is(error))
    assert.equal(error.code, code, error.message)
    return error
  }

  it('[RFC6120-4.7.1-a] names the same sender and target on all three headers, with declaration, version and language', async () => {
    const report = await probed(await us(), async peer => {
      const expected = { from: US, to: THEM, version: '1.0', 'xml:lang': 'en' }
      await peer.expectHeader(expected)
      peer.sendHeader({ from: THEM, to: US, id: '1' })
      peer.sendFeatures({ starttls: 'offered' })
      await peer.acceptStartTls()
      await peer.expectHeader(expected)
      peer.sendHeader({ from: THEM, to: US, id: '2' })
      peer.sendFeatures({ mechanisms: ['EXTERNAL'] })
      const auth = await peer.expect('auth', NS_SASL, { mechanism: 'EXTERNAL' })
      assert.equal(Buffer.from(auth.getText(), 'base64').toString(), US)
      peer.send(`<success xmlns='${NS_SASL}'/>`)
      peer.restart()
      await peer.expectHeader(expected)
      peer.sendHeader({ from: THEM, to: US, id: '3' })
      peer.sendFeatures({})
      await peer.expectClose()
      peer.close()
    })
    assert.equal(report.level, 'sasl-external')
  })

  /** In clear, inside TLS, and after EXTERNAL; something may come between. */
  async function threeHeaders(peer: ScriptedPeer, between: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    await greet(peer, '1', { starttls: 'offered' })
    await peer.expect('starttls')
    await between()
    peer.send(PROCEED)
    await peer.secure('receiving')
    await greet(peer, '2', { mechanisms: ['EXTERNAL'] })
    await peer.expect('auth', NS_SASL)
    await between()
    peer.send(`<success xmlns='${NS_SASL}'/>`)
    peer.restart()
    await greet(peer, '3', {})
  }

  it('[RFC6120-11.5-a] sends an XML declaration right before each header, and [RFC6120-11.6-b] never a byte order mark', async () => {
    await probed(await us(), async peer => {
      await threeHeaders(peer)
      const headers = peer.transcript.split('\n').filter(line => line.startsWith('←') && line.includes('<stream:stream '))
      assert.equal(headers.length, 3)
      for (const line of headers) assert.match(line, /^← <\?xml version='1\.0'\?><stream:stream /)
      assert.equal([...peer.transcript.matchAll(/<\?/g)].length, 6, 'three of ours and three of the peer')
      await peer.expectClose()
      peer.close()
    })
  })

  it('[RFC6120-4.6.1-a] sends no white space while STARTTLS or SASL waits for its answer, and does on the link that follows', async () => {
    const engine = await us({ timeouts: { keepAlive: 5_000 } })
    const connected = engine.connect(PAIR)
    const peer = await listener.accept()
    const quiet = async (): Promise<void> => {
      const before = peer.transcript
      await world.clock.advance(14_000)
      await peer.expectNothing()
      assert.equal(peer.transcript, before)
    }
    await threeHeaders(peer, quiet)
    await world.run(connected)
    await world.clock.advance(14_000)
    await peer.expectNothing()
    assert.match(peer.transcript, /← +$/)
    peer.close()
  })

  it('[RFC7622-3.2.1-a] names itself and the peer in Unicode, and takes both in ASCII for the same', async () => {
    const pair = pairOf('büro.example', 'bücher.example')
    const ascii = { from: 'xn--bcher-kva.example', to: 'xn--bro-hoa.example' }
    world.network.zone.server(ascii.from, { addresses: ['192.0.2.200'] })
    const domains = { 'xn--bro-hoa.example': undefined }
    const probe = (await us({ domains, policy: inClear })).probe(pairOf(ascii.to, ascii.from))
    const peer = await listener.accept()
    await peer.expectHeader({ from: pair.sender, to: pair.target })
    peer.sendHeader({ ...ascii, id: '1' })
    peer.sendFeatures({ dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK, { from: pair.sender, to: pair.target })
    peer.send(`<db:result from='${ascii.from}' to='${ascii.to}' type='valid'/>`)
    assert.deepEqual((await world.run(probe)).pairs[0]?.pair, pair)
    peer.close()
  })

  it('[RFC6120-4.7.5-b] gives up a peer without a version when policy requires TLS, and dialback is all it has otherwise', async () => {
    const oldHeader = async (peer: ScriptedPeer): Promise<void> => {
      await peer.expectHeader()
      peer.sendHeader({ from: THEM, to: US, id: 'old', version: undefined })
    }
    const strict = await probed(await us({ policy: policies.encrypted() }), oldHeader)
    assert.equal(strict.error?.code, 'S2S_TLS_NOT_OFFERED')
  })

  it('uses dialback with a peer of a version before 1.0', async () => {
    const report = await probed(await us(), async peer => {
      await peer.expectHeader()
      peer.sendHeader({ from: THEM, to: US, id: 'old', version: undefined })
      const result = await peer.expect('result', NS_DIALBACK, { from: US, to: THEM })
      assert.equal(result.getText(), dialbackKey(SECRET, { pair: PAIR, streamId: 'old' }))
      peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
      await peer.expectClose()
      peer.close()
    })
    assert.equal(report.level, 'plain-dialback')
  })

  it('[RFC6120-13.7.2-a] says nothing inside TLS to a server whose certificate it rejects, and ends TCP without XML', async () => {
    const expired = world.authority.issue(THEM, { state: 'expired', now: world.clock.now() })
    const report = await probed(await us({ policy: policies.strict() }), async peer => {
      await greet(peer, '1', { starttls: 'required' })
      await peer.acceptStartTls({ credentials: expired })
      await peer.expectEnd()
      assert.doesNotMatch(peer.transcript.slice(peer.transcript.lastIndexOf('certificates:')), /←.*</)
    })
    assert.equal(report.error?.code, 'S2S_CERTIFICATE')
  })

  it('[RFC7590-3.1-a] asks for TLS although it is not offered, when policy requires it', async () => {
    const report = await probed(await us({ policy: policies.encrypted() }), async peer => {
      await greet(peer, '1', { dialback: 'with-errors' })
      await peer.expect('starttls')
      peer.send(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>`)
      await peer.expectClose()
      peer.hangUp()
    })
    assert.equal(report.error?.code, 'S2S_TLS_REFUSED')
    assert.equal(report.error.message, 'The peer refused STARTTLS: it does not offer it, and when it was asked all the same, it said no.')
  })

  const ENDS: readonly (readonly [end: string, code: string, message: RegExp])[] = [
    ['</stream:stream>', 'S2S_TLS_REFUSED', /does not offer it, and .*, the stream was closed instead\./],
    [
      streamErrorXml('unsupported-stanza-type'),
      'S2S_TLS_REFUSED',
      /does not offer it, and .*, it ended the stream with unsupported-stanza-type\./
    ],
    [streamErrorXml('system-shutdown'), 'S2S_STREAM_ERROR_RECEIVED', /: system-shutdown\./]
  ]
  for (const [end, code, message] of ENDS)
    it(`[RFC7590-3.1-a] tells what is missing, not how the peer protests: ${code} for ${/[a-z-]*(?= xmlns|>$)/u.exec(end)?.[0] ?? ''}`, async () => {
      const report = await probed(await us({ policy: policies.encrypted() }), async peer => {
        await greet(peer, '1', { dialback: 'with-errors' })
        await peer.expect('starttls')
        peer.send(end)
        await peer.expectClose()
        peer.hangUp()
      })
      assert.equal(report.error?.code, code)
      assert.match(report.error.message, message)
    })

  it('[RFC7590-3.1-b] never goes on in clear after that, and bounces the stanza', async () => {
    const engine = await us({ policy: policies.encrypted() })
    const sent = engine.send(message('1'))
    const peer = await listener.accept()
    await greet(peer, '1', { dialback: 'with-errors' })
    await peer.expect('starttls')
    peer.send(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>`)
    peer.hangUp()
    const error = await world.run(rejected(sent, 'S2S_TLS_REFUSED'))
    assert.equal(error.stanzaCondition, 'remote-server-timeout')
    assert.equal(listener.waiting, 0)
  })

  it('[SEC-TLS-b] ends the connection when anything follows <proceed/> in clear', async () => {
    const report = await probed(await us({ policy: policies.ladder() }), async peer => {
      await greet(peer, '1', { starttls: 'offered', dialback: 'with-errors' })
      await peer.expect('starttls')
      peer.send(`<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features/>`)
      await peer.expectEnd()
    })
    assert.equal(report.error?.code, 'S2S_TLS_INJECTION')
    assert.equal(listener.waiting, 0, 'it came back in clear')
  })

  it('[RFC6120-5.4.3.3-a] forgets inside TLS what it learned in clear', async () => {
    const report = await probed(await us({ policy: policies.ladder({ external: false }) }), async peer => {
      await peer.expectHeader()
      peer.sendHeader({ from: 'liar.example', to: US, id: 'clear-id' })
      peer.sendFeatures({ starttls: 'offered', mechanisms: ['EXTERNAL'] })
      await peer.acceptStartTls()
      await greet(peer, 'tls-id', { dialback: 'with-errors' })
      const result = await peer.expect('result', NS_DIALBACK)
      assert.equal(result.getText(), dialbackKey(SECRET, { pair: PAIR, streamId: 'tls-id' }))
      peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
      await peer.expectClose()
      peer.close()
    })
    assert.equal(report.level, 'tls-dialback')
  })

  it('ends a stream inside TLS whose header names another domain, unless the certificate vouches for ours', async () => {
    const misnamed = async (peer: ScriptedPeer): Promise<void> => {
      await greet(peer, '1', { starttls: 'offered' })
      await peer.acceptStartTls()
      await peer.expectHeader()
      peer.sendHeader({ from: 'main.example', to: US, id: '2' })
      peer.sendFeatures({ dialback: 'with-errors' })
    }
    const engine = await us({ policy: policies.ladder({ external: false, invalidCertificate: 'encrypt-only' }) })
    const tolerated = await probed(engine, async peer => {
      await misnamed(peer)
      await peer.expect('result', NS_DIALBACK)
      peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
      await peer.expectClose()
      peer.close()
    })
    assert.equal(tolerated.level, 'tls-dialback')
    await listener.close()
    listener = await listenForPeers(
      world.network.transportFor('192.0.2.200'),
      { host: '192.0.2.200', port: 5269 },
      { tls: simulatedTls(), credentials: world.authority.issue(THEM, { state: 'self-signed' }) }
    )
    const refused = await probed(engine, async peer => {
      await misnamed(peer)
      await peer.expectStreamError('undefined-condition')
      peer.close()
    })
    assert.equal(refused.error?.code, 'S2S_STREAM_ERROR_SENT')
    assert.match(refused.error.message, /main\.example/)
  })

  it('[XEP0220-2.1.1-a] sends no stanza of a pair before its key was answered valid', async () => {
    const engine = await us({ policy: inClear })
    const sent = engine.send(message('1'))
    const peer = await listener.accept()
    await greet(peer, '1', { dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK)
    await peer.expectNothing()
    peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
    await peer.expect('message', 'jabber:server', { id: '1' })
    assert.equal(await world.run(sent), 'written')
    peer.close()
  })

  for (const type of ['', 'VALID', 'valid ', 'result', 'true'])
    it(`[XEP0220-2.1.1-a] sends none after an answer of the type '${type}', which is an error`, async () => {
      const engine = await us({ policy: inClear })
      const sent = rejected(engine.send(message('1')), 'S2S_DIALBACK_ERROR')
      const peer = await listener.accept()
      await greet(peer, '1', { dialback: 'with-errors' })
      await peer.expect('result', NS_DIALBACK)
      peer.send(`<db:result from='${THEM}' to='${US}' type='${type}'/>`)
      await peer.expectStreamError('policy-violation')
      peer.close()
      await world.run(sent)
    })

  it('[XEP0220-2.1.1-b] ignores a valid result for another pair or another stream: nothing is flushed by it', async () => {
    const engine = await us({ policy: inClear })
    const sent = engine.send(message('1'))
    const peer = await listener.accept()
    await greet(peer, '1', { dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK)
    peer.send(
      `<db:result from='c.example' to='${US}' type='valid'/><db:result from='${THEM}' to='d.example' type='valid'/><db:verify from='${THEM}' to='${US}' id='1' type='valid'/>`
    )
    await peer.expectNothing()
    peer.send(`<db:result from='${THEM}' to='${US}' type='invalid'/>`)
    await world.run(rejected(sent, 'S2S_DIALBACK_INVALID'))
    await peer.expectClose()
    peer.close()
  })

  it('[XEP0220-2.1.1-c] bounces with internal-server-error after invalid and with remote-server-timeout after an error', async () => {
    const answered = async (answer: string, code: ErrorCode): Promise<FederationError> => {
      const engine = await us({ policy: inClear })
      const sent = rejected(engine.send(message('1')), code)
      const peer = await listener.accept()
      await greet(peer, '1', { dialback: 'with-errors' })
      await peer.expect('result', NS_DIALBACK)
      peer.send(answer)
      await peer.expectEnd().catch(() => peer.close())
      const error = await world.run(sent)
      await world.stop()
      return error
    }
    const invalid = await answered(`<db:result from='${THEM}' to='${US}' type='invalid'/></stream:stream>`, 'S2S_DIALBACK_INVALID')
    assert.deepEqual([invalid.stanzaCondition, invalid.stanzaErrorType], ['internal-server-error', 'cancel'])
    const error = await answered(
      `<db:result from='${THEM}' to='${US}' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`,
      'S2S_DIALBACK_ERROR'
    )
    assert.deepEqual([error.stanzaCondition, error.stanzaErrorType, error.condition], ['remote-server-timeout', 'wait', 'item-not-found'])
  })

  it('[XEP0220-2.1.1-d] takes a stream that closes while the key is pending for an error', async () => {
    const engine = await us({ policy: inClear })
    const sent = rejected(engine.send(message('1')), 'S2S_STREAM_CLOSED')
    const peer = await listener.accept()
    await greet(peer, '1', { dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK)
    peer.close()
    assert.equal((await world.run(sent)).stanzaCondition, 'remote-server-timeout')
  })

  it('[ENG-SASL-a] takes no <success/> that it did not ask for', async () => {
    const report = await probed(await us({ policy: policies.ladder({ external: false }) }), async peer => {
      await greet(peer, '1', { starttls: 'required' })
      await peer.acceptStartTls()
      await greet(peer, '2', { mechanisms: ['EXTERNAL'], dialback: 'with-errors' })
      await peer.expect('result', NS_DIALBACK)
      peer.send(`<success xmlns='${NS_SASL}'/>`)
      await peer.expectStreamError('unsupported-stanza-type')
      peer.close()
    })
    assert.equal(report.level, undefined)
    assert.equal(report.error?.code, 'S2S_STREAM_ERROR_SENT')
  })

  it('[RFC6120-6.4.2-a] repeats EXTERNAL once with = after invalid-authzid, and never a third time', async () => {
    const report = await probed(await us(), async peer => {
      await greet(peer, '1', { starttls: 'required' })
      await peer.acceptStartTls()
      await greet(peer, '2', { mechanisms: ['EXTERNAL'], dialback: 'with-errors' })
      assert.equal((await peer.expect('auth', NS_SASL)).getText(), Buffer.from(US).toString('base64'))
      peer.send(`<failure xmlns='${NS_SASL}'><invalid-authzid/></failure>`)
      assert.equal((await peer.expect('auth', NS_SASL)).getText(), '=')
      peer.send(`<failure xmlns='${NS_SASL}'><not-authorized/><text>no \u001b[31m</text></failure>`.replace('\u001b', '\u202e'))
      await peer.expect('result', NS_DIALBACK)
      peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
      await peer.expectClose()
      peer.close()
    })
    assert.equal(report.level, 'tls-dialback')
    assert.match(report.downgrades[0]?.because ?? '', /not-authorized, no \\u\{202e\}/)
  })

  it('makes another TLS connection without EXTERNAL when the stream is closed right after <auth/>', async () => {
    const engine = await us()
    const probe = engine.probe(PAIR)
    const first = await listener.accept()
    await greet(first, '1', { starttls: 'required' })
    await first.acceptStartTls()
    await greet(first, '2', { mechanisms: ['EXTERNAL'], dialback: 'with-errors' })
    await first.expect('auth', NS_SASL)
    first.close()
    const second = await listener.accept()
    await greet(second, '3', { starttls: 'required' })
    await second.acceptStartTls()
    await greet(second, '4', { mechanisms: ['EXTERNAL'], dialback: 'with-errors' })
    await second.expect('result', NS_DIALBACK)
    second.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
    await second.expectClose()
    second.close()
    assert.equal((await world.run(probe)).level, 'tls-dialback')
  })

  it('[ENG-BIDI-a] never delivers a stanza that comes on an outgoing stream, and ends the link', async () => {
    const delivered: unknown[] = []
    const engine = await us({ policy: inClear, onStanza: stanza => void delivered.push(stanza) })
    const sent = engine.send(message('1'))
    const peer = await listener.accept()
    await greet(peer, '1', { dialback: 'with-errors' })
    await peer.expect('result', NS_DIALBACK)
    peer.send(`<db:result from='${THEM}' to='${US}' type='valid'/>`)
    await peer.expect('message')
    await world.run(sent)
    peer.send(`<message from='${THEM}' to='${US}'/>`)
    await peer.expectStreamError('unsupported-stanza-type')
    peer.close()
    await world.clock.settle()
    assert.deepEqual(delivered, [])
    assert.equal(engine.links().length, 0)
  })

  it('[RFC6120-4.9.1.1-b] answers a stream error with the closing tag alone', async () => {
    const report = await probed(await us(), async peer => {
      await peer.expectHeader()
      peer.sendHeader({ from: THEM, to: US, id: '1' })
      peer.send(`<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
      await peer.expectClose()
      peer.hangUp()
    })
    assert.equal(report.error?.code, 'S2S_STREAM_ERROR_RECEIVED')
    assert.match(report.error.message, /host-unknown/)
  })
})
