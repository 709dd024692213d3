import assert from 'node:assert/strict'
import { Element } from 'ltx'
import { createFederation } from '../lib/federation.ts'
import type { Federation } from '../lib/federation.ts'
import type { CertificateState } from '../lib/model/certificate.ts'
import type { PairStatus } from '../lib/model/report.ts'
import type { Policy } from '../lib/model/policy.ts'
import type { FederationOptions } from '../lib/options.ts'
import { block } from '../lib/policy/guards.ts'
import { layer } from '../lib/policy/layer.ts'
import { policies } from '../lib/policy/presets.ts'
import { createAuthority } from '../lib/testing/certificates.ts'
import { createTestClock } from '../lib/testing/clock.ts'
import type { TestClock } from '../lib/testing/clock.ts'
import { createNetwork } from '../lib/testing/network.ts'
import { listenForPeers } from '../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../lib/testing/simulated-tls.ts'
import { createWorld, pairOf } from './world.ts'

const START = Date.UTC(2027, 0, 1)
const authority = createAuthority({ now: START })
const stranger = createAuthority({ now: START })
const PAIR = pairOf('a.example', 'b.example')
const issued = new Map<string, ReturnType<typeof authority.issue>>()

function issue(name: string, state: CertificateState): ReturnType<typeof authority.issue> {
  const key = `${name} ${state}`
  if (!issued.has(key)) issued.set(key, authority.issue(name, { state, now: START }))
  return issued.get(key)
}

/** How the two meet where nothing changes. */
interface Ladder {
  readonly level: PairStatus['level']
  readonly states: Readonly<Record<'a' | 'b', CertificateState>>
  readonly policy: Policy
}
const encryptOnly = policies.ladder({ invalidCertificate: 'encrypt-only' })
const LADDERS: readonly Ladder[] = [
  { level: 'sasl-external', states: { a: 'valid', b: 'valid' }, policy: policies.ladder() },
  { level: 'tls-dialback', states: { a: 'expired', b: 'expired' }, policy: encryptOnly },
  { level: 'plain-dialback', states: { a: 'missing', b: 'missing' }, policy: policies.ladder() }
]

/** What is changed at a moment, and which pairs may be there afterwards on the side that changed it. */
interface Change {
  readonly what: string
  readonly make: (engine: Federation, name: string) => Promise<void>
  readonly permits: (pair: PairStatus) => boolean
}
const onlyWhileTrusted: Policy = { name: 'own', admit: ({ ours }) => (ours === 'trusted' ? undefined : 'refuse') }
const CHANGES: readonly Change[] = [
  { what: 'policy', make: engine => engine.setPolicy(policies.strict()), permits: ({ level }) => level === 'sasl-external' },
  {
    what: 'a policy that takes its time',
    make: engine => engine.setPolicy(layer({ admit: () => Promise.resolve('refuse') }, encryptOnly)),
    permits: () => false
  },
  { what: 'guards', make: engine => engine.setGuards([block(['a.example', 'b.example'])]), permits: () => false },
  {
    what: 'trust',
    make: engine => engine.reloadTrust({ default: [stranger.certificate] }),
    permits: ({ level, peerIdentity }) => peerIdentity === 'dns' && level !== 'sasl-external'
  },
  {
    what: 'our certificate',
    make: async (engine, name) => {
      await engine.setPolicy(layer(onlyWhileTrusted, encryptOnly))
      await engine.addDomain(name)
    },
    permits: () => false
  },
  { what: 'our domain', make: (engine, name) => engine.removeDomain(name), permits: () => false },
  {
    what: "the other server's domain, which becomes our own",
    make: (engine, name) => engine.addDomain(name === 'a.example' ? 'b.example' : 'a.example'),
    permits: () => false
  }
]

interface Pair {
  readonly clock: TestClock
  readonly engines: Readonly<Record<'a' | 'b', Federation>>
  readonly delivered: { count: number }
  stop(): Promise<void>
}

async function twoEngines({ states, policy }: Ladder): Promise<Pair> {
  const clock = createTestClock(START)
  const network = createNetwork({ clock })
  const delivered = { count: 0 }
  const make = async (name: 'a' | 'b', address: string): Promise<Federation> => {
    const hosted = `${name}.example`
    const options: FederationOptions = {
      domains: { [hosted]: issue(hosted, states[name]) },
      trust: { default: [authority.certificate] },
      resolver: network.resolver,
      transport: network.transportFor(address),
      tls: simulatedTls(),
      clock,
      random: () => 0,
      policy,
      allowPrivateAddresses: true,
      listen: [{ host: address, port: 5269 }],
      onStanza: () => void (delivered.count += 1)
    }
    const engine = createFederation(options)
    await engine.start()
    network.zone.server(hosted, { addresses: [address] })
    return engine
  }
  const engines = { a: await make('a', '192.0.2.1'), b: await make('b', '192.0.2.2') }
  return {
    clock,
    engines,
    delivered,
    async stop() {
      await clock.run(Promise.all([engines.a.stop(), engines.b.stop()]))
      await clock.settle()
      assert.deepEqual([network.wires.length, clock.pendingTimers], [0, 0], 'nothing is left')
    }
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
const message = (): Element => new Element('message', { from: 'x@a.example', to: 'y@b.example', id: '1' })

/** The turns of the event loop from the first step to the moment when both sides have their link. */
async function turnsOf(ladder: Ladder): Promise<number> {
  const two = await twoEngines(ladder)
  let turns = 0
  const meeting = { over: false }
  void two.engines.a.send(message()).then(() => (meeting.over = true))
  while (!meeting.over) {
    await turn()
    turns += 1
  }
  assert.deepEqual(
    [...two.engines.a.links(), ...two.engines.b.links()].map(({ level }) => level),
    [ladder.level, ladder.level]
  )
  await two.stop()
  return turns
}

/** One meeting with a change after so many turns. */
async function meetAndChange(ladder: Ladder, change: Change, side: 'a' | 'b', after: number): Promise<void> {
  const two = await twoEngines(ladder)
  const sent = two.engines.a.send(message()).catch(() => undefined)
  for (let turns = 0; turns < after; turns += 1) await turn()
  await change.make(two.engines[side], `${side}.example`)
  const { count } = two.delivered
  await two.clock.run(sent)
  await two.clock.settle()
  const forbidden = two.engines[side].links().flatMap(link => link.pairs.filter(pair => !change.permits(pair)))
  assert.deepEqual(forbidden, [], `${change.what} of ${side} after ${after} turns`)
  const nothingPermitted = !(['sasl-external', 'tls-dialback', 'plain-dialback'] as const).some(level =>
    change.permits({ pair: PAIR, flow: 'receive', level, peerIdentity: 'dns' })
  )
  if (side === 'b' && nothingPermitted) assert.equal(two.delivered.count, count, `delivered after ${change.what}, after ${after} turns`)
  await two.stop()
}

/** A peer that confirms every key without asking anybody, and says what stanzas came. */
async function gullible(peer: ScriptedPeer, heard: (id: string) => void): Promise<void> {
  for (let frame = await peer.next(); frame !== undefined && frame.kind !== 'close'; frame = await peer.next()) {
    if (frame.kind === 'header') {
      peer.sendHeader({ from: 'b.example', to: 'a.example', id: '1' })
      peer.sendFeatures({ dialback: 'with-errors' })
    } else if (frame.name === 'result') peer.send(`<db:result from='b.example' to='a.example' type='valid'/>`)
    else if (frame.name === 'message') heard(frame.id ?? '')
  }
  peer.close()
}

/** One call at a peer that says yes to everything, with a change after so many turns; never: how many turns it takes. */
async function callAndChange(change: ((engine: Federation) => Promise<void>) | undefined, after = Infinity): Promise<number> {
  const world = createWorld()
  const listener = await listenForPeers(world.network.transportFor('192.0.2.200'), { host: '192.0.2.200', port: 5269 })
  world.network.zone.server('b.example', { addresses: ['192.0.2.200'] })
  const heard: string[] = []
  listener.serve(peer => gullible(peer, id => heard.push(id)))
  const engine = await world.engine('a.example', { policy: policies.ladder({ tls: 'never' }) })
  const call = { over: false }
  const sent = engine.send(message()).then(
    () => (call.over = true),
    () => (call.over = true)
  )
  let turns = 0
  for (; turns < after && !call.over; turns += 1) await turn()
  if (change !== undefined) {
    await change(engine)
    await turn()
    const { length } = heard
    await world.run(sent)
    await world.clock.settle()
    assert.deepEqual([engine.links(), heard.length], [[], length], `after ${after} turns`)
  }
  await world.stop()
  await listener.close()
  return turns
}

describe('domains that come and go while a peer that says yes to everything is called', () => {
  const CHANGES_OF_DOMAIN: readonly (readonly [string, (engine: Federation) => Promise<void>])[] = [
    ['the sender is removed', engine => engine.removeDomain('a.example')],
    ['the target becomes our own', engine => engine.addDomain('b.example')]
  ]
  for (const [what, change] of CHANGES_OF_DOMAIN)
    it(`[ENG-STREAM-b] ${what}, at every moment: no link stands, and nothing is written any more`, async () => {
      const turns = await callAndChange(undefined)
      for (let after = 0; after <= turns + 2; after += 1) await callAndChange(change, after)
    })
})

describe('settings that change while a link is being negotiated', () => {
  for (const ladder of LADDERS) {
    let turns = 0
    before(async () => {
      turns = await turnsOf(ladder)
    })
    for (const change of CHANGES)
      for (const side of ['a', 'b'] as const)
        it(`${change.what} of the ${side === 'a' ? 'initiating' : 'receiving'} server, at every moment of ${ladder.level}: no link stands that they forbid`, async function () {
          this.timeout(60_000)
          for (let after = 0; after <= turns + 2; after += 1) await meetAndChange(ladder, change, side, after)
        })
  }
})
