import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import type { Federation } from '../../lib/federation.ts'
import { pairKey } from '../../lib/model/domain.ts'
import type { Guard, Policy } from '../../lib/model/policy.ts'
import type { Report, TraceEntry } from '../../lib/model/report.ts'
import type { Delivery } from '../../lib/model/stanza.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { replay } from '../../lib/policy/replay.ts'
import { dialbackKey } from '../../lib/rules/dialback-key.ts'
import { explain } from '../../lib/rules/explain.ts'
import { dialbackOf } from '../../lib/testing/peer-xml.ts'
import type { SentFeatures } from '../../lib/testing/peer-xml.ts'
import { listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { PeerListener } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { createWorld, pairOf, rejection } from '../world.ts'
import type { World } from '../world.ts'

const OURS = ['a.example', 'a2.example', 'a3.example']
/** Served at one address, under one certificate. */
const THEIRS = ['b.example', 'c.example']
const ADDRESS = '192.0.2.200'
const SECRET = 'a secret that is long enough for XEP-0185'
const ERRORS: SentFeatures = { dialback: 'with-errors' }
const SM = `xmlns='urn:xmpp:sm:3'`

describe('multiplexing on a live outgoing link', () => {
  let world: World
  let listener: PeerListener
  let engine: Federation
  let reports: Report[]
  let joined: string[]

  beforeEach(async () => {
    world = createWorld()
    reports = []
    joined = []
    listener = await listenForPeers(
      world.network.transportFor(ADDRESS),
      { host: ADDRESS, port: 5269 },
      { tls: simulatedTls(), credentials: world.authority.issue('b.example', { alsoFor: ['c.example'], now: world.clock.now() }) }
    )
    for (const name of THEIRS) world.network.zone.server(name, { addresses: [ADDRESS] })
  })
  afterEach(async () => {
    await world.stop()
    await listener.close()
    assert.equal(world.clock.pendingTimers, 0)
  })

  async function start(options: Partial<FederationOptions> = {}): Promise<void> {
    const domains = Object.fromEntries(OURS.map(name => [name, world.authority.issue(name, { now: world.clock.now() })]))
    engine = await world.engine('a.example', { domains, dialbackSecret: { current: SECRET }, random: () => 0, ...options })
    engine.on('negotiation-ended', ({ report }) => reports.push(report))
    engine.on('pair-authenticated', ({ link, pair }) => joined.push(`${pairKey(pair.pair)} on ${link.pairs.length}`))
  }

  const send = (from: string, to: string, id: string): Promise<Delivery> =>
    engine.send(new Element('message', { from: `x@${from}`, to: `y@${to}`, id }))

  /** The engine's next connection, inside TLS, as far as the features. */
  async function opened(from: string, to: string, features: SentFeatures = ERRORS, id = 's1'): Promise<ScriptedPeer> {
    const peer = await listener.accept()
    await peer.expectHeader({ from, to })
    peer.sendHeader({ from: to, to: from, id: 'clear' })
    peer.sendFeatures({ starttls: 'offered' })
    await peer.acceptStartTls()
    await peer.expectHeader({ from, to })
    peer.sendHeader({ from: to, to: from, id })
    peer.sendFeatures(features)
    return peer
  }

  /** A request for a pair with the right key for the stream, which is not answered yet. */
  async function expectKey(peer: ScriptedPeer, from: string, to: string, id = 's1'): Promise<void> {
    const key = await peer.expect('result', 'jabber:server:dialback', { from, to })
    assert.equal(key.getText(), dialbackKey(SECRET, { pair: pairOf(from, to), streamId: id }))
  }

  const answer = (peer: ScriptedPeer, from: string, to: string, type = 'valid', condition?: string): void =>
    peer.send(dialbackOf('result', { from: to, to: from, type, condition }))

  /** A live link a.example → b.example by dialback over TLS, with one message on it. */
  async function live(options: Partial<FederationOptions> = {}, features: SentFeatures = ERRORS): Promise<ScriptedPeer> {
    await start(options)
    void send('a.example', 'b.example', 'first')
    const peer = await opened('a.example', 'b.example', features)
    await expectKey(peer, 'a.example', 'b.example')
    answer(peer, 'a.example', 'b.example')
    await peer.expect('message', undefined, { id: 'first' })
    return peer
  }

  /** A connection of the pair's own, up to its first message. */
  async function expectOwn(from: string, to: string, id: string): Promise<ScriptedPeer> {
    const peer = await opened(from, to, ERRORS, 's2')
    await expectKey(peer, from, to, 's2')
    answer(peer, from, to)
    await peer.expect('message', undefined, { id })
    return peer
  }

  const trace = (at: number): readonly TraceEntry[] => reports[at]?.trace ?? assert.fail(`there is no report ${at}`)
  const connections = (at: number): readonly string[] =>
    trace(at).flatMap(entry =>
      entry.step === 'connect' ? [`${entry.outcome} ${entry.outcome === 'ok' ? (entry.facts.joined ?? 'dialled') : entry.code}`] : []
    )

  describe('joining', () => {
    const JOINERS: readonly (readonly [what: string, from: string, to: string])[] = [
      ['another sender to the same target', 'a2.example', 'b.example'],
      ['[XEP0220-2.6.2-a] another target of the same server', 'a.example', 'c.example'],
      ['[XEP0220-2.6.2-a] another sender to another target of the same server', 'a2.example', 'c.example']
    ]
    for (const [what, from, to] of JOINERS)
      it(`${what}: its key goes out on the live stream, and nothing of it before the answer`, async () => {
        const peer = await live()
        const sent = send(from, to, 'second')
        await expectKey(peer, from, to)
        await peer.expectNothing()
        answer(peer, from, to)
        await peer.expect('message', undefined, { id: 'second' })
        assert.equal(await world.run(sent), 'written')
        assert.equal(listener.waiting, 0)
        assert.deepEqual(joined, ['a.example b.example on 1', `${from} ${to} on 2`])
        const [link] = engine.links()
        assert.deepEqual(
          link?.pairs.map(({ pair, level, peerIdentity }) => [pairKey(pair), level, peerIdentity]),
          [
            ['a.example b.example', 'tls-dialback', 'pkix'],
            [`${from} ${to}`, 'tls-dialback', 'pkix']
          ]
        )
        peer.close()
      })

    it('[XEP0220-2.1.1-e] verified pairs keep flowing while another waits, and keys of several pairs are answered in any order', async () => {
      const peer = await live()
      const later = [send('a2.example', 'b.example', 'x'), send('a.example', 'c.example', 'y')]
      await expectKey(peer, 'a2.example', 'b.example')
      await expectKey(peer, 'a.example', 'c.example')
      assert.equal(await world.run(send('a.example', 'b.example', 'flows')), 'written')
      await peer.expect('message', undefined, { id: 'flows' })
      answer(peer, 'a.example', 'c.example')
      await peer.expect('message', undefined, { id: 'y' })
      answer(peer, 'a2.example', 'b.example')
      await peer.expect('message', undefined, { id: 'x' })
      await world.run(Promise.all(later))
      peer.close()
    })

    it('one flight per pair: what is sent while it waits waits with it, in order', async () => {
      const peer = await live()
      const ids = ['1', '2', '3']
      const sent = ids.map(id => send('a2.example', 'b.example', id))
      await expectKey(peer, 'a2.example', 'b.example')
      await peer.expectNothing()
      sent.push(send('a2.example', 'b.example', '4'))
      answer(peer, 'a2.example', 'b.example')
      for (const id of [...ids, '4']) await peer.expect('message', undefined, { id })
      await world.run(Promise.all(sent))
      peer.close()
    })

    it('its report says what was joined, explains it, and replays to the same level', async () => {
      const peer = await live()
      void send('a2.example', 'c.example', 'x')
      await expectKey(peer, 'a2.example', 'c.example')
      answer(peer, 'a2.example', 'c.example')
      await peer.expect('message', undefined, { id: 'x' })
      const report = reports[1] ?? assert.fail('no report')
      const [link] = engine.links()
      assert.deepEqual(
        trace(1).flatMap(({ step, outcome }) => (step === 'policy' ? [] : [`${step} ${outcome}`])),
        [
          'resolve ok',
          'connect ok',
          'open-stream ok',
          'negotiate-tls ok',
          'check-certificate ok',
          'open-stream ok',
          'sasl-external absent',
          'dialback ok',
          'establish ok'
        ]
      )
      assert.deepEqual(connections(1), [`ok ${link?.id}`])
      assert.deepEqual([report.level, report.pairs.length, report.endpoint?.host], ['tls-dialback', 1, 'xmpp.c.example'])
      assert.deepEqual([reports[0]?.pairs.length, link?.report.pairs.length], [1, 1])
      const lines = explain(report).split('\n')
      assert.match(lines[0] ?? '', /^a2\.example → c\.example: tls-dialback$/u)
      assert.match(lines[2] ?? '', new RegExp(`connect +192\\.0\\.2\\.200:5269, joining the live link ${link?.id}$`, 'u'))
      const replayed = replay(report, policies.ladder())
      assert.equal('unknown' in replayed ? replayed.unknown : replayed.level, 'tls-dialback')
      const stricter = replay(report, policies.strict())
      assert.equal('unknown' in stricter ? stricter.unknown : stricter.level, undefined)
      peer.close()
    })

    it('another sender looks nothing up, and its report replays all the same', async () => {
      const peer = await live()
      world.network.zone.fail('_xmpp-server._tcp.b.example')
      const lookups = world.network.zone.lookups.length
      void send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example')
      await peer.expect('message', undefined, { id: 'x' })
      assert.equal(world.network.zone.lookups.length, lookups)
      const replayed = replay(reports[1] ?? assert.fail('no report'), policies.ladder())
      assert.equal('unknown' in replayed ? replayed.unknown : replayed.level, 'tls-dialback')
      peer.close()
    })

    it('pairs of a stream share its acknowledgements', async () => {
      const features = { ...ERRORS, other: `<sm ${SM}/>` }
      await start()
      const first = send('a.example', 'b.example', 'first')
      const peer = await opened('a.example', 'b.example', features)
      await expectKey(peer, 'a.example', 'b.example')
      answer(peer, 'a.example', 'b.example')
      await peer.expect('enable', 'urn:xmpp:sm:3')
      peer.send(`<enabled ${SM} id='r1' resume='true'/>`)
      await peer.expect('message', undefined, { id: 'first' })
      await peer.expect('r')
      const second = send('a.example', 'c.example', 'second')
      await expectKey(peer, 'a.example', 'c.example')
      answer(peer, 'a.example', 'c.example')
      await peer.expect('message', undefined, { id: 'second' })
      peer.send(`<a ${SM} h='1'/>`)
      assert.equal(await world.run(first), 'acknowledged')
      peer.reset()
      assert.equal((await world.run(rejection(second))).code, 'S2S_IN_DOUBT')
    })

    it('a stream that was negotiated again after SASL takes pairs under the id of its last header', async () => {
      await start({ domains: { 'a.example': world.authority.issue('a.example', { now: world.clock.now() }), 'a2.example': undefined } })
      void send('a.example', 'b.example', 'first')
      const again = await opened('a.example', 'b.example', { mechanisms: ['EXTERNAL'], ...ERRORS })
      await again.expect('auth')
      again.send(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
      again.restart()
      await again.expectHeader()
      again.sendHeader({ from: 'b.example', to: 'a.example', id: 'after' })
      again.sendFeatures(ERRORS)
      await again.expect('message', undefined, { id: 'first' })
      void send('a2.example', 'b.example', 'second')
      await expectKey(again, 'a2.example', 'b.example', 'after')
      answer(again, 'a2.example', 'b.example')
      await again.expect('message', undefined, { id: 'second' })
      const [link] = engine.links()
      assert.equal(link?.level, 'tls-dialback')
      assert.deepEqual(
        link.pairs.map(({ level }) => level),
        ['sasl-external', 'tls-dialback']
      )
      again.close()
    })
  })

  describe('a connection of its own', () => {
    /** The next pair dials, and its report says why it did not join. */
    async function expectDialled(from: string, to: string, because: string | undefined): Promise<void> {
      const before = reports.length
      const sent = send(from, to, 'own')
      const own = await expectOwn(from, to, 'own')
      await world.run(sent)
      assert.deepEqual(connections(before), because === undefined ? ['ok dialled'] : [`skipped ${because}`, 'ok dialled'])
      own.close()
    }

    it('is what each pair has where multiplexing is off', async () => {
      const peer = await live({ extensions: { multiplexing: false } })
      await expectDialled('a2.example', 'b.example', undefined)
      peer.close()
    })

    it('is what a probe makes', async () => {
      const peer = await live()
      const probed = engine.probe(pairOf('a2.example', 'b.example'))
      const own = await opened('a2.example', 'b.example', ERRORS, 's2')
      await expectKey(own, 'a2.example', 'b.example', 's2')
      answer(own, 'a2.example', 'b.example')
      assert.equal((await world.run(probed)).level, 'tls-dialback')
      await peer.expectNothing()
      own.close()
      peer.close()
    })

    it('[XEP0220-2.6.2-a] [RFC7712-4.4.2-a] is what another target has where dialback errors are not advertised', async () => {
      const peer = await live({}, { dialback: 'without-errors' })
      await expectDialled('a.example', 'c.example', undefined)
      await peer.expectNothing()
      peer.close()
    })

    it('is what another sender has there too, and the report says so', async () => {
      const peer = await live({}, { dialback: 'without-errors' })
      await expectDialled('a2.example', 'b.example', 'no-dialback-errors')
      await peer.expectNothing()
      peer.close()
    })

    const ELSEWHERE: Readonly<Record<string, () => void>> = {
      'at another address': () => world.network.zone.addresses('xmpp.c.example', ['192.0.2.201']),
      'at another port': () => world.network.zone.srv('_xmpp-server._tcp.c.example', [{ target: 'xmpp.c.example', port: 5299 }]),
      'by direct TLS': () => {
        world.network.zone.remove('_xmpp-server._tcp.c.example')
        world.network.zone.srv('_xmpps-server._tcp.c.example', [{ target: 'xmpp.c.example', port: 5269 }])
      },
      'nobody knows where': () => world.network.zone.fail('xmpp.c.example')
    }
    for (const [where, move] of Object.entries(ELSEWHERE))
      it(`[XEP0220-2.6.2-a] [RFC7712-4.4.2-a] is what another target has that is served ${where}`, async () => {
        const peer = await live()
        move()
        const failed = rejection(send('a.example', 'c.example', 'x'))
        await world.clock.settle()
        await peer.expectNothing()
        for (let waiting = listener.waiting; waiting > 0; waiting -= 1) (await listener.accept()).reset()
        await world.run(failed)
        assert.ok(!connections(1).some(each => each.startsWith('ok') && each !== 'ok dialled'))
        peer.close()
      })

    it('[XEP0220-2.6.2-a] one of several servers of the target is enough', async () => {
      const peer = await live()
      world.network.zone.addresses('xmpp.c.example', ['192.0.2.201'])
      world.network.zone.server('c.example', { host: 'backup.c.example', addresses: ['192.0.2.202', ADDRESS], priority: 9 })
      void send('a.example', 'c.example', 'x')
      await expectKey(peer, 'a.example', 'c.example')
      answer(peer, 'a.example', 'c.example')
      await peer.expect('message', undefined, { id: 'x' })
      assert.equal(reports[1]?.endpoint?.host, 'backup.c.example')
      peer.close()
    })

    it('[XEP0220-2.6.2-a] [RFC7712-4.4.2-a] is what a target has that the certificate of the stream does not name', async () => {
      world.network.zone.server('d.example', { addresses: [ADDRESS] })
      const peer = await live({ policy: policies.ladder({ invalidCertificate: 'encrypt-only' }) })
      await expectDialled('a.example', 'd.example', 'certificate-of-others')
      await peer.expectNothing()
      peer.close()
    })

    const guards: Readonly<Record<string, readonly [Partial<Omit<Guard, 'kind' | 'name'>>, string]>> = {
      'rejects the certificate for it': [
        { certificate: ({ local }) => (local === 'a2.example' ? 'reject' : undefined) },
        'certificate-rejected'
      ],
      'has no pin for it that matches': [
        { pins: ({ local }) => (local === 'a2.example' ? [{ leaf256: '00' }] : undefined) },
        'certificate-rejected'
      ],
      'wants more of it than dialback': [
        { minimumLevel: ({ local }) => (local === 'a2.example' ? 'sasl-external' : 'plain-dialback') },
        'no-proof'
      ]
    }
    for (const [what, [guard, because]] of Object.entries(guards))
      it(`is what a pair tries whose guard ${what}, and then it has no link at all`, async () => {
        const peer = await live({ guards: [{ kind: 'guard', name: 'strict', ...guard }] })
        const failed = rejection(send('a2.example', 'b.example', 'x'))
        const own = await listener.accept()
        await own.expectHeader()
        own.reset()
        await world.run(failed)
        assert.deepEqual(connections(1), [`skipped ${because}`, 'ok dialled'])
        await peer.expectNothing()
        peer.close()
      })

    it('is not even tried for a pair that policy does not admit', async () => {
      const peer = await live({ policy: { admit: ({ local }) => (local === 'a2.example' ? 'refuse' : 'admit') } })
      assert.equal((await world.run(rejection(send('a2.example', 'b.example', 'x')))).code, 'S2S_POLICY')
      await peer.expectNothing()
      assert.equal(listener.waiting, 0)
      peer.close()
    })

    it('is what a pair has that EXTERNAL may prove: no level is lowered for a connection saved', async () => {
      const dialbackOnly: Policy = { proofs: ({ local }) => (local === 'a.example' ? ['dialback'] : undefined) }
      const peer = await live({ policy: dialbackOnly }, { mechanisms: ['EXTERNAL'], ...ERRORS })
      const sent = send('a2.example', 'b.example', 'own')
      const own = await opened('a2.example', 'b.example', { mechanisms: ['EXTERNAL'], ...ERRORS }, 's2')
      await own.expect('auth')
      own.send(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)
      own.restart()
      await own.expectHeader()
      own.sendHeader({ from: 'b.example', to: 'a2.example', id: 's3' })
      own.sendFeatures({})
      await own.expect('message', undefined, { id: 'own' })
      await world.run(sent)
      assert.deepEqual(connections(1), ['skipped better-proof', 'ok dialled'])
      assert.equal(reports[1]?.level, 'sasl-external')
      own.close()
      peer.close()
    })

    it('is what a pair has beside a link in clear', async () => {
      await start({ policy: policies.ladder({ tls: 'never' }) })
      for (const from of ['a.example', 'a2.example']) {
        void send(from, 'b.example', from)
        const peer = await listener.accept()
        await peer.expectHeader({ from, to: 'b.example' })
        peer.sendHeader({ from: 'b.example', to: from, id: 's1' })
        peer.sendFeatures(ERRORS)
        await expectKey(peer, from, 'b.example')
        answer(peer, from, 'b.example')
        await peer.expect('message', undefined, { id: from })
        peer.close()
      }
    })

    it('is what the third pair has where two is as many as may share', async () => {
      const peer = await live({ limits: { pairsPerStream: 2 } })
      void send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      await expectDialled('a3.example', 'b.example', 'stream-full')
      answer(peer, 'a2.example', 'b.example')
      await peer.expect('message', undefined, { id: 'x' })
      peer.close()
    })
  })

  describe('what the peer answers', () => {
    it('[XEP0220-2.5-b] resource-constraint leads to one connection of its own', async () => {
      const peer = await live()
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example', 'error', 'resource-constraint')
      const own = await expectOwn('a2.example', 'b.example', 'own')
      await world.run(sent)
      const [link] = engine.links()
      assert.deepEqual(connections(1), [`ok ${link?.id}`, 'ok dialled'])
      const refused = trace(1).find(entry => entry.step === 'dialback')
      assert.deepEqual([refused?.outcome, refused?.code], ['refused', 'S2S_DIALBACK_ERROR'])
      assert.equal(refused?.step === 'dialback' ? refused.facts.condition : undefined, 'resource-constraint')
      const replayed = replay(reports[1] ?? assert.fail('no report'), policies.ladder())
      assert.equal('unknown' in replayed ? replayed.unknown : replayed.level, 'tls-dialback')
      own.close()
      assert.equal(await world.run(send('a.example', 'b.example', 'still')), 'written')
      await peer.expect('message', undefined, { id: 'still' })
      peer.close()
    })

    it('[XEP0220-2.5-b] resource-constraint there as well bounces', async () => {
      const peer = await live()
      const failed = rejection(send('a2.example', 'b.example', 'own'))
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example', 'error', 'resource-constraint')
      const own = await opened('a2.example', 'b.example', ERRORS, 's2')
      await expectKey(own, 'a2.example', 'b.example', 's2')
      answer(own, 'a2.example', 'b.example', 'error', 'resource-constraint')
      const error = await world.run(failed)
      assert.deepEqual(
        [error.code, error.stanzaCondition, error.condition],
        ['S2S_DIALBACK_ERROR', 'remote-server-timeout', 'resource-constraint']
      )
      assert.equal(listener.waiting, 0)
      own.close()
      peer.close()
    })

    for (const condition of ['item-not-found', 'policy-violation', 'forbidden', 'remote-server-timeout'])
      it(`[XEP0220-2.1.1-c] ${condition} bounces with remote-server-timeout, and the stream lives for the others`, async () => {
        const peer = await live()
        const failed = rejection(send('a.example', 'c.example', 'x'))
        await expectKey(peer, 'a.example', 'c.example')
        answer(peer, 'a.example', 'c.example', 'error', condition)
        const error = await world.run(failed)
        assert.deepEqual([error.code, error.stanzaCondition, error.condition], ['S2S_DIALBACK_ERROR', 'remote-server-timeout', condition])
        assert.equal(listener.waiting, 0)
        assert.equal(await world.run(send('a.example', 'b.example', 'still')), 'written')
        await peer.expect('message', undefined, { id: 'still' })
        peer.close()
      })

    it('[XEP0220-2.1.1-c] invalid bounces with internal-server-error; the other pairs leave the stream for a new one', async () => {
      const peer = await live()
      const failed = rejection(send('a2.example', 'b.example', 'x'))
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example', 'invalid')
      const error = await world.run(failed)
      assert.deepEqual(
        [error.code, error.stanzaCondition, error.stanzaErrorType],
        ['S2S_DIALBACK_INVALID', 'internal-server-error', 'cancel']
      )
      const moved = send('a.example', 'b.example', 'moved')
      await peer.expectClose()
      peer.close()
      const next = await expectOwn('a.example', 'b.example', 'moved')
      assert.equal(await world.run(moved), 'written')
      next.close()
    })

    it('invalid lets what is on its way be acknowledged before the stream ends', async () => {
      await start()
      const first = send('a.example', 'b.example', 'first')
      const peer = await opened('a.example', 'b.example', { ...ERRORS, other: `<sm ${SM}/>` })
      await expectKey(peer, 'a.example', 'b.example')
      answer(peer, 'a.example', 'b.example')
      await peer.expect('enable')
      peer.send(`<enabled ${SM}/>`)
      await peer.expect('message')
      await peer.expect('r')
      const failed = rejection(send('a.example', 'c.example', 'x'))
      await expectKey(peer, 'a.example', 'c.example')
      answer(peer, 'a.example', 'c.example', 'invalid')
      await world.run(failed)
      await peer.expectNothing()
      peer.send(`<a ${SM} h='1'/>`)
      assert.equal(await world.run(first), 'acknowledged')
      await peer.expectClose()
      peer.close()
    })

    it('[XEP0220-2.1.1-d] a stream that ends while a pair waits is as good as an error: the pair has one connection of its own', async () => {
      const peer = await live()
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      peer.close()
      const own = await expectOwn('a2.example', 'b.example', 'own')
      assert.equal(await world.run(sent), 'written')
      own.close()
    })

    it('an answer that does not come is no answer: after its time the pair has a connection of its own', async () => {
      const peer = await live({ timeouts: { dialback: 5_000 } })
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      await world.clock.advance(5_000)
      const own = await expectOwn('a2.example', 'b.example', 'own')
      await world.run(sent)
      answer(peer, 'a2.example', 'b.example')
      await peer.expectNothing()
      assert.equal(
        engine.links().find(link => link.pairs.length > 1),
        undefined
      )
      own.close()
      peer.close()
    })

    it('[XEP0220-2.1.1-b] [XEP0220-3.1-a] an answer counts once, for the pair and on the stream that was asked', async () => {
      const peer = await live()
      for (const type of ['valid', 'invalid', 'error']) {
        answer(peer, 'a3.example', 'b.example', type, type === 'error' ? 'forbidden' : undefined)
        answer(peer, 'a.example', 'b.example', type, type === 'error' ? 'forbidden' : undefined)
      }
      peer.send(`<db:verify from='b.example' to='a2.example' id='s1' type='valid'/>`)
      const sent = send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'c.example')
      answer(peer, 'a.example', 'b.example')
      peer.send(`<db:result from='a2.example' to='b.example' type='valid'/>`)
      peer.send(`<db:verify from='b.example' to='a2.example' id='s1' type='valid'/>`)
      await peer.expectNothing()
      assert.deepEqual(joined, ['a.example b.example on 1'])
      answer(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example', 'invalid')
      await peer.expect('message', undefined, { id: 'x' })
      await world.run(sent)
      assert.deepEqual(joined, ['a.example b.example on 1', 'a2.example b.example on 2'])
      assert.equal(await world.run(send('a.example', 'b.example', 'still')), 'written')
      peer.close()
    })
  })

  describe('on a stream that goes both ways', () => {
    let delivered: string[]
    const bothWays = { ...ERRORS, bidi: true }

    /** As {@link live}, on a stream on which the peer may send as well. */
    async function liveBothWays(options: Partial<FederationOptions> = {}): Promise<ScriptedPeer> {
      delivered = []
      await start({ onStanza: ({ id = '' }, { pair }) => void delivered.push(`${id} ${pairKey(pair.pair)} ${pair.level}`), ...options })
      void send('a.example', 'b.example', 'first')
      const peer = await opened('a.example', 'b.example', bothWays)
      await peer.expect('bidi', 'urn:xmpp:bidi')
      await expectKey(peer, 'a.example', 'b.example')
      answer(peer, 'a.example', 'b.example')
      await peer.expect('message', undefined, { id: 'first' })
      return peer
    }

    const back = (to: string, id: string, from = 'b.example'): string => `<message from='y@${from}' to='x@${to}' id='${id}'/>`

    it('the peer may send for the reversed pair right behind its answer, and for no pair before', async () => {
      const peer = await liveBothWays()
      const sent = send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      peer.send(back('a.example', '1'))
      peer.send(dialbackOf('result', { from: 'b.example', to: 'a2.example', type: 'valid' }) + back('a2.example', '2'))
      await peer.expect('message', undefined, { id: 'x' })
      await world.run(sent)
      assert.deepEqual(delivered, ['1 b.example a.example tls-dialback', '2 b.example a2.example tls-dialback'])
      peer.send(back('a3.example', '3'))
      await peer.expect('error')
      assert.equal(delivered.length, 2)
      peer.close()
    })

    it('[XEP0220-3.1-a] an answer that nobody asked for lets nothing back', async () => {
      const peer = await liveBothWays()
      answer(peer, 'a2.example', 'b.example')
      peer.send(back('a2.example', '1'))
      await peer.expect('error')
      assert.deepEqual(delivered, [])
      peer.close()
    })

    it('[XEP0288-2.2-f] goes on when the peer answers with an error: it sends nothing for such a pair', async () => {
      const peer = await liveBothWays()
      const failed = rejection(send('a2.example', 'b.example', 'x'))
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example', 'error', 'item-not-found')
      assert.equal((await world.run(failed)).code, 'S2S_DIALBACK_ERROR')
      await peer.expectNothing()
      peer.send(back('a.example', '1'))
      await world.clock.settle()
      assert.deepEqual(delivered, ['1 b.example a.example tls-dialback'])
      peer.close()
    })

    it('is not joined if it has ended while it was asked whether the other way may be', async () => {
      let admit: () => void = () => undefined
      const slow = new Promise<undefined>(resolve => (admit = () => resolve(undefined)))
      const peer = await liveBothWays({
        guards: [
          {
            kind: 'guard',
            name: 'slow',
            admit: ({ direction, local }) => (direction === 'incoming' && local === 'a2.example' ? slow : undefined)
          }
        ]
      })
      const sent = send('a2.example', 'b.example', 'own')
      await world.clock.settle()
      peer.close()
      await world.clock.settle()
      admit()
      const own = await expectOwn('a2.example', 'b.example', 'own')
      await world.run(sent)
      assert.deepEqual(connections(1), ['skipped stream-ended', 'ok dialled'])
      own.close()
    })

    it('a pair whose other way is not admitted has a connection of its own, one way', async () => {
      const guard: Guard = {
        kind: 'guard',
        name: 'one-way',
        admit: ({ direction, local }) => (direction === 'incoming' && local === 'a2.example' ? 'refuse' : undefined)
      }
      const peer = await liveBothWays({ guards: [guard] })
      const sent = send('a2.example', 'b.example', 'own')
      const own = await opened('a2.example', 'b.example', bothWays, 's2')
      await expectKey(own, 'a2.example', 'b.example', 's2')
      answer(own, 'a2.example', 'b.example')
      await own.expect('message', undefined, { id: 'own' })
      await world.run(sent)
      assert.deepEqual(connections(1), ['skipped other-way-refused', 'ok dialled'])
      own.close()
      peer.close()
    })

    it('takes nothing more when an answer is late: the peer could send back for a pair that nobody waits for', async () => {
      const peer = await liveBothWays({ timeouts: { dialback: 5_000 } })
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      await world.clock.advance(5_000)
      await peer.expectClose()
      peer.close()
      const own = await expectOwn('a2.example', 'b.example', 'own')
      await world.run(sent)
      own.close()
    })

    const refusing = (refused: string): Guard => ({
      kind: 'guard',
      name: 'refusing',
      admit: ({ direction, local }) => (direction === 'incoming' && local === refused ? 'refuse' : undefined)
    })
    const answeredAnd = (more: string): string => dialbackOf('result', { from: 'b.example', to: 'a2.example', type: 'valid' }) + more

    it('[XEP0288-2.2-d] nothing is delivered behind an answer before the settings of now have been asked whether it may come', async () => {
      const peer = await liveBothWays()
      const sent = send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      await engine.setGuards([refusing('a2.example')])
      peer.send(answeredAnd(back('a2.example', '1')))
      const own = await expectOwn('a2.example', 'b.example', 'x')
      assert.equal(await world.run(sent), 'written')
      await peer.expectClose()
      assert.deepEqual(delivered, [])
      assert.ok(!joined.some(each => each.startsWith('b.example a2.example')))
      peer.close()
      own.close()
    })

    it('what came behind an answer is delivered when the settings of now let it', async () => {
      let admit: () => void = () => undefined
      const slow = new Promise<undefined>(resolve => (admit = () => resolve(undefined)))
      const asked: string[] = []
      const peer = await liveBothWays()
      const sent = send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      const set = engine.setGuards([
        {
          kind: 'guard',
          name: 'slow',
          admit: peer => {
            asked.push(`${peer.direction} ${peer.local} ${peer.address ?? 'nowhere'}`)
            return slow
          }
        }
      ])
      peer.send(answeredAnd(back('a2.example', '1')))
      await world.clock.settle()
      assert.deepEqual(delivered, [])
      admit()
      await set
      await peer.expect('message', undefined, { id: 'x' })
      assert.equal(await world.run(sent), 'written')
      assert.ok(asked.includes('outgoing a2.example nowhere') && asked.includes(`incoming a2.example ${ADDRESS}`), asked.join())
      assert.deepEqual(delivered, ['1 b.example a2.example tls-dialback'])
      peer.close()
    })

    it('a link on which it is still being asked whether a pair may join ends politely all the same: what the peer still sends is delivered', async () => {
      const peer = await liveBothWays()
      const sent = send('a2.example', 'b.example', 'x').catch(() => undefined)
      await expectKey(peer, 'a2.example', 'b.example')
      void engine.setGuards([{ kind: 'guard', name: 'endless', admit: () => new Promise<undefined>(() => undefined) }])
      answer(peer, 'a2.example', 'b.example')
      await world.clock.settle()
      for (const link of engine.links()) void link.close()
      await peer.expectClose()
      peer.send(back('a.example', 'late'))
      await world.clock.settle()
      assert.deepEqual(delivered, ['late b.example a.example tls-dialback'])
      peer.close()
      await world.clock.advance(10_000)
      assert.deepEqual(engine.links(), [])
      await engine.setGuards([])
      await world.run(engine.stop())
      await sent
    })

    it('of a link that is reset, nothing more is delivered from the moment at which the new settings are in force', async () => {
      const peer = await liveBothWays()
      const [link] = engine.links()
      const closing = link?.close()
      await peer.expectClose()
      const set = engine.setGuards([refusing('a.example')])
      await set
      peer.send(back('a.example', '1'))
      await world.clock.settle()
      assert.deepEqual(delivered, [])
      peer.close()
      await world.run(closing ?? Promise.resolve())
    })
  })

  describe('settings that change meanwhile', () => {
    const onlyFor = (refused: string): Guard => ({
      kind: 'guard',
      name: 'only-for',
      admit: ({ local }) => (local === refused ? 'refuse' : undefined)
    })

    it('that change again while a pair is judged by them judge it anew', async () => {
      let admit: () => void = () => undefined
      const slow = new Promise<undefined>(resolve => (admit = () => resolve(undefined)))
      const peer = await live()
      const failed = rejection(send('a2.example', 'b.example', 'x'))
      await expectKey(peer, 'a2.example', 'b.example')
      const first = engine.setGuards([{ kind: 'guard', name: 'slow', admit: ({ local }) => (local === 'a2.example' ? slow : undefined) }])
      answer(peer, 'a2.example', 'b.example')
      await world.clock.settle()
      const second = engine.setGuards([onlyFor('a2.example')])
      admit()
      await Promise.all([first, second])
      assert.equal((await world.run(failed)).code, 'S2S_POLICY')
      assert.deepEqual(joined, ['a.example b.example on 1'])
      await peer.expectNothing()
      peer.close()
    })

    it('keep a pair off the stream that may not be on it any more when it is answered', async () => {
      const peer = await live()
      const failed = rejection(send('a2.example', 'b.example', 'x'))
      await expectKey(peer, 'a2.example', 'b.example')
      await engine.setGuards([onlyFor('a2.example')])
      answer(peer, 'a2.example', 'b.example')
      assert.equal((await world.run(failed)).code, 'S2S_POLICY')
      assert.deepEqual(joined, ['a.example b.example on 1'])
      await peer.expectNothing()
      peer.close()
    })

    it('give a pair whose stream is lost while it is asked about another one, and the lost one is resumed for the pair it was made for', async () => {
      await start()
      const first = send('a.example', 'b.example', '1')
      const peer = await opened('a.example', 'b.example', { ...ERRORS, other: `<sm ${SM}/>` })
      await expectKey(peer, 'a.example', 'b.example')
      answer(peer, 'a.example', 'b.example')
      await peer.expect('enable')
      peer.send(`<enabled ${SM} id='lost' resume='true'/>`)
      await peer.expect('message', undefined, { id: '1' })
      await peer.expect('r')
      const second = send('a2.example', 'b.example', '2')
      await expectKey(peer, 'a2.example', 'b.example')
      let admit: () => void = () => undefined
      const slow = new Promise<undefined>(resolve => (admit = () => resolve(undefined)))
      const isSlow = { now: true }
      const set = engine.setGuards([
        { kind: 'guard', name: 'slow', admit: ({ local }) => (isSlow.now && local === 'a2.example' ? slow : undefined) }
      ])
      answer(peer, 'a2.example', 'b.example')
      await world.clock.settle()
      peer.reset()
      const again = await opened('a.example', 'b.example', { ...ERRORS, other: `<sm ${SM}/>` }, 's2')
      await expectKey(again, 'a.example', 'b.example', 's2')
      isSlow.now = false
      admit()
      await set
      const own = await opened('a2.example', 'b.example', { ...ERRORS, other: `<sm ${SM}/>` }, 's3')
      await expectKey(own, 'a2.example', 'b.example', 's3')
      answer(own, 'a2.example', 'b.example')
      await own.expect('enable')
      own.send(`<enabled ${SM}/>`)
      await own.expect('message', undefined, { id: '2', from: 'x@a2.example' })
      answer(again, 'a.example', 'b.example')
      await again.expect('resume', undefined, { previd: 'lost' })
      again.send(`<resumed ${SM} previd='lost' h='0'/>`)
      await again.expect('message', undefined, { id: '1', from: 'x@a.example' })
      again.send(`<a ${SM} h='1'/>`)
      assert.equal(await world.run(first), 'acknowledged')
      own.send(`<a ${SM} h='1'/>`)
      assert.equal(await world.run(second), 'acknowledged')
      again.close()
      own.close()
    })

    it('let a pair join that stands under them', async () => {
      const peer = await live()
      const sent = send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      await engine.setGuards([onlyFor('a3.example')])
      answer(peer, 'a2.example', 'b.example')
      await peer.expect('message', undefined, { id: 'x' })
      await world.run(sent)
      peer.close()
    })

    it('end a stream on which one pair may not go on; the others have another', async () => {
      const peer = await live()
      void send('a2.example', 'b.example', 'x')
      await expectKey(peer, 'a2.example', 'b.example')
      answer(peer, 'a2.example', 'b.example')
      await peer.expect('message', undefined, { id: 'x' })
      await engine.setGuards([onlyFor('a2.example')])
      await peer.expectStreamError('reset')
      peer.close()
      await world.clock.settle()
      const sent = send('a.example', 'b.example', 'y')
      const next = await expectOwn('a.example', 'b.example', 'y')
      assert.equal(await world.run(sent), 'written')
      next.close()
    })
  })

  describe('the end of a stream', () => {
    it('that a pair has joined at this very moment: the pair has a connection of its own', async () => {
      const peer = await live()
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      engine.on('negotiation-ended', () => {
        for (const link of engine.links()) void link.close()
      })
      answer(peer, 'a2.example', 'b.example')
      await peer.expectClose()
      peer.close()
      const own = await expectOwn('a2.example', 'b.example', 'own')
      assert.equal(await world.run(sent), 'written')
      assert.deepEqual(joined, ['a.example b.example on 1', 'a2.example b.example on 1'])
      own.close()
    })

    it('that ends right behind the answer: the same negotiation goes on with a connection of its own', async () => {
      const peer = await live()
      const sent = send('a2.example', 'b.example', 'own')
      await expectKey(peer, 'a2.example', 'b.example')
      peer.send(`${dialbackOf('result', { from: 'b.example', to: 'a2.example', type: 'valid' })}</stream:stream>`)
      const own = await expectOwn('a2.example', 'b.example', 'own')
      await world.run(sent)
      assert.equal(reports.length, 2)
      assert.deepEqual(connections(1).slice(1), ['ok dialled'])
      peer.hangUp()
      own.close()
    })

    it('that was lost: its pair resumes it on a connection of its own, and joins no other before', async () => {
      await start()
      const managed = { ...ERRORS, other: `<sm ${SM}/>` }
      const first = send('a.example', 'b.example', '1')
      const second = send('a2.example', 'b.example', '2')
      const peers: ScriptedPeer[] = []
      for (const from of ['a.example', 'a2.example']) {
        const peer = await opened(from, 'b.example', managed, from)
        await expectKey(peer, from, 'b.example', from)
        answer(peer, from, 'b.example')
        await peer.expect('enable')
        peer.send(`<enabled ${SM} id='${from}' resume='true'/>`)
        await peer.expect('message')
        peers.push(peer)
      }
      peers[0]?.reset()
      const again = await opened('a.example', 'b.example', managed, 's3')
      await expectKey(again, 'a.example', 'b.example', 's3')
      answer(again, 'a.example', 'b.example')
      await again.expect('resume', undefined, { previd: 'a.example' })
      again.send(`<resumed ${SM} previd='a.example' h='1'/>`)
      peers[1]?.send(`<a ${SM} h='1'/>`)
      assert.deepEqual(await world.run(Promise.all([first, second])), ['acknowledged', 'acknowledged'])
      for (const peer of [again, ...peers.slice(1)]) peer.close()
    })
  })

  describe('the end of a stream with several pairs', () => {
    it('each of them has a link again, in order', async () => {
      const peer = await live()
      void send('a.example', 'c.example', 'x')
      await expectKey(peer, 'a.example', 'c.example')
      answer(peer, 'a.example', 'c.example')
      await peer.expect('message', undefined, { id: 'x' })
      peer.close()
      await world.clock.settle()
      assert.deepEqual(engine.links(), [])
      const reported = reports.length
      const sent = [send('a.example', 'c.example', '1'), send('a.example', 'c.example', '2')]
      const next = await expectOwn('a.example', 'c.example', '1')
      assert.deepEqual(connections(reported), ['ok dialled'], 'what has ended is not thought of any more')
      await next.expect('message', undefined, { id: '2' })
      sent.push(send('a.example', 'b.example', '3'))
      await expectKey(next, 'a.example', 'b.example', 's2')
      answer(next, 'a.example', 'b.example')
      await next.expect('message', undefined, { id: '3' })
      await world.run(Promise.all(sent))
      next.close()
    })

    it('stopping the engine while a pair waits rejects what waits with it', async () => {
      const peer = await live()
      const failed = rejection(send('a2.example', 'b.example', 'x'))
      await expectKey(peer, 'a2.example', 'b.example')
      const stopped = engine.stop()
      assert.equal((await world.run(failed)).code, 'S2S_STOPPED')
      await peer.expectStreamError('system-shutdown')
      peer.close()
      await world.run(stopped)
    })
  })
})

describe('multiplexing between two engines', () => {
  let world: World
  beforeEach(() => {
    world = createWorld({ latency: 3 })
  })
  afterEach(async () => {
    await world.stop()
    assert.equal(world.clock.pendingTimers, 0)
  })

  const names = (letter: string): readonly string[] => [1, 2, 3, 4, 5].map(n => `${letter}${n}.example`)

  /** An engine for five domains at one address, found by SRV. */
  async function hosting(letter: string, options: Partial<FederationOptions>): Promise<Federation> {
    const [first = '', ...others] = names(letter)
    const engine = await world.engine(first, { random: () => 0, ...options })
    for (const name of others) world.network.zone.server(name, { addresses: [world.addressOf(first)] })
    return engine
  }

  const message = (from: string, to: string, id: string): Element => new Element('message', { from: `x@${from}`, to: `y@${to}`, id })

  it('carries every pair of the domains behind two addresses on one stream, in order, and each pair knows its own level', async () => {
    const delivered = new Map<string, string[]>()
    const [b1 = '', ...others] = names('b')
    const certificate = world.authority.issue(b1, { alsoFor: others, now: world.clock.now() })
    const a = await hosting('a', { domains: Object.fromEntries(names('a').map(name => [name, undefined])) })
    const b = await hosting('b', {
      domains: Object.fromEntries(names('b').map(name => [name, certificate])),
      onStanza: ({ id = '' }, { link, pair }) => {
        assert.ok(link.pairs.includes(pair))
        const key = pairKey(pair.pair)
        delivered.set(key, [...(delivered.get(key) ?? []), id])
      }
    })
    await world.run(a.connect(pairOf('a1.example', b1)))
    const pairs = names('a').flatMap(from => names('b').map(to => ({ from, to })))
    for (const { from, to } of pairs) await world.run(Promise.all(['1', '2', '3'].map(id => a.send(message(from, to, id)))))
    const [link, ...more] = a.links().filter(({ direction }) => direction === 'outgoing')
    assert.equal(more.length, 0)
    assert.deepEqual([link?.pairs.length, link?.level], [25, 'tls-dialback'])
    assert.deepEqual(
      [...delivered.values()],
      pairs.map(() => ['1', '2', '3'])
    )
    const incoming = b.links().filter(({ direction }) => direction === 'incoming')
    assert.deepEqual(
      incoming.map(each => each.pairs.length),
      [25]
    )
  })

  it('burst after burst, everybody gets through: a stream that is busy or full leaves the rest to others', async () => {
    const [b1 = '', ...others] = names('b')
    const certificate = world.authority.issue(b1, { alsoFor: others, now: world.clock.now() })
    const a = await hosting('a', { domains: Object.fromEntries(names('a').map(name => [name, undefined])), limits: { pairsPerStream: 7 } })
    const ids: string[] = []
    await hosting('b', {
      domains: Object.fromEntries(names('b').map(name => [name, certificate])),
      limits: { verificationsPerSender: 64 },
      onStanza: ({ id = '' }) => void ids.push(id)
    })
    await world.run(a.connect(pairOf('a1.example', b1)))
    const sent = names('a').flatMap(from => names('b').map(to => a.send(message(from, to, `${from} ${to}`))))
    await world.run(Promise.all(sent))
    assert.equal(new Set(ids).size, 25)
    const links = a.links().filter(({ direction }) => direction === 'outgoing')
    assert.ok(links.every(({ pairs }) => pairs.length <= 7))
    assert.equal(links.flatMap(({ pairs }) => pairs).length, 25)
    for (const each of world.network.wires) each.reset()
    await world.clock.advance(10)
    assert.deepEqual(a.links(), [])
    const again = names('a').flatMap(from => names('b').map(to => a.send(message(from, to, `again ${from} ${to}`))))
    await world.run(Promise.all(again))
    assert.equal(new Set(ids).size, 50)
  })

  it('gives each pair of engines that could use EXTERNAL a stream of its own', async () => {
    const [b1 = '', ...others] = names('b')
    const issue = (name: string, alsoFor: readonly string[] = []) => world.authority.issue(name, { alsoFor, now: world.clock.now() })
    const a = await hosting('a', { domains: Object.fromEntries(names('a').map(name => [name, issue(name)])) })
    await hosting('b', { domains: Object.fromEntries(names('b').map(name => [name, issue(b1, others)])) })
    for (const from of names('a')) await world.run(a.connect(pairOf(from, b1)))
    assert.deepEqual(
      a.links().map(({ level, pairs }) => [level, pairs.filter(({ flow }) => flow === 'send').length]),
      names('a').map(() => ['sasl-external', 1])
    )
  })

  it('[RFC6120-10.1-b] accounts for every stanza of pairs that share links which close and break, each pair in order', async function () {
    this.timeout(60_000)
    const MESSAGES = 5_000
    const random = seeded(7)
    const [b1 = '', ...others] = names('b')
    const certificate = world.authority.issue(b1, { alsoFor: others, now: world.clock.now() })
    const options = { limits: { queuedStanzas: MESSAGES, verificationsPerSender: 64 } }
    const a = await hosting('a', { ...options, domains: Object.fromEntries(names('a').map(name => [name, undefined])) })
    const delivered = new Map<string, number[]>()
    await hosting('b', {
      ...options,
      domains: Object.fromEntries(names('b').map(name => [name, certificate])),
      onStanza: ({ id = '' }, { pair }) => {
        const key = pairKey(pair.pair)
        delivered.set(key, [...(delivered.get(key) ?? []), Number(id)])
      }
    })
    let most = 0
    a.on('pair-authenticated', ({ link }) => (most = Math.max(most, link.pairs.length)))
    const ends: Promise<string>[] = []
    for (let n = 0; n < MESSAGES; n += 1) {
      const from = names('a')[Math.floor(random() * 2)] ?? ''
      const to = names('b')[Math.floor(random() * 3)] ?? ''
      ends.push(a.send(message(from, to, `${n}`)).catch((error: unknown) => FederationError.from(error).code))
      const dice = random()
      if (dice < 0.05) await world.clock.advance(Math.ceil(random() * 60))
      if (dice < 0.003) world.network.wires[Math.floor(random() * world.network.wires.length)]?.reset()
      else if (dice < 0.006) void a.links()[0]?.close()
    }
    const codes = await world.run(Promise.all(ends))
    const arrived = [...delivered.values()].flat()
    for (const ids of delivered.values()) assert.ok(ids.every((id, at) => at === 0 || id > (ids[at - 1] ?? Infinity)))
    assert.equal(new Set(arrived).size, arrived.length)
    const numbers = new Set(arrived)
    for (const [n, code] of codes.entries()) {
      if (code === 'acknowledged') assert.ok(numbers.has(n), `${n} was acknowledged`)
      else if (code !== 'written' && code !== 'S2S_IN_DOUBT') assert.ok(!numbers.has(n), `${n} was rejected with ${code}`)
    }
    assert.ok(arrived.length > MESSAGES / 2, `${arrived.length} arrived`)
    assert.ok(most > 2, `${most} pairs on one link`)
  })
})

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
