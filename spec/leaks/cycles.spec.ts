import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { AbortsReport } from './aborts.ts'
import type { CyclesReport } from './cycles.ts'

/** What a program of this folder says in the end; their own kind wrote it. */
async function said(program: 'cycles.ts' | 'aborts.ts', ...words: readonly string[]): Promise<unknown> {
  const file = fileURLToPath(new URL(program, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--import', 'tsx', file, ...words])
  return JSON.parse(stdout)
}

async function cycles(kind: 'network' | 'sockets', count: number, leak = ''): Promise<CyclesReport> {
  return (await said('cycles.ts', kind, `${count}`, leak)) as CyclesReport
}

async function aborts(atEachStage: number, leak = ''): Promise<AbortsReport> {
  return (await said('aborts.ts', `${atEachStage}`, leak)) as AbortsReport
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

describe('connections that come and break off', function () {
  this.timeout(600_000)
  const STAGES = 9
  let running: readonly [Promise<AbortsReport>, Promise<AbortsReport>]

  before(() => {
    running = [aborts(1_000), aborts(50, 'leak')]
    for (const each of running) each.catch(() => undefined)
  })

  it('[SEC-MEM-a] leave no memory, no timer and no connection, a thousand times at each of nine stages', async () => {
    const report = await running[0]
    // The first round warms up. Who sends a key is asked about as well, and two stages come as far as a link.
    assert.deepEqual([report.heard, report.authenticated], [1_100 * (STAGES + 1), 1_100 * 2])
    assert.deepEqual([report.timersLeft, report.connectionsLeft, report.rejections], [0, 0, []])
    const each = slope(report.heap, 1_000 * STAGES)
    assert.ok(each < 400, `a connection leaves ${Math.round(each)} bytes: ${report.heap.join(' ')}`)
  })

  it('would be found out if they left something behind', async () => {
    const { heap } = await running[1]
    assert.ok(slope(heap, 50 * STAGES) > 4_000, heap.join(' '))
  })
})
