import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { Element } from 'ltx'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import { domain } from '../../lib/model/domain.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { policies } from '../../lib/policy/presets.ts'
import { atRest } from '../../lib/testing/rest.ts'
import { createZone } from '../../lib/testing/zone.ts'
import { anchor } from '../ladder/meeting.ts'

const LEFT = 'left.example'
const RIGHT = 'right.example'
const PAIR = { sender: domain(LEFT), target: domain(RIGHT) }
type Kind = 'starttls' | 'direct'

/** What keeps a process alive: sockets, servers, timers. */
function handles(): readonly string[] {
  return process.getActiveResourcesInfo().filter(name => /TCP|Timeout|Pipe.*Connect|UDP|DNS/.test(name))
}

async function engine(name: string, zone: ReturnType<typeof createZone>, policy: Policy, kind: Kind): Promise<Federation> {
  const made = createFederation({
    domains: { [name]: anchor().issue(name) },
    policy,
    trust: { default: [anchor().certificate] },
    resolver: zone.resolver,
    allowPrivateAddresses: true,
    listen: [{ host: '127.0.0.1', port: 0, tls: kind }],
    timeouts: { step: 2000, close: 1000 },
    onStanza: () => undefined
  })
  await made.start()
  return made
}

/** A relay on loopback that breaks each connection after so many bytes of one direction. */
async function relay(
  to: number,
  cut: { readonly of: 'initiating' | 'receiving'; readonly after: number; readonly how: 'reset' | 'fin' } | undefined
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
    const pass = (from: Socket, into: Socket, watched: boolean): void => {
      let passed = 0
      sockets.add(from)
      from.on('error', () => into.destroy()).on('close', () => sockets.delete(from))
      from.on('data', (chunk: Buffer) => {
        passed += chunk.length
        if (!watched || cut === undefined || passed < cut.after) into.write(chunk)
        else
          for (const socket of [near, far])
            if (cut.how === 'reset') socket.resetAndDestroy()
            else socket.end()
      })
      from.on('end', () => into.end())
    }
    pass(near, far, cut?.of === 'initiating')
    pass(far, near, cut?.of === 'receiving')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}

describe('after an engine has stopped, on real sockets', function () {
  this.timeout(120_000)
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  let baseline: readonly string[]

  before(() => process.on('unhandledRejection', note))
  after(() => process.off('unhandledRejection', note))
  beforeEach(async () => {
    await atRest()
    baseline = handles()
  })
  afterEach(async () => {
    await atRest()
    assert.deepEqual(unhandled, [])
    assert.deepEqual([...handles()].sort(), [...baseline].sort(), 'handles are left')
  })

  it('no handle is left of links, stanzas both ways, and both listeners, cycle after cycle', async () => {
    for (let cycle = 0; cycle < 20; cycle += 1) {
      const zone = createZone()
      const left = await engine(LEFT, zone, policies.ladder(), 'starttls')
      const right = await engine(RIGHT, zone, policies.ladder(), cycle % 2 === 0 ? 'starttls' : 'direct')
      for (const [name, each] of [
        [LEFT, left],
        [RIGHT, right]
      ] as const)
        for (const { port, tls } of each.addresses) zone.server(name, { addresses: ['127.0.0.1'], port, tls })
      await Promise.all([
        left.send(new Element('message', { from: `a@${LEFT}`, to: `b@${RIGHT}` })),
        right.send(new Element('message', { from: `b@${RIGHT}`, to: `a@${LEFT}` }))
      ])
      await Promise.all([left.stop(), right.stop()])
    }
  })

  for (const kind of ['starttls', 'direct'] as const)
    for (const of of ['initiating', 'receiving'] as const)
      for (const how of ['reset', 'fin'] as const)
        it(`no handle is left of a ${kind} negotiation that a ${how} cut anywhere in the ${of} side's bytes`, async () => {
          for (let after = 1; after < 4500; after += 450) {
            const zone = createZone()
            const left = await engine(LEFT, zone, policies.strict(), 'starttls')
            const right = await engine(RIGHT, zone, policies.strict(), kind)
            const [at] = right.addresses
            const between = await relay(at?.port ?? 0, { of, after, how })
            zone.server(RIGHT, { addresses: ['127.0.0.1'], port: between.port, tls: kind })
            const report = await left.probe(PAIR)
            if (report.level === undefined) assert.ok(report.error?.step !== undefined, `cut after ${after} bytes: no step is named`)
            await Promise.all([left.stop(), right.stop()])
            await between.close()
          }
        })
})
