import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { DomainPair } from '../../lib/index.ts'
import { openLab } from './lab.ts'
import { KINDS, needs, type ServerKind } from './server.ts'

/** Milliseconds between pings: longer than what servers wait for who has not authenticated, and than what middleboxes forget in. */
const PAUSES = [5_000, 35_000, 70_000, 10_000]

describe('two minutes of a link, most of them idle', function () {
  this.timeout(180_000)
  let meetings: Readonly<Record<ServerKind, Promise<readonly DomainPair[]>>> | undefined

  // At once: time is all that they need.
  before(function () {
    for (const kind of KINDS) needs(kind, this)
    meetings = { prosody: idling('prosody'), ejabberd: idling('ejabberd') }
    for (const each of Object.values(meetings)) each.catch(() => undefined)
  })

  for (const kind of KINDS)
    it(`with ${kind}: every ping is answered on the streams that were there first`, async () => {
      assert.deepEqual(await meetings?.[kind], [], 'streams that were lost meanwhile')
    })
})

/** Gives the pairs whose links ended. */
async function idling(kind: ServerKind): Promise<readonly DomainPair[]> {
  const lab = await openLab(kind, { variant: 'default' })
  const engine = await lab.engine()
  const lost: DomainPair[] = []
  try {
    const cross = async (): Promise<void> => {
      assert.equal(await engine.pinged(), true)
      assert.equal(await engine.ping(), 'result')
    }
    await cross()
    engine.federation.on('link-closed', ({ link }) => lost.push(...link.pairs.map(({ pair }) => pair)))
    for (const milliseconds of PAUSES) {
      await pause(milliseconds)
      await cross()
    }
    return [...lost]
  } finally {
    await engine.stop()
    await lab.close()
  }
}
