import type { LocalServer } from '../auth/local-server.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { NS_BIDI_FEATURE, NS_DIALBACK_FEATURE, NS_LIMITS, NS_SASL, NS_SM, NS_TLS } from '../xml/namespaces.ts'
import type { OpenStream } from './stage.ts'

/**
 * What is advertised for an offer. Nothing restarts the stream after dialback, so its limits are told beforehand, wherever a pair
 * can be authenticated from here (XEP-0478 §3); and stream management wherever stanzas may come without another header. A stream may
 * go both ways (XEP-0288 §2.1) only where the peer's certificate authenticates it: our stanzas go to whoever is at the other end, and
 * a domain proved by dialback is only somebody who answers for it in DNS. In clear it is not offered: there it could not be accepted.
 */
export function featuresOf(
  { offer, tls, certificate, sasl }: Pick<OpenStream, 'offer' | 'tls' | 'certificate' | 'sasl'>,
  by: Pick<LocalServer, 'limits' | 'timeouts' | 'extensions'>
): StreamFeatures {
  const { limits, timeouts, extensions } = by
  const { starttls, mechanisms, dialback } = offer
  const told = { maxBytes: limits.stanzaBytes, idleSeconds: Math.ceil(timeouts.idle / 1000) }
  return {
    starttls,
    mechanisms,
    dialback,
    dialbackErrors: dialback,
    bidi: extensions.bidi && sasl !== undefined && certificate?.use === 'authenticate',
    sm: extensions.streamManagement && (dialback || (tls !== undefined && mechanisms.length === 0)),
    ...(tls !== undefined || dialback ? { limits: told } : {})
  }
}

/** `<stream:features/>` (RFC 6120 §4.3.2, §5.4.1, §6.3.3; XEP-0220 §2.4; XEP-0478): never an empty `<mechanisms/>`. */
export function featuresXml(features: StreamFeatures): string {
  const { starttls, mechanisms, dialback, bidi, sm, limits } = features
  const parts: string[] = []
  if (starttls === 'offered') parts.push(`<starttls xmlns='${NS_TLS}'/>`)
  if (starttls === 'required') parts.push(`<starttls xmlns='${NS_TLS}'><required/></starttls>`)
  if (mechanisms.length > 0) {
    parts.push(`<mechanisms xmlns='${NS_SASL}'>${mechanisms.map(name => `<mechanism>${name}</mechanism>`).join('')}</mechanisms>`)
  }
  if (dialback) parts.push(`<dialback xmlns='${NS_DIALBACK_FEATURE}'><errors/></dialback>`)
  if (bidi) parts.push(`<bidi xmlns='${NS_BIDI_FEATURE}'/>`)
  if (sm) parts.push(`<sm xmlns='${NS_SM}'/>`)
  if (limits?.maxBytes !== undefined && limits.idleSeconds !== undefined) {
    const { maxBytes, idleSeconds } = limits
    parts.push(`<limits xmlns='${NS_LIMITS}'><max-bytes>${maxBytes}</max-bytes><idle-seconds>${idleSeconds}</idle-seconds></limits>`)
  }
  return `<stream:features>${parts.join('')}</stream:features>`
}
