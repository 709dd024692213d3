import assert from 'node:assert/strict'
import { timed } from './corpus.ts'
import { costlyChains } from './costly.ts'

describe('a chain that is made to take long', () => {
  let slowest = { name: '', took: 0 }

  after(() => console.log(`      slowest verdict: ${slowest.took.toFixed(1)} ms of processor time, best of three, ${slowest.name}`))

  for (const one of costlyChains()) {
    it(`is judged within the limits: ${one.name}`, () => {
      const { verdict, took } = timed(one)
      if (took > slowest.took) slowest = { name: one.name, took }
      assert.ok(!verdict.valid)
      assert.ok(verdict.problems.length > 0 && verdict.problems.length < 100, String(verdict.problems.length))
      assert.ok(JSON.stringify(verdict).length < 65_536)
    })
  }
})
