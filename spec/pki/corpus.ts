import assert from 'node:assert/strict'
import { Judge } from '../../lib/pki/judge.ts'
import type { CertificateVerdict } from '../../lib/model/certificate.ts'
import { contentChains } from './contents.ts'
import { DEVIATIONS } from './deviations.ts'
import { nameChains } from './naming.ts'
import { pathChains } from './paths.ts'
import { NOW, PEER } from './world.ts'
import type { Chain } from './world.ts'

export const CORPUS: readonly Chain[] = [...pathChains(), ...contentChains(), ...nameChains()]

/** Our verdict on a chain, or on what a handshake captured of it, by a judge that has seen nothing before. */
export function verdictOn(one: Chain, presented = one.presented): CertificateVerdict {
  return new Judge({ default: one.anchors }).judge(presented, PEER, NOW, undefined)
}

/** The verdict, and how many milliseconds of processor time it took at best in three, each without a path kept. */
export function timed(one: Chain): { readonly verdict: CertificateVerdict; readonly took: number } {
  let took = Infinity
  let verdict = verdictOn(one)
  for (let round = 0; round < 3; round++) {
    const judge = new Judge({ default: one.anchors })
    const start = process.cpuUsage()
    verdict = judge.judge(one.presented, PEER, NOW, undefined)
    const { user, system } = process.cpuUsage(start)
    took = Math.min(took, (user + system) / 1000)
  }
  return { verdict, took }
}

export function kinds(verdict: CertificateVerdict): string[] {
  return verdict.problems.map(problem => problem.kind).sort()
}

/** Holds our verdict beside OpenSSL's, which knows the chain alone: a wrong name is ours to find. */
export function compare(one: Chain, verdict: CertificateVerdict, refused: string | undefined): void {
  assert.ok(!(verdict.valid && refused !== undefined), `${one.name}: we accept, OpenSSL refuses: ${refused ?? ''}`)
  const soundForUs = verdict.problems.every(problem => problem.kind === 'wrong-identity')
  if (DEVIATIONS[one.name] !== undefined) {
    assert.ok(!soundForUs && refused === undefined, `${one.name} is listed as a deviation, and is none (${refused ?? 'accepted'})`)
    return
  }
  assert.equal(soundForUs, refused === undefined, `${one.name}: ${JSON.stringify(verdict.problems)} beside ${refused ?? 'accepted'}`)
}
