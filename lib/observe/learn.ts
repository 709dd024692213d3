import { FederationError } from '../errors.ts'
import type { FederationEvents } from '../model/events.ts'
import type { Guard } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { CertificatesSeen } from './certificates-seen.ts'
import type { Observer } from './observer.ts'
import { hearRejection } from './rejection.ts'

/** What an engine and its guards remember of each pair that was authenticated: its first listener. */
export function learner(guards: () => readonly Guard[], observer: Observer): (detail: FederationEvents['pair-authenticated']) => void {
  const certificates = new CertificatesSeen()
  return ({ link, pair }) => {
    for (const guard of guards()) teach(guard, pair, observer)
    const before = certificates.meet(link, pair)
    if (before !== undefined) observer.emit('certificate-changed', { link, pair, before })
  }
}

/** A guard that fails keeps no other from learning. */
function teach(guard: Guard, pair: PairStatus, observer: Observer): void {
  const failed = (cause: unknown): void => {
    observer.warn(new FederationError('S2S_INTERNAL', { detail: `the guard ${guard.name} failed to learn`, cause }))
  }
  try {
    const learned: unknown = guard.learn?.(pair)
    hearRejection(learned, failed)
  } catch (cause) {
    failed(cause)
  }
}
