import { Element } from 'ltx'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { createNetwork } from '../../lib/testing/network.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createZone } from '../../lib/testing/zone.ts'
import { simulatedTls } from '../../lib/testing/simulated-tls.ts'

/**
 * A process of its own that makes, uses and stops engines again and again, and says what is left: `cycles.ts network 10000`, or
 * `cycles.ts sockets 300`. A third word, `leak`, keeps every engine, to see that this would be noticed.
 */
export interface CyclesReport {
  /** Bytes in the heap after a collection, at even distances. */
  readonly heap: readonly number[]
  /** What keeps the process alive in the end and did not in the beginning: a process that has just been born is busy itself. */
  readonly handlesLeft: readonly string[]
  readonly connectionsLeft: number
  readonly stanzas: number
  readonly rejections: readonly string[]
}

const LEFT = 'left.example'
const RIGHT = 'right.example'
const SAMPLES = 10
/** Cycles that share one receiving engine. */
const ROUND = 10

type Kind = 'network' | 'sockets'

const authority = createAuthority()
const credentials = { [LEFT]: authority.issue(LEFT), [RIGHT]: authority.issue(RIGHT) }
const network = createNetwork()
const leaked: Federation[] = []
const rejections: string[] = []
/** Of one cycle: a zone remembers what it was asked. */
let zone = createZone()
let stanzas = 0

function engine(name: typeof LEFT | typeof RIGHT, { kind, isSecured }: { readonly kind: Kind; readonly isSecured: boolean }): Federation {
  const address = kind === 'sockets' ? '127.0.0.1' : name === LEFT ? '192.0.2.1' : '192.0.2.2'
  return createFederation({
    domains: { [name]: isSecured ? credentials[name] : undefined },
    trust: { default: [authority.certificate] },
    ...(isSecured ? {} : { policy: policies.ladder({ tls: 'never' }) }),
    allowPrivateAddresses: true,
    resolver: {
      srv: (service, options) => zone.resolver.srv(service, options),
      addresses: (host, options) => zone.resolver.addresses(host, options)
    },
    listen: [{ host: address, port: 0 }],
    onStanza: () => void (stanzas += 1),
    ...(kind === 'network' ? { transport: network.transportFor(address), tls: simulatedTls() } : {})
  })
}

/** An engine that is made, sends a message, and stops. */
async function cycle(kind: Kind, right: Federation, isSecured: boolean, leaks: boolean): Promise<void> {
  const left = engine(LEFT, { kind, isSecured })
  await left.start()
  zone = createZone()
  publish(LEFT, left)
  publish(RIGHT, right)
  if (leaks) leaked.push(left)
  await left.send(new Element('message', { from: `a@${LEFT}`, to: `b@${RIGHT}` }))
  await left.stop()
}

/** Some cycles, ten with each receiving engine. */
async function round(kind: Kind, cycles: number, leaks: boolean): Promise<void> {
  for (let done = 0; done < cycles; done += ROUND) {
    // Judging chains takes most of the time of a cycle, so most prove themselves by dialback in clear.
    const isSecured = kind === 'sockets' || done % (10 * ROUND) === 0
    const right = engine(RIGHT, { kind, isSecured })
    await right.start()
    for (let each = done; each < Math.min(cycles, done + ROUND); each += 1) await cycle(kind, right, isSecured, leaks)
    await right.stop()
  }
}

function publish(name: string, { addresses }: Federation): void {
  for (const { address, port } of addresses) zone.server(name, { addresses: [address], port })
}

/** What keeps a process alive, but for the pipes that it was born with. */
function handles(): readonly string[] {
  return process
    .getActiveResourcesInfo()
    .filter(name => !/^(PipeWrap|TTYWrap|FSReqCallback|FileHandle|Immediate)/.test(name))
    .sort()
}

/** What is in the first list more often than in the second. */
function beyond(all: readonly string[], known: readonly string[]): readonly string[] {
  const rest = [...known]
  return all.filter(name => {
    const at = rest.indexOf(name)
    if (at !== -1) rest.splice(at, 1)
    return at === -1
  })
}

function heapUsed(): number {
  global.gc?.()
  global.gc?.()
  return process.memoryUsage().heapUsed
}

async function rest(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(resolve => setImmediate(resolve))
}

async function run(kind: Kind, cycles: number, leaks: boolean): Promise<CyclesReport> {
  const each = Math.ceil(cycles / SAMPLES)
  const handlesBefore = handles()
  // What is compiled and cached on first use is no leak.
  await round(kind, each, false)
  const heap = [heapUsed()]
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    await round(kind, each, leaks)
    await rest()
    heap.push(heapUsed())
  }
  return {
    heap,
    handlesLeft: beyond(handles(), handlesBefore),
    connectionsLeft: network.wires.length + network.listening.length,
    stanzas,
    rejections
  }
}

process.on('unhandledRejection', reason => rejections.push(String(reason)))
const [kind, cycles, leak] = process.argv.slice(2)
const report = await run(kind === 'sockets' ? 'sockets' : 'network', Number(cycles), leak === 'leak')
process.stdout.write(JSON.stringify(report))
