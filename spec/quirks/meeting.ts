import assert from 'node:assert/strict'
import { AssertionError } from 'node:assert/strict'
import { Element } from 'ltx'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import { FederationError } from '../../lib/errors.ts'
import { bounce } from '../../lib/links/bounce.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Report } from '../../lib/model/report.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { playInitiating } from '../../lib/testing/initiating-script.ts'
import type { Initiated, InitiatingScript } from '../../lib/testing/initiating-script.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network } from '../../lib/testing/network.ts'
import { playReceiving } from '../../lib/testing/receiving-script.ts'
import type { ReceivingScript } from '../../lib/testing/receiving-script.ts'
import { dialPeer, listenForPeers } from '../../lib/testing/scripted-connections.ts'
import type { ScriptedPeer } from '../../lib/testing/scripted-peer.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'

const US = '198.51.100.1'
const THEM = '198.51.100.2'
const START = Date.UTC(2027, 0, 1)
const authority = createAuthority({ now: START })
const tls = simulatedTls()
export const PAIR = { sender: domain('verona.example'), target: domain('padua.example') }

/** What padua.example does on a connection that it accepts: a script with quirks, or anything at all. */
export type Plays = Partial<ReceivingScript> | ((peer: ScriptedPeer, meeting: Meeting) => Promise<void>)

export interface MeetingOptions {
  /** What verona.example, the engine, shows. Default `valid`. */
  readonly ours?: CertificateState
  /** What padua.example shows; `missing`: it has no TLS. Default `valid`. */
  readonly theirs?: CertificateState
  readonly plays?: Plays
  /** padua.example speaks no TLS above 1.2. */
  readonly tls12?: boolean
  /** `direct`: padua.example takes TLS from the first byte. */
  readonly direct?: boolean
  readonly engine?: Partial<FederationOptions>
}

/** The engine, for verona.example, and a scripted padua.example, on one network and one clock. */
export interface Meeting {
  readonly clock: TestClock
  readonly network: Network
  readonly engine: Federation
  /** Ids of the stanzas that came, each behind its sender's domain. */
  readonly stanzas: string[]
  /** The connections that padua.example accepted. */
  readonly accepted: readonly ScriptedPeer[]
  readonly probe: () => Promise<Report>
  /** A connection of padua.example to the engine, on which nothing has been said. */
  readonly dial: () => Promise<ScriptedPeer>
  /** The same, as far as its proof. */
  readonly call: (script?: Partial<InitiatingScript>) => Promise<{ readonly peer: ScriptedPeer; readonly initiated: Initiated }>
  readonly message: (id: string, text?: string) => Element
}

/** Runs a meeting; afterwards no wire and no timer is left. */
export async function meet(options: MeetingOptions, run: (meeting: Meeting) => Promise<void>): Promise<void> {
  const { ours = 'valid', theirs = 'valid', plays = {}, direct = false, tls12 = false } = options
  const clock = createTestClock(START)
  const network = createNetwork()
  network.zone.server('verona.example', { addresses: [US] })
  network.zone.server('padua.example', { addresses: [THEM] })
  const stanzas: string[] = []
  const issue = (name: string, state: CertificateState) => (state === 'missing' ? undefined : authority.issue(name, { state, now: START }))
  const engine = createFederation({
    domains: { 'verona.example': issue('verona.example', ours) },
    onStanza: stanza => void stanzas.push(`${stanza.from.domain} ${stanza.id ?? ''}`),
    listen: [{ host: US, port: 5269 }],
    transport: network.transportFor(US),
    resolver: network.resolver,
    trust: { default: [authority.certificate] },
    allowPrivateAddresses: true,
    clock,
    tls,
    ...options.engine
  })
  await engine.start()
  const secure = {
    tls: tls12 ? simulatedTls({ protocol: 'TLS 1.2' }) : tls,
    credentials: issue('padua.example', theirs),
    deadline: 3_600_000,
    clock
  }
  const port = direct ? 5270 : 5269
  const listener = await listenForPeers(network.transportFor(THEM), { host: THEM, port }, { ...secure, ...(direct ? { direct: {} } : {}) })
  const accepted: ScriptedPeer[] = []
  listener.serve(async peer => {
    accepted.push(peer)
    await (typeof plays === 'function' ? plays(peer, meeting) : playReceiving(peer, { domain: 'padua.example', ...plays }))
  })
  const callers: ScriptedPeer[] = []
  const meeting: Meeting = {
    clock,
    network,
    engine,
    stanzas,
    accepted,
    probe: () => clock.run(engine.probe(PAIR)),
    async dial() {
      const peer = await dialPeer(network.transportFor(THEM), { address: US, port: 5269 }, secure)
      callers.push(peer)
      return peer
    },
    async call(script = {}) {
      const peer = await meeting.dial()
      return { peer, initiated: await clock.run(playInitiating(peer, { from: 'padua.example', to: 'verona.example', ...script })) }
    },
    message: (id, text = 'hark') =>
      new Element('message', { from: 'juliet@verona.example', to: 'petruchio@padua.example', id }).c('body').t(text).root()
  }
  try {
    await run(meeting)
  } finally {
    for (const { connection } of callers) connection.destroy()
    await clock.run(engine.stop())
    await clock.settle()
    await listener.close()
  }
  assert.deepEqual([network.wires.length, clock.pendingTimers], [0, 0], 'nothing is left open')
}

/** What an error is called, what the peer called it, and what a stanza that met it comes back as. */
function called(error: FederationError, stanza: Element): string {
  const bounced = bounce(stanza, error)?.getChild('error')?.getChildElements()[0]?.getName() ?? 'nothing'
  return `${error.code}${error.condition === undefined ? '' : ` ${error.condition}`}, bounced as ${bounced}`
}

/** The level that a link reaches, or what its error is called. */
export async function reached(options: MeetingOptions): Promise<{ readonly end: string; readonly transcripts: readonly string[] }> {
  const seen: { end: string; transcripts: readonly string[] }[] = []
  await meet(options, async meeting => {
    const end = await meeting.clock.run(
      meeting.engine.connect(PAIR).then(
        link => link.level,
        (error: unknown) => called(FederationError.from(error), meeting.message('1'))
      )
    )
    await meeting.clock.settle()
    seen.push({ end, transcripts: meeting.accepted.map(peer => peer.transcript) })
  })
  return seen[0] ?? assert.fail()
}

/** The level that an incoming padua.example is given, or what its script found instead. */
export async function admitted(options: MeetingOptions, script: Partial<InitiatingScript>): Promise<string> {
  const levels: string[] = []
  await meet(options, async meeting => {
    meeting.engine.on('pair-authenticated', ({ pair }) => levels.push(pair.level))
    try {
      const { peer } = await meeting.call(script)
      peer.send("<message from='petruchio@padua.example' to='juliet@verona.example' id='m1'><body>hark</body></message>")
      await meeting.clock.settle()
      assert.deepEqual(meeting.stanzas, ['padua.example m1'])
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error
      levels.push(error.message.split('\n')[0] ?? '')
    }
  })
  return levels.join()
}
