import { atLeast } from '../model/level.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { LadderOptions, Rulebook } from '../model/policy.ts'
import type { Alternative, Report } from '../model/report.ts'
import { changedPolicy } from './layers.ts'
import { replayReport } from './replay.ts'

/** Changes of one option, those that give up least first. */
const CHANGES: readonly LadderOptions[] = [
  { tls: 'when-offered' },
  { tls: 'required' },
  { external: true },
  { acceptSelfSigned: true },
  { invalidCertificate: 'encrypt-only' },
  { minimumLevel: 'tls-dialback' },
  { dialback: 'over-tls' },
  { dialback: 'always' },
  { minimumLevel: 'plain-dialback' },
  { invalidCertificate: 'reconnect-plain' }
]

/**
 * Which change of a single option would have raised the level of a negotiation, as far as its own facts can tell: none for a
 * policy without a preset in it, and none where a guard forbids. Guards stay as they are.
 */
export function alternativesOf(report: Report, book: Rulebook): readonly Alternative[] {
  return CHANGES.flatMap(change => {
    const policy = changedPolicy(book.policy, change)
    if (policy === undefined) return []
    const replayed = replayReport(report, { policy, guards: book.guards })
    if ('unknown' in replayed || replayed.level === undefined || !isBetter(replayed.level, report.level)) return []
    return [{ change: textOf(change), level: replayed.level }]
  })
}

function isBetter(level: SecurityLevel, than: SecurityLevel | undefined): boolean {
  return than === undefined || !atLeast(than, level)
}

function textOf(change: LadderOptions): string {
  return Object.entries(change)
    .map(([key, value]) => (value === true ? key : `${key}: ${String(value)}`))
    .join(', ')
}
