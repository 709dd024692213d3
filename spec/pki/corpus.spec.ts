import assert from 'node:assert/strict'
import { CORPUS, compare, kinds, timed, verdictOn } from './corpus.ts'
import { DEVIATIONS } from './deviations.ts'
import { presentAsClient, presentAsServer } from './oracles.ts'

describe('a chain of certificates', () => {
  const shaken = CORPUS.filter(one => one.key !== undefined)
  let slowest = { name: '', took: 0 }

  after(() => {
    console.log(
      `      ${CORPUS.length} chains, ${shaken.length} of them in handshakes; ${Object.keys(DEVIATIONS).length} deviations from OpenSSL`
    )
    console.log(`      slowest verdict: ${slowest.took.toFixed(1)} ms of processor time, best of three, ${slowest.name}`)
  })

  describe('is judged from its DER:', () => {
    for (const one of CORPUS) {
      it(`${one.name}: ${one.problems.join(', ') || 'valid'}`, () => {
        const { verdict, took } = timed(one)
        if (took > slowest.took) slowest = { name: one.name, took }
        assert.deepEqual(kinds(verdict), one.problems, JSON.stringify(verdict.problems))
        assert.equal(verdict.valid, one.problems.length === 0)
        assert.equal(verdict.proof, verdict.valid ? 'pkix' : 'none')
      })
    }
  })

  describe('gets the same verdict after a handshake, in either role, and no better one than OpenSSL gives it in the client role:', () => {
    for (const one of shaken) {
      it(one.name, async () => {
        const seen = await presentAsServer(one)
        const verdict = verdictOn(one, seen.chain)
        compare(one, verdict, seen.refused)
        assert.deepEqual(kinds(verdict), one.problems)
        assert.deepEqual(kinds(verdictOn(one, await presentAsClient(one))), one.problems)
      })
    }
  })

  it('is named once, and every deviation is about one of them', () => {
    const names = new Set(CORPUS.map(one => one.name))
    assert.equal(names.size, CORPUS.length)
    assert.ok(CORPUS.length >= 60)
    for (const name of Object.keys(DEVIATIONS)) assert.ok(names.has(name), name)
  })
})
