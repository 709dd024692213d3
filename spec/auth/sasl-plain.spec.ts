import assert from 'node:assert/strict'
import { policies } from '../../lib/policy/presets.ts'
import { createWorld, pairOf } from '../world.ts'
import type { World } from '../world.ts'

const PASSWORD = { username: 'a.example', password: 'correct horse battery staple' }
const withoutExternal = policies.ladder({ external: false, invalidCertificate: 'encrypt-only' })

describe('a pre-shared password between two servers (SASL PLAIN)', () => {
  let world: World
  beforeEach(() => {
    world = createWorld()
  })
  afterEach(() => world.stop())

  it('authenticates an explicitly configured peer inside TLS with a verified certificate', async () => {
    await world.engine('b.example', { passwords: { 'a.example': PASSWORD }, policy: withoutExternal })
    const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD }, policy: withoutExternal })
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    assert.equal(link.level, 'sasl-plain')
    assert.deepEqual(link.pairs[0], { pair: pairOf('a.example', 'b.example'), flow: 'send', level: 'sasl-plain', peerIdentity: 'pkix' })
  })

  it('comes after EXTERNAL where both are possible', async () => {
    await world.engine('b.example', { passwords: { 'a.example': PASSWORD } })
    const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD } })
    const link = await world.run(a.connect(pairOf('a.example', 'b.example')))
    assert.equal(link.level, 'sasl-external')
  })

  it('is off by default: neither offered nor sent', async () => {
    await world.engine('b.example', { policy: withoutExternal })
    const a = await world.engine('a.example', { policy: withoutExternal, passwords: { 'b.example': PASSWORD } })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.level, 'tls-dialback')
    const skipped = report.trace.find(entry => entry.step === 'sasl-plain')
    assert.deepEqual([skipped?.outcome, skipped?.code], ['absent', 'not-offered'])
  })

  it('is refused for a wrong password, in words that do not tell it, and the stream goes on to dialback', async () => {
    await world.engine('b.example', { passwords: { 'a.example': { ...PASSWORD, password: 'another' } }, policy: withoutExternal })
    const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD }, policy: withoutExternal })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.level, 'tls-dialback')
    const refused = report.trace.find(entry => entry.step === 'sasl-plain')
    assert.equal(refused?.outcome, 'refused')
    assert.doesNotMatch(JSON.stringify(report), /correct horse|another/)
  })

  it('is bound to one remote domain: the password of another is of no use', async () => {
    await world.engine('b.example', { passwords: { 'c.example': PASSWORD }, policy: withoutExternal })
    const a = await world.engine('a.example', {
      passwords: { 'b.example': { ...PASSWORD, username: 'c.example' } },
      policy: withoutExternal
    })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.level, 'tls-dialback')
    assert.equal(report.trace.find(entry => entry.step === 'sasl-plain')?.code, 'not-offered')
  })

  it('is never sent without TLS', async () => {
    const inClear = policies.ladder({ tls: 'never' })
    await world.engine('b.example', { passwords: { 'a.example': PASSWORD }, policy: inClear })
    const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD }, policy: inClear })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.level, 'plain-dialback')
    assert.equal(report.trace.find(entry => entry.step === 'sasl-plain')?.code, 'not-encrypted')
  })

  for (const state of ['self-signed', 'expired', 'wrong-host'] as const)
    it(`is never sent to a server whose certificate is ${state}`, async () => {
      await world.engine('b.example', { passwords: { 'a.example': PASSWORD }, policy: withoutExternal, state })
      const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD }, policy: withoutExternal })
      const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
      assert.equal(report.level, 'tls-dialback')
      assert.equal(report.trace.find(entry => entry.step === 'sasl-plain')?.code, 'certificate-not-valid')
    })

  it('is not offered to a client whose certificate is self-signed: use has to be authenticate on the receiving side too', async () => {
    await world.engine('b.example', { passwords: { 'a.example': PASSWORD }, policy: withoutExternal })
    const a = await world.engine('a.example', { passwords: { 'b.example': PASSWORD }, policy: withoutExternal, state: 'self-signed' })
    const report = await world.run(a.probe(pairOf('a.example', 'b.example')))
    assert.equal(report.level, 'tls-dialback')
    assert.equal(report.trace.find(entry => entry.step === 'sasl-plain')?.code, 'not-offered')
  })
})
