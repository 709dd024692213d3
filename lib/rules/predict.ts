import type { Prediction } from '../model/report.ts'
import type { Side } from '../model/side.ts'
import { DescribedReceiver, outgoingPeer, readSide } from './described-side.ts'
import { walk } from './walk.ts'

/**
 * Where two sides would end whose policies answer every question: the outgoing story of the initiator against the receiver as
 * described. One STARTTLS endpoint is assumed, nothing is dialled, nothing takes time; the authoritative server is the initiator's
 * own listener.
 *
 * @throws FederationError `S2S_ADDRESS` for a side's domain
 */
export function predictSides(initiator: Side, receiver: Side): Prediction {
  const us = readSide(initiator, 'initiator')
  const them = readSide(receiver, 'receiver')
  const notes: string[] = []
  const { level, trace } = walk(us.book, outgoingPeer(us, them, 'stanzas'), new DescribedReceiver(them, us, 'stanzas', notes))
  return { level, steps: trace, notes }
}
