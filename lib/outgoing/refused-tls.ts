import { FederationError } from '../errors.ts'

/** What a server says of an element that it has not offered: of `<starttls/>` here (RFC 6120 §4.9.3). */
const PROTESTS: ReadonlySet<string | undefined> = new Set([
  'bad-format',
  'invalid-xml',
  'not-authorized',
  'policy-violation',
  'undefined-condition',
  'unsupported-feature',
  'unsupported-stanza-type'
])

/**
 * Why `<starttls/>` was not answered with `<proceed/>`. It is asked for where it is not offered if policy requires it (RFC 7590 §3.1),
 * and then the offer that was missing says more than the way in which the peer ends the stream.
 */
export function refusedTls(error: FederationError, isOffered: boolean): FederationError {
  const isProtest = error.code === 'S2S_STREAM_ERROR_RECEIVED' && PROTESTS.has(error.condition)
  if (isOffered || !(isProtest || error.code === 'S2S_TLS_REFUSED')) return error
  const { pair, condition } = error
  const end = isProtest ? `it ended the stream with ${error.detail ?? 'an error'}` : (error.detail ?? 'it said no')
  return new FederationError('S2S_TLS_REFUSED', {
    detail: `it does not offer it, and when it was asked all the same, ${end}`,
    temporary: false,
    cause: error,
    ...(pair === undefined ? {} : { pair }),
    ...(condition === undefined ? {} : { condition })
  })
}
