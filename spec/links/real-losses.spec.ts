import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { Element } from 'ltx'
import { FederationError } from '../../lib/errors.ts'
import { createFederation } from '../../lib/federation.ts'
import type { Federation } from '../../lib/federation.ts'
import type { FederationOptions } from '../../lib/options.ts'
import { policies } from '../../lib/policy/presets.ts'
import { createAuthority } from '../../lib/testing/certificates.ts'
import { pairOf } from '../world.ts'

const MESSAGES = 4_000
const LOOPBACK = '127.0.0.1'

/** Passes bytes on to a port, until it is told to break what is there. */
class Relay {
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #kills = 0

  constructor(to: () => number) {
    this.#server = createServer(near => {
      const far = connect(to(), LOOPBACK)
      const pair = [near, far] as const
      this.#pairs.add(pair)
      for (const [one, other] of [pair, [far, near] as const]) {
        one.pipe(other)
        one
          .on('error', () => undefined)
          .on('close', () => {
            other.destroy()
            this.#pairs.delete(pair)
          })
      }
    })
  }

  get kills(): number {
    return this.#kills
  }

  async listen(): Promise<number> {
    this.#server.listen(0, LOOPBACK)
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  kill(how: 'reset' | 'fin'): void {
    for (const pair of this.#pairs) {
      this.#kills += 1
      for (const socket of pair) {
        socket.unpipe()
        if (how === 'reset') socket.resetAndDestroy()
        else socket.end()
      }
    }
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

describe('connections over TLS that are broken again and again', () => {
  let sender: Federation
  let receiver: Federation
  let relay: Relay
  let delivered: number[] = []

  const onStanza: FederationOptions['onStanza'] = ({ id }) => {
    delivered.push(Number(id))
    return Number(id) % 100 === 0 ? new Promise(resolve => setImmediate(resolve)) : undefined
  }

  before(async () => {
    const authority = createAuthority()
    const common = (name: string): Omit<FederationOptions, 'onStanza'> => ({
      domains: { [name]: authority.issue(name) },
      trust: { default: [authority.certificate] },
      policy: policies.strict(),
      listen: [{ host: LOOPBACK, port: 0 }],
      allowPrivateAddresses: true
    })
    relay = new Relay(() => receiver.addresses[0]?.port ?? 0)
    const port = await relay.listen()
    sender = createFederation({
      ...common('a.example'),
      onStanza,
      overrides: { 'b.example': { host: LOOPBACK, port } },
      limits: { queuedStanzas: MESSAGES }
    })
    receiver = createFederation({
      ...common('b.example'),
      onStanza,
      limits: { queuedStanzas: MESSAGES }
    })
    await Promise.all([sender.start(), receiver.start()])
  })
  after(async () => {
    await Promise.all([sender.stop(), receiver.stop()])
    await relay.close()
  })

  /** Sends all of them while connections break, and tells the ends. */
  async function sendAll(engine: Federation, from: string, to: string, every: number): Promise<readonly string[]> {
    delivered = []
    const ends: Promise<string>[] = []
    let acknowledged = 0
    for (let number = 0; number < MESSAGES; number += 1) {
      const sent = engine.send(new Element('message', { from: `x@${from}`, to: `y@${to}`, id: `${number}` }).t('x'.repeat(number % 700)))
      ends.push(
        sent.then(
          end => {
            acknowledged += 1
            // Once something got through on a link it may break.
            if (acknowledged % every === 0) setImmediate(() => relay.kill(acknowledged % (2 * every) === 0 ? 'reset' : 'fin'))
            return end
          },
          (error: unknown) => FederationError.from(error).code
        )
      )
    }
    return await Promise.all(ends)
  }

  const ALL = Array.from({ length: MESSAGES }, (_, number) => number)

  it(`[ENG-Q-a] lose none of ${MESSAGES} messages and deliver none twice, in order, where streams are resumed`, async function () {
    this.timeout(60_000)
    const told = await sendAll(sender, 'a.example', 'b.example', 400)
    assert.deepEqual(new Set(told), new Set(['acknowledged']))
    assert.deepEqual(delivered, ALL)
    assert.ok(relay.kills >= 5, `${relay.kills} were broken`)
  })

  it(`[ENG-Q-a] [XEP0288-2.2-b] lose none of ${MESSAGES} messages that are sent back on them either`, async function () {
    this.timeout(60_000)
    const before = relay.kills
    await sender.connect(pairOf('a.example', 'b.example'))
    const first = await receiver.connect(pairOf('b.example', 'a.example'))
    // Until stream management is under way what is sent back is not acknowledged.
    while ((await receiver.send(new Element('message', { from: 'y@b.example', to: 'x@a.example', id: '1' }))) !== 'acknowledged');
    const told = await sendAll(receiver, 'b.example', 'a.example', 800)
    assert.deepEqual(new Set(told), new Set(['acknowledged']))
    assert.deepEqual(delivered, ALL)
    assert.equal(first.direction, 'incoming')
    assert.ok(relay.kills >= before + 3, `${relay.kills - before} were broken`)
  })
})
