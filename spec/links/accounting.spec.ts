import assert from 'node:assert/strict'
import { Ledger } from '../../benchmark/accounting-ledger.ts'
import { runAccounting } from '../../benchmark/accounting-run.ts'
import type { RunOptions, RunResult } from '../../benchmark/accounting-run.ts'

const SEEDS = [1, 2, 3, 4, 5, 6]
const RUN = { stanzas: 3_000, pairs: 40, stanzasPerKill: 30, measuresHeap: false }

const OWN_LINKS = { multiplexing: false, bidi: false }

const HOW: Readonly<Record<string, Pick<RunOptions, 'extensions' | 'isCertified' | 'isAnswered'>>> = {
  'without stream management': { extensions: { ...OWN_LINKS, streamManagement: false }, isCertified: true },
  'with stream management': { extensions: { ...OWN_LINKS, resumption: false }, isCertified: true },
  'with streams that are resumed': { extensions: OWN_LINKS, isCertified: true },
  'with streams that carry stanzas both ways': { extensions: {}, isCertified: true },
  'with streams that answers come back on': { extensions: {}, isCertified: true, isAnswered: true },
  'with streams of many pairs': { extensions: {}, isCertified: false }
}

const total = (results: readonly RunResult[], of: (result: RunResult) => number): number =>
  results.reduce((sum, result) => sum + of(result), 0)

describe('the books of every stanza', () => {
  for (const [how, run] of Object.entries(HOW))
    it(`[ENG-Q-a] are right over ${RUN.pairs} pairs whose connections end at random, ${how}`, async () => {
      const results: RunResult[] = []
      for (const seed of SEEDS) {
        const result = await runAccounting({ ...RUN, ...run, seed })
        assert.deepEqual(result.violations, [], `seed ${seed}`)
        assert.equal(result.sent, RUN.stanzas)
        results.push(result)
      }
      // Nothing of this would mean much if nothing had happened.
      assert.ok(total(results, ({ links }) => links) > 1.3 * RUN.pairs * SEEDS.length, 'links were made anew')
      const arrived = total(results, each => each.written + each.acknowledged) / (RUN.stanzas * SEEDS.length)
      assert.ok(arrived > 0.6, `${arrived} arrived`)
      assert.ok(total(results, each => each.inDoubtDelivered + each.inDoubtNotDelivered) > 0, 'some were in doubt')
      assert.ok(total(results, ({ rejected }) => rejected.size) > 0, 'some were rejected')
    })

  it('[ENG-Q-a] are the same for the same seed, where no id that is drawn anew decides', async () => {
    const figures = async (): Promise<unknown> => {
      const { seconds, ...result } = await runAccounting({
        ...RUN,
        extensions: { ...OWN_LINKS, resumption: false },
        isCertified: true,
        seed: 7
      })
      assert.ok(seconds > 0)
      return result
    }
    assert.deepEqual(await figures(), await figures())
  })
})

describe('the books themselves', () => {
  const violations = (keep: (ledger: Ledger) => void): readonly string[] => {
    const ledger = new Ledger(4, 2)
    keep(ledger)
    ledger.close()
    return ledger.violations
  }

  it('find nothing wrong where everything is right', () => {
    const found = violations(ledger => {
      for (const pair of [0, 0, 1, 0]) ledger.send(pair)
      ledger.deliver(0, 0)
      ledger.resolved(0, 'acknowledged')
      ledger.resolved(1, 'written')
      ledger.rejected(2, 'S2S_IN_DOUBT')
      ledger.deliver(2, 1)
      ledger.rejected(3, 'S2S_QUEUE_FULL')
    })
    assert.deepEqual(found, [])
  })

  const wrong: Readonly<Record<string, readonly [(ledger: Ledger) => void, RegExp]>> = {
    'was delivered and never sent': [ledger => ledger.deliver(0, 0), /never sent/],
    'never ended': [ledger => void ledger.send(0), /never ended/],
    'ended twice': [
      ledger => {
        ledger.resolved(ledger.send(0), 'written')
        ledger.rejected(0, 'S2S_IN_DOUBT')
      },
      /ended twice/
    ],
    'was acknowledged and not delivered': [
      ledger => ledger.resolved(ledger.send(0), 'acknowledged'),
      /acknowledged, was delivered 0 times/
    ],
    'was delivered twice': [
      ledger => {
        ledger.resolved(ledger.send(0), 'written')
        ledger.deliver(0, 0)
        ledger.deliver(0, 0)
      },
      /written, was delivered 2 times/
    ],
    'was rejected and delivered': [
      ledger => {
        ledger.rejected(ledger.send(0), 'S2S_TIMEOUT')
        ledger.deliver(0, 0)
      },
      /rejected, was delivered 1 times/
    ],
    'overtook another of its pair': [
      ledger => {
        for (const stanza of [ledger.send(0), ledger.send(0)]) ledger.resolved(stanza, 'written')
        ledger.deliver(1, 0)
        ledger.deliver(0, 0)
      },
      /stanza 0 of pair 0 was delivered after 1/
    ],
    'came on another pair': [
      ledger => {
        ledger.resolved(ledger.send(0), 'written')
        ledger.deliver(0, 1)
      },
      /of pair 0 was delivered on pair 1/
    ]
  }
  for (const [what, [keep, said]] of Object.entries(wrong))
    it(`find a stanza that ${what}`, () => {
      assert.ok(
        violations(keep).some(violation => said.test(violation)),
        violations(keep).join('\n')
      )
    })
})
