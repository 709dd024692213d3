import assert, { AssertionError } from 'node:assert/strict'
import type { ErrorCode } from '../../lib/errors.ts'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain } from '../../lib/model/domain.ts'
import type { SecurityLevel } from '../../lib/model/level.ts'
import type { Stanza } from '../../lib/model/stanza.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { askAuthority, playInitiating } from '../../lib/testing/initiating-script.ts'
import type { InitiatingScript } from '../../lib/testing/initiating-script.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network } from '../../lib/testing/network.ts'
import { INITIATING_QUIRKS, RECEIVING_QUIRKS } from '../../lib/testing/quirks.ts'
import type { InitiatingQuirk, ReceivingQuirk } from '../../lib/testing/quirks.ts'
import { playReceiving } from '../../lib/testing/receiving-script.ts'
import type { Played, ReceivingScript } from '../../lib/testing/receiving-script.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'

const VERONA = { host: '198.51.100.1', port: 5269 }
const PADUA = { host: '198.51.100.2', port: 5269 }
const start = Date.UTC(2027, 0, 1)
const authority = createAuthority({ now: start })
const credentials = { 'verona.example': authority.issue('verona.example'), 'padua.example': authority.issue('padua.example') }
const tls = simulatedTls()

/** An engine for verona.example, and scripts that answer for padua.example. */
interface World {
  readonly clock: TestClock
  readonly network: Network
  readonly engine: Federation
  readonly stanzas: Stanza[]
  readonly listener: PeerListener
  readonly played: Played[]
  readonly peers: ScriptedPeer[]
}

async function inWorld(script: Partial<ReceivingScript>, withTls: boolean, run: (world: World) => Promise<void>): Promise<void> {
  const clock = createTestClock(start)
  const network = createNetwork()
  network.zone.server('verona.example', { addresses: [VERONA.host] })
  network.zone.server('padua.example', { addresses: [PADUA.host] })
  const stanzas: Stanza[] = []
  const engine = createFederation({
    domains: { 'verona.example': credentials['verona.example'] },
    onStanza: stanza => void stanzas.push(stanza),
    listen: [VERONA],
    transport: network.transportFor(VERONA.host),
    resolver: network.resolver,
    trust: { default: [authority.certificate] },
    allowPrivateAddresses: true,
    clock,
    tls
  })
  await engine.start()
  const options = { tls, credentials: withTls ? credentials['padua.example'] : undefined }
  const listener = await listenForPeers(network.transportFor(PADUA.host), PADUA, options)
  const played: Played[] = []
  const peers: ScriptedPeer[] = []
  listener.serve(async peer => {
    peers.push(peer)
    played.push(await playReceiving(peer, { domain: 'padua.example', ...script }))
  })
  await run({ clock, network, engine, stanzas, listener, played, peers })
  await clock.run(engine.stop())
  await clock.settle()
  await listener.close()
  assert.deepEqual([network.wires.length, clock.pendingTimers], [0, 0], 'nothing is left open')
}

async function outgoing({ clock, engine }: World): Promise<SecurityLevel | ErrorCode | undefined> {
  const report = await clock.run(engine.probe({ sender: domain('verona.example'), target: domain('padua.example') }))
  return report.level ?? report.error?.code
}

interface Expectation {
  /** What shows it in the transcript of the first connection. */
  readonly shows: RegExp
  /** Where the engine ends: with EXTERNAL, with dialback over TLS, in clear. */
  readonly ends: readonly [SecurityLevel | ErrorCode, SecurityLevel | ErrorCode, SecurityLevel | ErrorCode]
}

const UNIMPRESSED = ['sasl-external', 'tls-dialback', 'plain-dialback'] as const
type OutgoingQuirk = Exclude<ReceivingQuirk, 'no-verify-answer' | 'close-instead-of-verifying'>

const OUTGOING: Readonly<Record<OutgoingQuirk, Expectation>> = {
  'bytes-after-proceed': {
    shows: /→ <proceed [^\n]*\n→ <stream:features/,
    ends: ['S2S_TLS_INJECTION', 'S2S_TLS_INJECTION', 'plain-dialback']
  },
  'close-after-auth': { shows: /← <auth [^\n]*\n→ <\/stream:stream>/, ends: ['tls-dialback', 'tls-dialback', 'plain-dialback'] },
  'dialback-although-tls-required': {
    shows: /<required\/><\/starttls><dialback/,
    ends: ['sasl-external', 'tls-dialback', 'plain-dialback']
  },
  'dialback-without-errors': { shows: /<dialback xmlns='[^']*'\/>/, ends: UNIMPRESSED },
  'empty-id': { shows: / id='' /, ends: ['sasl-external', 'S2S_NOT_WELL_FORMED', 'S2S_NOT_WELL_FORMED'] },
  'empty-mechanisms': { shows: /<mechanisms xmlns='[^']*'\/>/, ends: UNIMPRESSED },
  'external-always-offered': { shows: /EXTERNAL/, ends: UNIMPRESSED },
  'external-refused': { shows: /→ <failure [^\n]*<not-authorized\/>/, ends: ['tls-dialback', 'tls-dialback', 'plain-dialback'] },
  'features-in-second-packet': { shows: /\n→ <stream:features/, ends: UNIMPRESSED },
  'features-with-from': { shows: /<stream:features from='padua.example'>/, ends: UNIMPRESSED },
  'header-from-another-domain': { shows: / from='main.padua.example' /, ends: UNIMPRESSED },
  'header-without-from': { shows: /→ <\?xml[^>]*><stream:stream [^>]*:db='[^']*' to=/, ends: UNIMPRESSED },
  'header-without-id': {
    shows: /→ <\?xml[^\n]* to='verona.example' version/,
    ends: ['sasl-external', 'S2S_NOT_WELL_FORMED', 'S2S_NOT_WELL_FORMED']
  },
  'header-without-to': { shows: /→ <\?xml[^\n]* from='padua.example' id/, ends: UNIMPRESSED },
  'key-in-result': { shows: /→ <db:result [^>]*id='padua.example-\d' type='valid'>[0-9a-f]{64}</, ends: UNIMPRESSED },
  'newline-in-prolog': { shows: /→ <\?xml version='1.0'\?>\\u\{a\}\n→ <stream:stream/, ends: UNIMPRESSED },
  'no-dialback-feature': { shows: /→ <stream:features>?((?!dialback).)*\n/, ends: UNIMPRESSED },
  'no-result-answer': { shows: /← <db:result((?!→).)*$/s, ends: ['sasl-external', 'S2S_TIMEOUT', 'S2S_TIMEOUT'] },
  'not-authorized-inside-tls': {
    shows: /certificates: 1\n[^\n]*\n[^\n]*\n→ <stream:error><not-authorized/,
    ends: ['plain-dialback', 'plain-dialback', 'plain-dialback']
  },
  'pre-1.0-header': {
    shows: /→ <\?xml((?!features).)* id='padua.example-1'>\n/,
    ends: ['plain-dialback', 'plain-dialback', 'plain-dialback']
  },
  'starttls-failure': {
    shows: /→ <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'\/>/,
    ends: ['plain-dialback', 'plain-dialback', 'plain-dialback']
  },
  'unsolicited-result': {
    shows: /→ <db:result [^>]*type='valid'\/>\n→ <stream:features/,
    ends: ['S2S_STREAM_ERROR_SENT', 'S2S_STREAM_ERROR_SENT', 'S2S_STREAM_ERROR_SENT']
  },
  'xml-not-well-formed': {
    shows: /→ <stream:error><xml-not-well-formed/,
    ends: ['S2S_STREAM_ERROR_RECEIVED', 'S2S_STREAM_ERROR_RECEIVED', 'S2S_STREAM_ERROR_RECEIVED']
  }
}

/** Where a quirk has a place at all, of the three ways. */
function hasPlace(quirk: OutgoingQuirk, way: number): boolean {
  const inTls = ['bytes-after-proceed', 'dialback-although-tls-required', 'not-authorized-inside-tls', 'starttls-failure']
  if (['close-after-auth', 'external-refused', 'external-always-offered'].includes(quirk)) return way === 0
  if (['key-in-result', 'no-result-answer'].includes(quirk)) return way > 0
  return inTls.includes(quirk) ? way < 2 : true
}

describe('a scripted server in the receiving role, met by the engine', () => {
  it('knows every quirk that it documents', () => {
    const authoritative = ['no-verify-answer', 'close-instead-of-verifying']
    assert.deepEqual([...Object.keys(OUTGOING), ...authoritative].sort(), Object.keys(RECEIVING_QUIRKS).sort())
  })

  const ways = ['with EXTERNAL', 'with dialback over TLS', 'in clear'] as const
  for (const [index, way] of ways.entries()) {
    it(`without a quirk ends on the rung that it allows, ${way}`, async () => {
      await inWorld({ external: index === 0 }, index < 2, async world => {
        assert.equal(await outgoing(world), UNIMPRESSED[index])
        await world.clock.settle()
        assert.deepEqual(world.played.at(-1)?.proofs, [index === 0 ? 'sasl-external' : 'dialback'])
      })
    })

    for (const [quirk, about] of Object.entries(RECEIVING_QUIRKS)) {
      const expected = OUTGOING[quirk as OutgoingQuirk] as Expectation | undefined // undefined for the authoritative ones
      if (expected === undefined || !hasPlace(quirk as OutgoingQuirk, index)) continue
      it(`${about}, ${way}: ${expected.ends[index] ?? ''}`, async () => {
        const starttls = quirk === 'dialback-although-tls-required' ? { starttls: 'required' as const } : {}
        await inWorld({ external: index === 0, quirks: [quirk as ReceivingQuirk], ...starttls }, index < 2, async world => {
          assert.equal(await outgoing(world), expected.ends[index])
          const transcript = world.peers[0]?.transcript ?? ''
          assert.match(transcript, expected.shows, transcript)
        })
      })
    }
  }

  it('decides on keys as it is told to', async () => {
    for (const [verdict, code] of [
      ['valid', 'plain-dialback'],
      ['invalid', 'S2S_DIALBACK_INVALID'],
      ['error', 'S2S_DIALBACK_ERROR']
    ] as const)
      await inWorld({ verify: () => Promise.resolve(verdict) }, false, async world => {
        assert.equal(await outgoing(world), code)
      })
  })

  it('can ask the authoritative server as a receiving server does, on a connection of its own', async () => {
    const asked: string[] = []
    const verify: ReceivingScript['verify'] = async request => {
      const network = current.at(-1)
      assert.ok(network)
      const caller = await dialPeer(network.transportFor(PADUA.host), { address: VERONA.host, port: VERONA.port })
      const right = await askAuthority(caller, request)
      const again = await dialPeer(network.transportFor(PADUA.host), { address: VERONA.host, port: VERONA.port })
      const wrong = await askAuthority(again, { ...request, id: 'another stream' })
      asked.push(right, wrong)
      return right
    }
    const current: Network[] = []
    await inWorld({ verify }, false, async world => {
      current.push(world.network)
      assert.equal(await outgoing(world), 'plain-dialback')
      assert.deepEqual(asked, ['valid', 'invalid'])
    })
  })

  it('takes stanzas, and answers', async () => {
    const answers: ReceivingScript['onStanza'] = (stanza, peer) => peer.send(`<iq type='result' id='${stanza.attrs['id'] as string}'/>`)
    await inWorld({ onStanza: answers }, true, async world => {
      const peer = await dialPeer(world.network.transportFor(VERONA.host), world.listener, {
        tls,
        credentials: credentials['verona.example']
      })
      await playInitiating(peer, { from: 'verona.example', to: 'padua.example' })
      peer.send("<iq type='get' id='p1' from='verona.example' to='padua.example'><ping xmlns='urn:xmpp:ping'/></iq>")
      await peer.expect('iq', 'jabber:server', { type: 'result', id: 'p1' })
      peer.close()
      await peer.expectEnd()
      await world.clock.settle()
      assert.equal(world.played[0]?.stanzas[0]?.getChild('ping', 'urn:xmpp:ping')?.name, 'ping')
    })
  })
})

/** What shows a quirk in the transcript, and where the engine lets it end: by EXTERNAL, and by dialback. */
const INCOMING: Readonly<
  Record<InitiatingQuirk, { shows: readonly [RegExp, RegExp]; ends: readonly [SecurityLevel | RegExp, SecurityLevel | RegExp] }>
> = {
  'bytes-after-starttls': both(/→ <starttls [^\n]*\n→ <\?xml/, /got a reset/),
  'empty-authzid': { shows: [/→ <auth [^>]*>=</, /→/], ends: ['sasl-external', 'tls-dialback'] },
  'empty-id': accepted(/→ <\?xml[^\n]* id='' /),
  'header-without-from': accepted(/^→ <\?xml[^>]*><stream:stream [^>]*:db='[^']*' to=/),
  'key-with-white-space': { shows: [/→/, /→ <db:result [^>]*>\\u\{a\} {2}/], ends: ['sasl-external', 'tls-dialback'] },
  'no-initial-response': { shows: [/→ <auth [^>]*\/>\n← <challenge/, /→/], ends: ['sasl-external', 'tls-dialback'] },
  'no-server-name': accepted(/TLS 1.3/),
  'pre-1.0-header': {
    shows: [/^→ <\?xml[^\n]*to='verona.example'>\n/, /^→ <\?xml[^\n]*to='verona.example'>\n/],
    ends: [/encryption-required/, 'plain-dialback']
  },
  'short-key': { shows: [/→/, /→ <db:result [^>]*>[0-9a-f]{40}</], ends: ['sasl-external', 'tls-dialback'] },
  'stanza-before-proof': both(/→ <message/, /stream:error/),
  'starttls-although-not-offered': accepted(/→ <starttls/)
}

function both(shows: RegExp, ends: RegExp): (typeof INCOMING)[InitiatingQuirk] {
  return { shows: [shows, shows], ends: [ends, ends] }
}

function accepted(shows: RegExp): (typeof INCOMING)[InitiatingQuirk] {
  return { shows: [shows, shows], ends: ['sasl-external', 'tls-dialback'] }
}

describe('a scripted server in the initiating role, met by the engine', () => {
  const call = async (
    world: World,
    script: Partial<InitiatingScript>
  ): Promise<{ peer: ScriptedPeer; failure: AssertionError | undefined }> => {
    const padua = world.network.transportFor(PADUA.host)
    const peer = await dialPeer(
      padua,
      { address: VERONA.host, port: VERONA.port },
      { tls, credentials: credentials['padua.example'], deadline: 60_000 }
    )
    try {
      await world.clock.run(playInitiating(peer, { from: 'padua.example', to: 'verona.example', ...script }))
      peer.send("<message from='a@padua.example' to='b@verona.example'><body>hark</body></message>")
      await world.clock.settle()
      return { peer, failure: undefined }
    } catch (error) {
      if (error instanceof AssertionError) return { peer, failure: error }
      throw error
    } finally {
      peer.close()
      await world.clock.settle()
      peer.connection.destroy()
    }
  }

  for (const [index, prove] of (['sasl-external', 'dialback'] as const).entries())
    for (const [quirk, about] of Object.entries(INITIATING_QUIRKS)) {
      const { shows, ends } = INCOMING[quirk as InitiatingQuirk]
      const end = ends[index]
      const pattern = shows[index]
      if (end === undefined || pattern === undefined || String(pattern) === String(/→/)) continue
      it(`${about}, and wants ${prove}: ${String(end)}`, async () => {
        await inWorld({}, true, async world => {
          const levels: SecurityLevel[] = []
          world.engine.on('pair-authenticated', ({ pair }) => levels.push(pair.level))
          const { peer, failure } = await call(world, { prove, quirks: [quirk as InitiatingQuirk] })
          if (typeof end === 'string') assert.deepEqual([levels, world.stanzas.length, failure?.message], [[end], 1, undefined])
          else {
            assert.match(failure?.message ?? '', end)
            assert.deepEqual([levels, world.stanzas.length], [[], 0])
          }
          assert.match(peer.transcript, pattern, peer.transcript)
        })
      })
    }

  for (const [secret, verdict] of [
    ['the same secret', 'valid'],
    ['another secret', 'invalid']
  ] as const)
    it(`has its key judged by its own listener, which has ${secret}: ${verdict}`, async () => {
      await inWorld({ secret: 'the same secret' }, true, async world => {
        const { failure } = await call(world, { prove: 'dialback', tls: 'never', secret })
        assert.equal(failure === undefined ? 'valid' : 'invalid', verdict)
        assert.equal(world.stanzas.length, verdict === 'valid' ? 1 : 0)
      })
    })

  for (const quirk of ['no-verify-answer', 'close-instead-of-verifying'] as const)
    it(`cannot prove itself where its own listener ${RECEIVING_QUIRKS[quirk]}`, async () => {
      await inWorld({ quirks: [quirk] }, true, async world => {
        const { failure } = await call(world, { prove: 'dialback', tls: 'never' })
        assert.match(
          failure?.message ?? '',
          /got <(?:db:)?result [^\n]*(?:remote-server-timeout|remote-server-not-found|remote-connection-failed)/
        )
        assert.equal(world.stanzas.length, 0)
      })
    })
})
