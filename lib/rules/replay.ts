import type { Rulebook } from '../model/policy.ts'
import type { Prediction, Report } from '../model/report.ts'
import { RecordedWorld, UnknownFact } from './recorded-world.ts'
import { replayIncoming } from './replay-incoming.ts'
import { walk } from './walk.ts'

/** What a replay came to, or the fact that the recorded negotiation never learned. */
export type Replayed = Prediction | { readonly unknown: string }

/** What a recorded negotiation would have done under another rulebook that answers every question: from its facts, and nothing else. */
export function replayReport(report: Report, book: Rulebook): Replayed {
  const notes: string[] = []
  try {
    if (report.peer.direction === 'incoming') return replayIncoming(report, book)
    if (report.trace.some(entry => entry.step === 'connect' && entry.facts.endpoint.source === 'redirect'))
      return { unknown: 'where the peer would have sent us under another policy' }
    const { level, trace } = walk(book, report.peer, new RecordedWorld(report, notes))
    return { level, steps: trace, notes }
  } catch (thrown) {
    if (thrown instanceof UnknownFact) return { unknown: thrown.fact }
    throw thrown
  }
}
