import { FederationError } from '../errors.ts'
import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { StreamHeader } from '../model/stream.ts'
import { escapeText } from '../rules/escape.ts'
import type { HeaderFrame } from './framer.ts'
import { NS_DIALBACK, NS_SERVER, NS_STREAMS } from './namespaces.ts'

/**
 * Judges a received stream header (RFC 6120 §4.7, §4.8) and gives its parsed form. An empty `from` or `to`, which old servers
 * send, counts as absent.
 *
 * @throws FederationError whose `streamCondition` is what the peer gets: `invalid-namespace`, `improper-addressing`,
 * `unsupported-version`
 */
export function readHeader(frame: HeaderFrame): StreamHeader {
  if (frame.namespace !== NS_STREAMS || frame.name !== 'stream') throw wrong('invalid-namespace', 'the root is not a stream')
  // A header without a prefix of its own has the streams namespace as default, and stanzas declare theirs (RFC 6120 §4.8.2).
  if (frame.contentNamespace !== NS_SERVER && frame.contentNamespace !== NS_STREAMS)
    throw wrong('invalid-namespace', 'the content namespace is not jabber:server')
  return {
    from: domainOf(frame.from, 'from'),
    to: domainOf(frame.to, 'to'),
    id: frame.id === undefined || frame.id === '' ? undefined : frame.id,
    version: versionOf(frame.version),
    lang: frame.lang,
    dialback: [...frame.prefixes.values()].includes(NS_DIALBACK)
  }
}

function domainOf(text: string | undefined, attribute: string): Domain | undefined {
  if (text === undefined || text === '') return undefined
  const name = parseDomain(text)
  if (name === undefined) throw wrong('improper-addressing', `${attribute} is no domain: ${escapeText(text)}`)
  return name
}

function versionOf(text: string | undefined): StreamHeader['version'] {
  if (text === undefined) return undefined
  const match = /^0*(\d{1,4})\.0*(\d{1,4})$/.exec(text.trim())
  if (match === null) throw wrong('unsupported-version', `version ${escapeText(text)}`)
  const version = { major: Number(match[1]), minor: Number(match[2]) }
  return version.major === 0 ? undefined : version
}

function wrong(condition: string, detail: string): FederationError {
  return new FederationError('S2S_NOT_WELL_FORMED', { detail, condition, stream: condition })
}
