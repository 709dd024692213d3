import assert from 'node:assert/strict'
import { openProsodyLab } from './lab.ts'
import { DOMAIN, needs } from './server.ts'

const PINGS = 1_280
const AT_ONCE = 128

/** For its shell: TCP_NODELAY of every socket that carries a stream, as the kernel has it. A socket inside TLS is known by its number alone. */
const NO_DELAY = `>
local seen = {}
local function look(session)
  local probe = require "socket".tcp4()
  probe:close()
  probe:setfd(session.conn:getfd())
  seen[#seen + 1] = session.type .. " " .. tostring(probe:getoption("tcp-nodelay"))
  probe:setfd(-1)
end
for session in pairs(prosody.incoming_s2s) do look(session) end
for _, session in pairs(prosody.hosts["${DOMAIN.prosody}"].s2sout) do look(session) end
table.sort(seen)
return true, table.concat(seen, ", ")`
  .split('\n')
  .join(' ')

describe('Prosody', () => {
  for (const nagle of [true, false])
    it(`answers ${PINGS} pings, ${AT_ONCE} at once, ${nagle ? 'with' : 'without'} the algorithm of Nagle on its sockets`, async function () {
      needs('prosody', this)
      const lab = await openProsodyLab({ variant: 'default', nagle, verbose: false })
      const engine = await lab.engine()
      try {
        for (let sent = 0; sent < PINGS; sent += AT_ONCE) {
          const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => engine.ping()))
          assert.ok(answers.every(type => type === 'result'))
        }
        assert.match(await lab.server.shell(NO_DELAY), new RegExp(`s2sin ${String(!nagle)}, s2sout ${String(!nagle)}\\s*$`, 'u'))
      } finally {
        await engine.stop()
        await lab.close()
      }
    })
})
