import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { CyclesReport } from './cycles.ts'

const program = fileURLToPath(new URL('cycles.ts', import.meta.url))

async function cycles(kind: 'network' | 'sockets', count: number, leak = ''): Promise<CyclesReport> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', program, kind, `${count}`, leak])
  return JSON.parse(stdout) as CyclesReport // its own kind wrote it
}

/** Bytes that each cycle leaves, by the line of least squares through the second half: caches fill in the first. */
function slope(heap: readonly number[], count: number): number {
  const points = heap.map((bytes, index) => [(index * count) / (heap.length - 1), bytes] as const).slice(Math.floor(heap.length / 2))
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  return (
    points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
  )
}

describe('engines that come and go', function () {
  this.timeout(600_000)
  let running: Readonly<Record<'network' | 'sockets' | 'leaking', Promise<CyclesReport>>>

  // At once: they are processes of their own.
  before(() => {
    running = { network: cycles('network', 10_000), sockets: cycles('sockets', 300), leaking: cycles('network', 300, 'leak') }
    for (const each of Object.values(running)) each.catch(() => undefined)
  })

  const rows = [
    ['network', '10,000 cycles on the in-memory network', 10_000, 200],
    ['sockets', '300 cycles on sockets with TLS', 300, 6_000]
  ] as const
  for (const [kind, what, count, most] of rows)
    it(`leave no handle, no connection and no memory after ${what}`, async () => {
      const report = await running[kind]
      assert.ok(report.stanzas >= count, `${report.stanzas} stanzas arrived`)
      assert.deepEqual(report.handlesLeft, [])
      assert.equal(report.connectionsLeft, 0)
      assert.deepEqual(report.rejections, [])
      const each = slope(report.heap, count)
      assert.ok(each < most, `a cycle leaves ${Math.round(each)} bytes: ${report.heap.join(' ')}`)
    })

  it('would be found out if they left their engines behind', async () => {
    const { heap } = await running.leaking
    assert.ok(slope(heap, 300) > 6_000, heap.join(' '))
  })
})
