import assert from 'node:assert/strict'
import { run } from './process.ts'

interface Met {
  readonly peer: string
  readonly predicted: { readonly outgoing: string; readonly incoming: string }
  readonly outgoing: string
  readonly incoming: string
  readonly stanzas: { readonly there: number; readonly back: number }
  readonly agrees: boolean
}

describe('the demo command', () => {
  it('meets a peer of every kind, and every link ends as predicted, with stanzas both ways', async () => {
    const { code, stdout, stderr } = await run('demo', '--json')
    assert.equal(code, 0, stdout)
    const { peers, agreeing, meetings } = JSON.parse(stdout) as { peers: number; agreeing: number; meetings: readonly Met[] }
    assert.deepEqual([peers, agreeing, meetings.length], [37, 37, 37])
    for (const met of meetings) {
      assert.ok(met.agrees, met.peer)
      assert.deepEqual({ outgoing: met.outgoing, incoming: met.incoming }, met.predicted, met.peer)
      const links = [met.outgoing, met.incoming].filter(level => level !== 'none').length
      // With a link each way, a ping and its answer in both directions; with one link, the ping that finds no way back.
      assert.equal(met.stanzas.there + met.stanzas.back, links === 2 ? 4 : links, met.peer)
    }
    for (const level of ['sasl-external', 'tls-dialback', 'plain-dialback', 'none']) {
      assert.ok(
        meetings.some(met => met.outgoing === level || met.incoming === level),
        level
      )
    }
    assert.match(stderr, /^verona\.example meets valid-optional\.example \(1 of 37\)$/m)
  }).timeout(60_000)

  it('prints both negotiations with one peer', async () => {
    const { code, stdout } = await run('demo', '--peer', 'missing-optional')
    assert.equal(code, 0)
    assert.match(stdout, /^verona\.example → missing-optional\.example: plain-dialback$/m)
    assert.match(stdout, /^missing-optional\.example → verona\.example: tls-dialback$/m)
    assert.match(stdout, /Both directions ended as predicted\.\n$/)
  })
})
