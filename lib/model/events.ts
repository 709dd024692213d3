import type { Element } from 'ltx'
import type { FederationError } from '../errors.ts'
import type { SeenCertificate } from './certificate.ts'
import type { SecurityLevel } from './level.ts'
import type { Link } from './link.ts'
import type { Peer } from './policy.ts'
import type { PairStatus, Report, TraceEntry } from './report.ts'
import type { RouteStatus } from './route.ts'
import type { Stanza } from './stanza.ts'

/** What the engine tells, as it happens. There is no `error` event: what goes wrong is a `warning` or a rejected promise. */
export interface FederationEvents {
  'negotiation-started': { readonly id: string; readonly peer: Peer }
  'negotiation-step': { readonly id: string; readonly peer: Peer; readonly entry: TraceEntry }
  'negotiation-ended': { readonly id: string; readonly report: Report }
  downgrade: {
    readonly id: string
    readonly peer: Peer
    readonly from: SecurityLevel
    readonly to: SecurityLevel
    readonly because: string
  }
  'link-established': { readonly link: Link }
  'link-closed': { readonly link: Link; readonly error: FederationError | undefined }
  /** The stanzas of a pair go elsewhere from now on. That a retry time has passed shows only when something is sent. */
  'route-changed': { readonly route: RouteStatus }
  /** Other settings are in force: every link is judged by them now. */
  'settings-changed': { readonly what: 'policy' | 'guards' | 'trust' | 'domains' }
  /** A link ends because one of its pairs may not go on under the settings of now. */
  'link-reset': { readonly link: Link; readonly error: FederationError }
  'pair-authenticated': { readonly link: Link; readonly pair: PairStatus }
  /**
   * A domain was authenticated with another certificate (`link.certificate`) than any of those before, of which `before` is the
   * last. Mostly it was renewed. It refuses nothing; a `pin` does.
   */
  'certificate-changed': { readonly link: Link; readonly pair: PairStatus; readonly before: SeenCertificate }
  'stanza-bounced': { readonly stanza: Element | Stanza; readonly error: FederationError }
  warning: { readonly error: FederationError }
}
