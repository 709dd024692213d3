import type { Attempt } from '../model/endpoint.ts'
import type { TlsWish } from '../model/policy.ts'
import type { StreamFeatures } from '../model/stream.ts'

/**
 * What the initiating entity does about TLS once the features in clear are known (RFC 6120 §5, RFC 7590 §3.1).
 *
 * - `starttls`: sends `<starttls/>`; under `required` even where it is not offered, since an attacker can strip the offer. So too on
 *   a connection made anew to leave out a proof: what was encrypted does not come back in clear unasked.
 * - `stay-plain`: goes on in clear. Under `when-offered` only if no endpoint is left untried; that is the caller's to check, with
 *   `S2S_TLS_NOT_OFFERED` otherwise. A peer before version 1.0 cannot be asked: the caller's too.
 * - `give-up`: the peer requires TLS, and the policy (`never`) or the attempt goes without, or the other way round: `S2S_POLICY`.
 */
export function chooseTls(wish: TlsWish, attempt: Attempt, features: StreamFeatures): 'starttls' | 'stay-plain' | 'give-up' {
  if (attempt.encryption === 'none') return wish === 'required' || features.starttls === 'required' ? 'give-up' : 'stay-plain'
  if (wish === 'never') return features.starttls === 'required' ? 'give-up' : 'stay-plain'
  if (wish === 'required' || attempt.skipProofs.length > 0) return 'starttls'
  return features.starttls === 'absent' ? 'stay-plain' : 'starttls'
}
