import type { StreamFeatures } from '../model/stream.ts'
import type { Limits, Timeouts } from '../model/settings.ts'
import { NS_DIALBACK_FEATURE, NS_LIMITS, NS_SASL, NS_TLS } from '../xml/namespaces.ts'
import type { OpenStream } from './stage.ts'

/**
 * What is advertised for an offer. Nothing restarts the stream after dialback, so its limits are told beforehand, wherever a pair
 * can be authenticated from here (XEP-0478 §3).
 */
export function featuresOf({ offer, tls }: Pick<OpenStream, 'offer' | 'tls'>, limits: Limits, timeouts: Timeouts): StreamFeatures {
  const { starttls, mechanisms, dialback } = offer
  const told = { maxBytes: limits.stanzaBytes, idleSeconds: Math.ceil(timeouts.idle / 1000) }
  return {
    starttls,
    mechanisms,
    dialback,
    dialbackErrors: dialback,
    bidi: false,
    sm: false,
    ...(tls !== undefined || dialback ? { limits: told } : {})
  }
}

/** `<stream:features/>` (RFC 6120 §4.3.2, §5.4.1, §6.3.3; XEP-0220 §2.4; XEP-0478): never an empty `<mechanisms/>`. */
export function featuresXml(features: StreamFeatures): string {
  const { starttls, mechanisms, dialback, limits } = features
  const parts: string[] = []
  if (starttls === 'offered') parts.push(`<starttls xmlns='${NS_TLS}'/>`)
  if (starttls === 'required') parts.push(`<starttls xmlns='${NS_TLS}'><required/></starttls>`)
  if (mechanisms.length > 0) {
    parts.push(`<mechanisms xmlns='${NS_SASL}'>${mechanisms.map(name => `<mechanism>${name}</mechanism>`).join('')}</mechanisms>`)
  }
  if (dialback) parts.push(`<dialback xmlns='${NS_DIALBACK_FEATURE}'><errors/></dialback>`)
  if (limits?.maxBytes !== undefined && limits.idleSeconds !== undefined) {
    const { maxBytes, idleSeconds } = limits
    parts.push(`<limits xmlns='${NS_LIMITS}'><max-bytes>${maxBytes}</max-bytes><idle-seconds>${idleSeconds}</idle-seconds></limits>`)
  }
  return `<stream:features>${parts.join('')}</stream:features>`
}
