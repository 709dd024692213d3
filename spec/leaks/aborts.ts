import { createFederation } from '../../lib/federation.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createTestClock } from '../../lib/testing/clock.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import { authOf, dialbackOf, headerOf, STARTTLS } from '../../lib/testing/peer-xml.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'

/**
 * A process of its own in which peers connect to one engine and break off, at each stage in turn: `aborts.ts 100` is a hundred at
 * each. A second word, `leak`, keeps something of each connection, to see that this would be noticed.
 */
export interface AbortsReport {
  /** Bytes in the heap after a collection, at even distances. */
  readonly heap: readonly number[]
  /** Negotiations that ended and links that were lost: no connection may be refused before it says anything. */
  readonly heard: number
  /** How many connections were authenticated before they broke off. */
  readonly authenticated: number
  readonly timersLeft: number
  readonly connectionsLeft: number
  readonly rejections: readonly string[]
}

type Connection = Awaited<ReturnType<ReturnType<typeof network.transportFor>['connect']>>

const SAMPLES = 10
const US = 'right.example'
const THEM = 'left.example'
const ADDRESS = '192.0.2.1'
const HEADER = headerOf({ from: THEM, to: US })
const RESPONSE = authOf('EXTERNAL', THEM)

const clock = createTestClock()
const authority = createAuthority({ now: clock.now() })
const network = createNetwork({ clock })
const tls = simulatedTls()
const ours = authority.issue(US, { now: clock.now() })
const theirs = authority.issue(THEM, { now: clock.now() })
const context = tls.createContext(theirs)
const leaked: unknown[] = []
const rejections: string[] = []
let heard = 0
let authenticated = 0

/** What is said before the connection breaks, a write each; `tls` is the handshake. */
const STAGES: readonly (readonly string[])[] = [
  [],
  [HEADER.slice(0, 60)],
  [HEADER],
  [HEADER, dialbackOf('result', { from: THEM, to: US, key: 'key' })],
  [HEADER, STARTTLS],
  [HEADER, STARTTLS, 'tls', HEADER],
  [HEADER, STARTTLS, 'tls', HEADER, authOf('EXTERNAL', undefined)],
  [HEADER, STARTTLS, 'tls', HEADER, RESPONSE, HEADER],
  [HEADER, STARTTLS, 'tls', HEADER, RESPONSE, HEADER, `<message from='a@${THEM}' to='b@${US}'><body>`]
]

async function abort(stage: readonly string[], number: number): Promise<void> {
  const at = network.transportFor(`198.51.100.${1 + (number % 200)}`)
  let connection: Connection = await at.connect({ address: ADDRESS, port: 5269 }, { signal: new AbortController().signal })
  connection.on('error', () => undefined).resume()
  for (const said of stage) {
    if (said === 'tls') connection = await secured(connection)
    else connection.write(said)
    await clock.settle()
  }
  connection.destroy()
}

async function secured(connection: Connection): Promise<Connection> {
  connection.removeAllListeners('data').pause()
  const { signal } = new AbortController()
  const { duplex } = await tls.client(connection, { context, servername: US, alpn: ['xmpp-server'], signal })
  duplex.on('error', () => undefined).resume()
  return duplex
}

function heapUsed(): number {
  global.gc?.()
  global.gc?.()
  return process.memoryUsage().heapUsed
}

async function run(times: number, leaks: boolean): Promise<AbortsReport> {
  const engine = createFederation({
    domains: { [US]: ours },
    trust: { default: [authority.certificate] },
    resolver: network.resolver,
    transport: network.transportFor(ADDRESS),
    tls,
    clock,
    listen: [{ host: ADDRESS, port: 5269 }],
    onStanza: () => undefined
  })
  engine.on('negotiation-ended', () => (heard += 1))
  engine.on('link-established', () => (authenticated += 1))
  await engine.start()
  const each = Math.ceil(times / SAMPLES)
  const heap: number[] = []
  // What is compiled and cached on first use is no leak: the first round is before the first sample.
  for (let sample = 0; sample <= SAMPLES; sample += 1) {
    for (const stage of STAGES) {
      await Promise.all(Array.from({ length: each }, (_, number) => abort(stage, number)))
      if (leaks) leaked.push(Array.from({ length: each }, () => new Array<number>(1_000).fill(sample)))
      // Failed handshakes count for their address for a while.
      await clock.advance(60_000)
    }
    heap.push(heapUsed())
  }
  await clock.run(engine.stop())
  await clock.settle()
  return { heap, heard, authenticated, timersLeft: clock.pendingTimers, connectionsLeft: network.wires.length, rejections }
}

process.on('unhandledRejection', reason => rejections.push(String(reason)))
const [times, leak] = process.argv.slice(2)
process.stdout.write(JSON.stringify(await run(Number(times), leak === 'leak')))
