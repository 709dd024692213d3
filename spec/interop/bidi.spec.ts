import assert from 'node:assert/strict'
import { ENGINE, openProsodyLab, type Engine, type Lab } from './lab.ts'
import type { Prosody } from './prosody.ts'
import { DOMAIN, needs } from './server.ts'

const PROSODY = DOMAIN.prosody

describe('one connection both ways (XEP-0288), with a real Prosody', () => {
  let lab: Lab<Prosody> | undefined
  let engine: Engine | undefined

  beforeEach(async function () {
    needs('prosody', this)
    lab = await openProsodyLab({ variant: 'strict' })
    engine = await lab.engine({ bidi: true })
  })

  afterEach(async () => {
    await engine?.stop()
    await lab?.close()
  })

  const flows = ({ federation }: Engine): readonly string[] =>
    federation.links().flatMap(({ direction, pairs }) => pairs.map(({ flow, level }) => `${direction} ${flow} ${level}`))

  it('that we have opened: what Prosody sends comes back on it', async () => {
    assert.ok(lab && engine)
    await engine.federation.connect(engine.pair)
    assert.equal(await engine.ping(), 'result')
    assert.match(await lab.server.shell(`xmpp:ping("${PROSODY}", "${ENGINE}")`), /pong from engine\.test/)
    assert.deepEqual(flows(engine), ['outgoing send sasl-external', 'outgoing receive sasl-external'])
    await lab.server.logged(/Requested bidirectional stream/)
  })

  it('that Prosody has opened: what we send goes back on it', async () => {
    assert.ok(lab && engine)
    assert.match(await lab.server.shell(`xmpp:ping("${PROSODY}", "${ENGINE}")`), /pong from engine\.test/)
    await lab.server.logged(/Requesting bidirectional stream/)
    assert.equal(await engine.ping(), 'result')
    assert.deepEqual(flows(engine), ['incoming receive sasl-external', 'incoming send sasl-external'])
  })

  it('acknowledges what goes either way, and says so in its log', async () => {
    assert.ok(lab && engine)
    const { federation, pair } = engine
    await federation.connect(pair)
    assert.ok((await federation.ping(pair)) >= 0)
    // It acknowledges our ping, and we its answer.
    await lab.server.logged(/Received ack request, acking for 1\b/)
    await lab.server.logged(/#queue = 0 \(acked: 1\)/)
  })
})
