import assert from 'node:assert/strict'
import { openLab } from './lab.ts'
import { needs } from './server.ts'

const PINGS = 1_280
const AT_ONCE = 128

describe('Prosody', () => {
  for (const nagle of [true, false])
    it(`answers ${PINGS} pings, ${AT_ONCE} at once, ${nagle ? 'with' : 'without'} the algorithm of Nagle on its sockets`, async function () {
      needs('prosody', this)
      const lab = await openLab('prosody', { variant: 'default', nagle, verbose: false })
      const engine = await lab.engine()
      try {
        for (let sent = 0; sent < PINGS; sent += AT_ONCE) {
          const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => engine.ping()))
          assert.ok(answers.every(type => type === 'result'))
        }
      } finally {
        await engine.stop()
        await lab.close()
      }
    })
})
