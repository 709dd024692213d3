import type { FederationError } from '../errors.ts'
import type { DomainPair } from './domain.ts'

/** Where the stanzas of a pair go: into the queue while a link is being negotiated, out on a link, or back until the retry time. */
export type RouteState = 'queue' | 'bounce' | 'send'

/** Some stanzas, and their bytes. */
export interface Load {
  readonly stanzas: number
  readonly bytes: number
}

/** A pair that something was sent for, at the moment of asking. */
export interface RouteStatus {
  readonly pair: DomainPair
  readonly state: RouteState
  /** What waits. */
  readonly stanzas: number
  readonly bytes: number
  /** What the link was given and has not ended: written and not acknowledged; where nobody acknowledges, not yet taken by the socket. */
  readonly unacknowledged: Load
  /** What a lost link left unacknowledged, until its stream is resumed or given up (XEP-0198 §5). */
  readonly held: Load
  /** The id of the link that takes the pair's stanzas. */
  readonly link?: string
  /** `bounce`: until when, milliseconds since the epoch, and because of what. */
  readonly until?: number
  readonly reason?: FederationError
}
