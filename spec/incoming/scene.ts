import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import type { LocalServer } from '../../lib/auth/local-server.ts'
import type { KeyAnswer, KeyRequest } from '../../lib/auth/dialback-receiving.ts'
import { Reception } from '../../lib/incoming/reception.ts'
import type { CertificateState } from '../../lib/model/certificate.ts'
import type { FederationEvents } from '../../lib/model/events.ts'
import type { LiveLink } from '../../lib/streams/standing.ts'
import type { Credentials } from '../../lib/model/plugs.ts'
import type { PairStatus, Report, TraceEntry } from '../../lib/model/report.ts'
import type { Stanza } from '../../lib/model/stanza.ts'
import { Observer } from '../../lib/observe/observer.ts'
import { settingsFrom } from '../../lib/options.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { Judge } from '../../lib/pki/judge.ts'
import { complete } from '../../lib/policy/complete.ts'
import { ownState } from '../../lib/rules/sentences.ts'
import { ReversedCarriers } from '../../lib/streams/reversed-carriers.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import type { TestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import type { Network } from '../../lib/testing/network.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'
import { HostedDomains } from '../../lib/transport/hosted.ts'

const US = '192.0.2.1'
export const THEM = '192.0.2.2'
const PORT = 5269
const DIRECT = 5270

/** When every scene begins. */
export const START = Date.UTC(2027, 0, 1)
const authority = createAuthority({ now: START })
/** The authority that every scene trusts. */
export const anchor = authority.certificate
const never = new AbortController().signal

export const STREAMS = "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'"
export const STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
export const PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

/** The header that an initiating entity sends. */
export function header(about: { from?: string; to?: string; version?: string | undefined; more?: string } = {}): string {
  const { from = 'capulet.example', to = 'montague.example', more = '' } = about
  const version = 'version' in about ? about.version : '1.0'
  const attribute = (name: string, value: string | undefined): string => (value === undefined || value === '' ? '' : ` ${name}='${value}'`)
  const addresses = attribute('from', from) + attribute('to', to)
  return `<?xml version='1.0'?><stream:stream${addresses}${attribute('version', version)}${more} ${STREAMS}>`
}

export function auth(text: string, mechanism = 'EXTERNAL'): string {
  return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='${mechanism}'>${text}</auth>`
}

export function key(value = 'KEY', from = 'capulet.example', to = 'montague.example'): string {
  return `<db:result from='${from}' to='${to}'>${value}</db:result>`
}

export function message(from = 'juliet@capulet.example', to = 'romeo@montague.example', id = 'm1'): string {
  return `<message from='${from}' to='${to}' id='${id}'><body>hi</body></message>`
}

const issued = new Map<string, Credentials | undefined>()

/** A certificate for a domain, made once per process. */
export function certificate(name: string, state: CertificateState = 'valid', alsoFor: readonly string[] = []): Credentials | undefined {
  const about = [name, state, ...alsoFor].join(' ')
  if (!issued.has(about)) issued.set(about, authority.issue(name, { state, alsoFor }))
  return issued.get(about)
}

/** An initiating entity in the hands of a spec. */
export class Caller {
  readonly #clock: TestClock
  #duplex: Duplex
  #text = ''
  /** How the connection ended, seen from here. */
  ended: 'no' | 'end' | 'reset' = 'no'
  /** Bytes that came in clear while a TLS handshake was awaited would show here. */
  readonly writes: string[] = []

  constructor(duplex: Duplex, clock: TestClock) {
    this.#clock = clock
    this.#duplex = duplex
    this.#listen(duplex)
  }

  /** Sends text, lets everything come to rest, and gives what came back. */
  async say(text: string | Buffer): Promise<string> {
    if (text.length > 0) this.#duplex.write(text)
    return await this.hear()
  }

  /** What has come since the last time. */
  async hear(): Promise<string> {
    await this.#clock.settle()
    const heard = this.#text
    this.#text = ''
    return heard
  }

  /** The initiating half of a TLS handshake, and the chain that we were shown. */
  async secure(credentials: Credentials | undefined, servername = ''): Promise<readonly Buffer[]> {
    const tls = simulatedTls()
    const context = credentials === undefined ? undefined : tls.createContext(credentials)
    this.#duplex.removeAllListeners('data').pause()
    const secured = await tls.client(this.#duplex, { context, servername, alpn: ['xmpp-server'], signal: never })
    this.#duplex = secured.duplex
    this.#listen(secured.duplex)
    return secured.chain
  }

  /** Header, STARTTLS, handshake: leaves us before the header inside TLS. */
  async startTls(credentials: Credentials | undefined, first = header()): Promise<void> {
    await this.say(first)
    assert.equal(await this.say(STARTTLS), PROCEED)
    await this.secure(credentials)
  }

  /** Stops listening, as a peer that never reads. */
  deafen(): void {
    this.#duplex.removeAllListeners('data').pause()
  }

  /** Writes as long as there is room, and gives the number of characters that were taken. */
  async push(text: string, chunk = 8_192): Promise<number> {
    let taken = 0
    while (taken < text.length) {
      const ready = this.#duplex.write(text.slice(taken, taken + chunk))
      taken += chunk
      await this.#clock.settle()
      if (!ready && this.#duplex.writableNeedDrain) break
    }
    return taken
  }

  end(): void {
    this.#duplex.end()
  }

  reset(): void {
    this.#duplex.destroy()
  }

  #listen(duplex: Duplex): void {
    duplex.on('data', (chunk: Buffer) => {
      this.writes.push(chunk.toString())
      this.#text += chunk.toString()
    })
    duplex.on('end', () => {
      if (this.ended === 'no') this.ended = 'end'
    })
    duplex.on('error', () => (this.ended = 'reset'))
    duplex.on('close', () => {
      if (this.ended === 'no') this.ended = 'reset'
    })
  }
}

/** Answers of the authoritative server, given by hand. */
export interface Asked {
  readonly request: KeyRequest
  readonly signal: AbortSignal
  answer(answer: KeyAnswer): void
  fail(error: Error): void
}

export interface Scene {
  readonly clock: TestClock
  readonly network: Network
  readonly server: LocalServer
  readonly reception: Reception
  readonly links: Set<LiveLink>
  readonly carriers: ReversedCarriers
  readonly stanzas: { readonly stanza: Stanza; readonly pair: PairStatus }[]
  readonly reports: Report[]
  readonly warnings: string[]
  readonly events: [keyof FederationEvents, unknown][]
  /** Questions for the authoritative server that were asked, in order. */
  readonly asked: Asked[]
  call(about?: { readonly tls?: 'direct'; readonly from?: string }): Promise<Caller>
  /** The last report's entries of one step. */
  trace<S extends TraceEntry['step']>(step: S): Extract<TraceEntry, { step: S }>[]
}

export type SceneOptions = Partial<FederationOptions> & {
  /** What montague.example shows. */
  readonly certificate?: CertificateState
  /** The authoritative server's answer to every question; default: questions wait in `asked`. */
  readonly authority?: KeyAnswer
  /** Counts changes of settings: raised by a spec that makes one. */
  readonly settings?: { epoch: number }
}

const scenes = new Map<Scene, Set<Promise<void>>>()

function localServer(
  all: FederationOptions & Pick<LocalServer, 'clock' | 'tls' | 'resolver' | 'transport'>,
  observer: Observer,
  background: Set<Promise<void>>,
  settings: { readonly epoch: number }
): LocalServer {
  const { clock, tls, resolver, transport, dialbackSecret } = all
  const { timeouts, limits, extensions, overrides, passwords } = settingsFrom(all)
  const hosted = new HostedDomains(all.domains, tls, { clock, patience: timeouts.step, defaultDomain: all.defaultDomain })
  const judge = new Judge(all.trust)
  const book = { policy: complete(all.policy), guards: all.guards ?? [] }
  return {
    ...{ clock, tls, resolver, transport, timeouts, limits, extensions, overrides, passwords, hosted, judge, observer },
    random: () => 0.5,
    dialbackSecrets: { current: dialbackSecret?.current ?? '', accepted: dialbackSecret?.accepted ?? [] },
    allowPrivateAddresses: false,
    coversSenders: remote => settingsFrom(all).coveredSenders.matches(remote),
    isOwnListener: () => false,
    get epoch() {
      return settings.epoch
    },
    rulebook: () => book,
    background: work => {
      background.add(work)
      void work.finally(() => background.delete(work))
    },
    ourCertificate: async local => ownState(judge.judge((await hosted.context(local))?.chain ?? [], local, clock.now(), undefined))
  }
}

/** The receiving server montague.example, on the in-memory network, the test clock and the simulated Tls. */
export async function createScene(options: SceneOptions = {}): Promise<Scene> {
  const { certificate: state = 'valid', authority: answer, settings = { epoch: 0 }, ...given } = options
  const clock = createTestClock(START)
  const network = createNetwork({ clock })
  const events: [keyof FederationEvents, unknown][] = []
  const stanzas: Scene['stanzas'] = []
  const reports: Report[] = []
  const warnings: string[] = []
  const links = new Set<LiveLink>()
  const asked: Asked[] = []
  const observer = new Observer({
    emit: (event, detail) => {
      events.push([event, detail])
      if ('report' in detail) reports.push(detail.report)
      if (event === 'warning' && 'error' in detail) warnings.push(detail.error?.message ?? '')
    }
  })
  const all = {
    domains: { 'montague.example': certificate('montague.example', state), 'second.example': certificate('second.example', state) },
    onStanza: (stanza: Stanza, { pair }: { pair: PairStatus }) => void stanzas.push({ stanza, pair }),
    trust: { default: [authority.certificate] },
    clock,
    tls: simulatedTls(),
    resolver: network.resolver,
    transport: network.transportFor(US),
    dialbackSecret: { current: 'a secret of at least thirty-two octets' },
    ...given
  }
  const background = new Set<Promise<void>>()
  const server = localServer(all, observer, background, settings)
  const verify = (request: KeyRequest, _: unknown, signal: AbortSignal): Promise<KeyAnswer> => {
    if (answer !== undefined) {
      asked.push({ request, signal, answer: () => undefined, fail: () => undefined })
      return Promise.resolve(answer)
    }
    return new Promise((resolve, reject) => asked.push({ request, signal, answer: resolve, fail: reject }))
  }
  const carriers = new ReversedCarriers(() => undefined)
  const reception = new Reception({ server, verify, onStanza: all.onStanza, links, carriers })
  for (const [port, tls] of [
    [PORT, undefined],
    [DIRECT, 'direct']
  ] as const) {
    await server.transport.listen({ host: US, port }, (connection, from) => {
      void reception.accept(connection, { address: from.address, ...(tls === undefined ? {} : { tls }) })
    })
  }
  const scene: Scene = {
    clock,
    network,
    server,
    reception,
    links,
    carriers,
    stanzas,
    reports,
    warnings,
    events,
    asked,
    async call({ tls, from = THEM } = {}) {
      const to = { address: US, port: tls === 'direct' ? DIRECT : PORT }
      return new Caller(await network.transportFor(from).connect(to, { signal: never }), clock)
    },
    trace: step => {
      const report = [...links].at(-1)?.report ?? reports.at(-1)
      const isOf = (entry: TraceEntry): entry is Extract<TraceEntry, { step: typeof step }> => entry.step === step
      return report?.trace.filter(isOf) ?? []
    }
  }
  scenes.set(scene, background)
  return scene
}

/** Ends every scene, and looks whether anything is left of it: connections, timers, streams. To be called after each spec. */
export async function endScenes(): Promise<void> {
  for (const [{ clock, network, reception }, background] of scenes) {
    await clock.run(reception.stop())
    while (background.size > 0) await clock.run(Promise.all(background))
    assert.equal(reception.size, 0, 'streams are left')
    for (const wire of network.wires) assert.ok(!wire.heldBy.includes('receiving'), `a connection is left: ${JSON.stringify(wire)}`)
    assert.equal(clock.pendingTimers, 0, 'timers are left')
  }
  scenes.clear()
}

/** The id of the last stream header in some text. */
export function idIn(text: string): string {
  const id = [...text.matchAll(/<stream:stream [^>]*\bid='([^']*)'/g)].at(-1)?.[1]
  assert.ok(id, `no stream id in ${text}`)
  return id
}

/** The text with every stream id replaced, for transcripts. */
export function withoutIds(text: string): string {
  return text.replace(/(<stream:stream [^>]*\bid=')[^']*'/g, "$1ID'")
}

/** The stream error that some text ends with, before the closing tag: one condition, and nothing after it. */
export function errorIn(text: string): string {
  const match = /<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/>(.*)<\/stream:error><\/stream:stream>$/.exec(text)
  assert.ok(match?.[1], `no stream error at the end of ${text}`)
  assert.match(match[2] ?? '', /^(?:<text [^<]*<\/text>)?(?:<stanza-too-big xmlns='urn:xmpp:errors'\/>)?$/)
  return match[1]
}
