import assert from 'node:assert/strict'
import { domain, policies, type SecurityLevel } from '../../lib/index.ts'
import { suiteLab, type Engine } from './lab.ts'
import { KINDS, type ServerKind } from './server.ts'

const SENDERS = ['one.test', 'two.test', 'three.test']

interface Sharing {
  readonly kind: ServerKind
  /** Whether our policy has SASL EXTERNAL. */
  readonly external: boolean
  /** Streams for three of our domains. */
  readonly streams: number
  readonly because: string
}

const SHARING: readonly Sharing[] = [
  { kind: 'prosody', external: false, streams: 3, because: 'it knows no dialback errors: a refused pair would end the stream' },
  { kind: 'ejabberd', external: false, streams: 1, because: 'it takes every further pair on the stream that is there' },
  { kind: 'ejabberd', external: true, streams: 3, because: 'it offers EXTERNAL to everybody, which a stream of its own would try first' }
]

for (const { kind, external, streams, because } of SHARING)
  describe(`several of our domains that have nothing but dialback, and one ${kind}`, () => {
    let engine: Engine
    suiteLab(kind, { variant: 'default', domains: SENDERS }, async lab => {
      engine = await lab.engine({
        domains: Object.fromEntries(SENDERS.map(name => [name, lab.authority.issue(name, { state: 'self-signed' })])),
        policy: policies.ladder({ external })
      })
    })

    const wanted = external ? 'which our policy wants to try EXTERNAL with first' : 'under a policy without EXTERNAL'
    it(`have ${streams === 1 ? 'one stream' : `${streams} streams`} to it, ${wanted}: ${because}; each is answered`, async () => {
      for (const name of SENDERS) assert.equal(await engine.ping(name), 'result')
      const links = engine.federation.links().filter(({ direction }) => direction === 'outgoing')
      assert.equal(links.length, streams)
      assert.deepEqual(
        links.flatMap(({ level, pairs }) => pairs.map(({ pair }): [SecurityLevel, string] => [level, pair.sender])),
        SENDERS.map(name => ['tls-dialback', domain(name)])
      )
    })
  })

for (const kind of KINDS)
  describe(`several of our domains with certificates that verify, and one ${kind}`, () => {
    let engine: Engine
    suiteLab(kind, { variant: 'strict', domains: SENDERS }, async lab => {
      engine = await lab.engine({ domains: Object.fromEntries(SENDERS.map(name => [name, lab.authority.issue(name)])) })
    })

    it('have a stream each: none of them is lowered to dialback for the sake of sharing', async () => {
      for (const name of SENDERS) assert.equal(await engine.ping(name), 'result')
      const links = engine.federation.links().filter(({ direction }) => direction === 'outgoing')
      assert.deepEqual(
        links.map(({ level, pairs }) => [level, pairs.map(({ pair }) => pair.sender)]),
        SENDERS.map(name => ['sasl-external', [domain(name)]])
      )
    })
  })
