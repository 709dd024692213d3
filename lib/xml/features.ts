import type { Element } from 'ltx'
import type { StreamFeatures } from '../model/stream.ts'
import { NS_BIDI_FEATURE, NS_DIALBACK_FEATURE, NS_LIMITS, NS_SASL, NS_SM, NS_TLS } from './namespaces.ts'

/** Reads `<stream:features/>` (RFC 6120 §4.3.2). What is unknown is ignored; an empty `<mechanisms/>`, as some servers send, offers none. */
export function readFeatures(features: Element): StreamFeatures {
  const starttls = features.getChild('starttls', NS_TLS)
  const dialback = features.getChild('dialback', NS_DIALBACK_FEATURE)
  const limits = features.getChild('limits', NS_LIMITS)
  return {
    starttls: starttls === undefined ? 'absent' : starttls.getChild('required') === undefined ? 'offered' : 'required',
    mechanisms: mechanismsOf(features.getChild('mechanisms', NS_SASL)),
    dialback: dialback !== undefined,
    dialbackErrors: dialback?.getChild('errors') !== undefined,
    bidi: features.getChild('bidi', NS_BIDI_FEATURE) !== undefined,
    sm: features.getChild('sm', NS_SM) !== undefined,
    ...(limits === undefined ? {} : { limits: readLimits(limits) })
  }
}

function mechanismsOf(mechanisms: Element | undefined): readonly string[] {
  return (mechanisms?.getChildren('mechanism') ?? [])
    .map(mechanism => mechanism.getText().trim())
    .filter(name => name.length > 0 && name.length <= 20)
}

/** XEP-0478 §3: both children are optional unsigned integers; nonsense is as good as absence. */
export function readLimits(limits: Element): { maxBytes?: number; idleSeconds?: number } {
  const maxBytes = unsigned(limits.getChildText('max-bytes'))
  const idleSeconds = unsigned(limits.getChildText('idle-seconds'))
  return { ...(maxBytes === undefined ? {} : { maxBytes }), ...(idleSeconds === undefined ? {} : { idleSeconds }) }
}

function unsigned(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined || !/^[0-9]{1,10}$/.test(text.trim())) return undefined
  const value = Number(text)
  return value > 0 && value < 2 ** 32 ? value : undefined
}
