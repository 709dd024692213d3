import type { VerifyKey } from '../auth/dialback-receiving.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { Delivery } from '../streams/delivery.ts'
import type { OnStanza } from '../streams/handler.ts'
import type { PairOrder } from '../streams/pair-order.ts'
import type { ReversedCarriers } from '../streams/reversed-carriers.ts'
import type { LiveLink } from '../streams/standing.ts'
import type { OwnContexts } from './own-contexts.ts'
import type { Quota } from './quota.ts'
import type { ResumableStreams } from './resumable.ts'

/** What the engine gives to every incoming stream. */
export interface IncomingParts {
  readonly server: LocalServer
  readonly verify: VerifyKey
  readonly onStanza: OnStanza
  /** Over all streams, of either direction. */
  readonly order: PairOrder<Delivery>
  /** Every live link, both directions. */
  readonly links: Set<LiveLink>
  readonly contexts: OwnContexts
  /** The engine is being stopped: nobody is authenticated any more, and what is there goes on for a while. */
  isLeaving(): boolean
  /** Managed streams that live or were lost, over all connections. */
  readonly resumable: ResumableStreams
  /** The pairs that peers have let flow back on their streams. */
  readonly carriers: ReversedCarriers
  /** Verifications under way, over all streams. */
  readonly verifications: { readonly perAddress: Quota; readonly perSender: Quota }
}
