import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { createElement } from 'ltx'
import { FederationError } from '../lib/errors.ts'
import { createFederation } from '../lib/federation.ts'
import type { Federation } from '../lib/federation.ts'
import { bounce } from '../lib/links/bounce.ts'
import { domain } from '../lib/model/domain.ts'
import { policies } from '../lib/policy/presets.ts'
import { replay } from '../lib/policy/replay.ts'
import { explain } from '../lib/rules/explain.ts'
import { pairOf } from './world.ts'

/** What JavaScript lets through, whatever the types say. */
const given = (value: unknown): never => value as never

const PAIR = pairOf('a.example', 'b.example')

describe('an argument that cannot be used is named by an error of the engine', () => {
  let engine: Federation
  beforeEach(() => {
    engine = createFederation({ domains: { 'a.example': undefined }, onStanza: () => undefined, listen: false })
  })
  afterEach(() => engine.stop())

  const calls: readonly (readonly [run: (engine: Federation) => Promise<unknown>, code: string, sentence: string])[] = [
    [each => each.connect(given(null)), 'S2S_ADDRESS', 'a pair has to be { sender, target }, not null'],
    [each => each.probe(given('b.example')), 'S2S_ADDRESS', 'a pair has to be { sender, target }, not text'],
    [each => each.ping(given({ sender: 'a.example' })), 'S2S_ADDRESS', 'what is of the type undefined is not a domain name'],
    [each => each.close(given(null)), 'S2S_ADDRESS', 'null is not a domain name'],
    [
      async each => {
        each.retryNow(given('b example'))
        await Promise.resolve()
      },
      'S2S_ADDRESS',
      '"b example" is not a domain name'
    ],
    [each => each.connect(PAIR, given(null)), 'S2S_CONFIG', 'connect: options has to be an object, not null'],
    [each => each.connect(PAIR, { signal: given(5) }), 'S2S_CONFIG', 'connect: options.signal has to be an AbortSignal, not 5'],
    [each => each.ping(PAIR, given({ timeout: 5 })), 'S2S_CONFIG', 'ping: options.timeout is not known; known are signal'],
    [each => each.probe(PAIR, { policy: given('strict') }), 'S2S_CONFIG', 'probe: options.policy has to be a policy, not text'],
    [each => each.stop(given(null)), 'S2S_CONFIG', 'stop: options has to be an object, not null'],
    [each => each.stop({ drain: given('yes') }), 'S2S_CONFIG', 'stop: options.drain has to be true or false, not "yes"'],
    [each => each.accept(given(null)), 'S2S_CONFIG', 'accept: connection has to be an object with on, write, destroy, not null'],
    [
      each => each.accept(new PassThrough(), { tls: given('starttls') }),
      'S2S_CONFIG',
      'accept: options.tls has to be "direct", not "starttls"'
    ],
    ...[null, 'text', {}, { from: {}, to: {} }].map(
      stanza =>
        [
          (each: Federation) => each.send(given(stanza)),
          'S2S_ADDRESS',
          `a stanza has to be an Element of ltx, or one that was received, not ${
            stanza === null ? 'null' : typeof stanza === 'string' ? 'text' : 'an object'
          }`
        ] as const
    )
  ]
  for (const [run, code, detail] of calls)
    it(`with the sentence: ${detail}`, async () => {
      await assert.rejects(async () => run(engine), { name: 'FederationError', code, detail })
    })

  it('and an engine that was told to stop in a way that cannot be used goes on, and can be stopped', async () => {
    await assert.rejects(engine.stop(given(null)), { code: 'S2S_CONFIG' })
    assert.equal((await engine.probe(pairOf('a.example', 'b.invalid'), { signal: AbortSignal.abort() })).error?.code, 'S2S_ABORTED')
    await engine.stop()
    await assert.rejects(engine.connect(PAIR), { code: 'S2S_STOPPED' })
  })

  it('and an event or a listener that would never be heard is named', () => {
    const on = (event: unknown, listener: unknown): unknown => engine.on(given(event), given(listener))
    assert.throws(() => on('link-establised', () => undefined), {
      code: 'S2S_CONFIG',
      detail: /^event has to be one of negotiation-started, .*link-established.*, warning, not "link-establised"$/
    })
    assert.throws(() => on('link-closed', null), {
      code: 'S2S_CONFIG',
      detail: 'the listener of link-closed has to be a function, not null'
    })
    assert.throws(() => engine.off(given('constructor'), () => undefined), { code: 'S2S_CONFIG' })
  })

  const functions: readonly (readonly [run: () => unknown, code: string, sentence: string])[] = [
    [() => domain(given(5)), 'S2S_ADDRESS', 'what is of the type number is not a domain name'],
    [() => explain(given(null)), 'S2S_CONFIG', 'explain: report has to be a report, not null'],
    [() => explain(given({ schema: 2 })), 'S2S_CONFIG', 'explain: report.schema has to be 1, not 2'],
    [() => explain(given({ schema: 1, peer: {} })), 'S2S_CONFIG', 'explain: report.trace has to be a list, not nothing'],
    [() => replay(given('{}'), policies.ladder()), 'S2S_CONFIG', 'replay: report has to be a report, not text'],
    [
      () => bounce(given(null), new FederationError('S2S_TIMEOUT')),
      'S2S_ADDRESS',
      'a stanza has to be an Element of ltx, or one that was received, not null'
    ]
  ]
  for (const [run, code, detail] of functions)
    it(`with the sentence: ${detail}`, () => {
      assert.throws(run, { name: 'FederationError', code, detail })
    })

  it('and what can be used is not', async () => {
    const message = createElement('message', { from: 'a.example', to: 'a.example' })
    await assert.rejects(engine.send(message), { code: 'S2S_LOCAL_DOMAIN' })
    assert.equal(bounce(message, new FederationError('S2S_TIMEOUT'))?.attrs['type'], 'error')
  })
})
