import type { CertificateState, CertificateVerdict } from './certificate.ts'
import type { Guard, Policy } from './policy.ts'

/**
 * One of two servers, described for a prediction. What its policy leaves open is answered by the default preset.
 */
export interface Side {
  /** Default: a name that says which side it is. Matters to guards and to policies that are scoped by domain. */
  readonly domain?: string
  readonly policy: Policy
  readonly guards?: readonly Guard[]
  /** Its own certificate: a state of the testing kit, or the verdict that the other side comes to. */
  readonly certificate: CertificateState | CertificateVerdict
  readonly offers?: Offers
}

/**
 * What a side does when it receives, less than its policy allows: it only narrows where the other side can end. Of the initiator
 * it describes the listener that answers as authoritative server.
 */
export interface Offers {
  /** `false`: no STARTTLS. `'fails'`: offered as policy has it, and every handshake fails. */
  readonly starttls?: boolean | 'fails'
  /** `false`: no EXTERNAL. `'refused'`: offered to everybody, as some servers do, and every `<auth/>` answered `not-authorized`. */
  readonly external?: boolean | 'refused'
  /** `false`: no dialback as receiving server. */
  readonly dialback?: boolean
}
