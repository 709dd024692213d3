import { FederationError } from '../errors.ts'
import type { OwnCertificate } from '../model/certificate.ts'
import { isCertificateAlert } from '../transport/tls.ts'
import type { XmlStream } from '../xml/stream.ts'

/**
 * A peer that ends the connection inside TLS before it sends features has looked at our certificate and refused it; under TLS 1.3
 * a client learns so only after its own handshake is done (RFC 8446 §4.4.2.4). The same end later means something else.
 *
 * @param ours what it had to look at
 */
export function refusedCertificate(
  error: FederationError,
  stream: XmlStream,
  beforeFeatures: boolean,
  ours: OwnCertificate
): FederationError {
  if (!stream.encrypted) return error
  if (isCertificateAlert(error.cause)) return refusal(error, 'by a TLS alert', ours)
  if (!beforeFeatures) return error
  // Nobody said why: it may have been the network, and then the next try goes well.
  if (error.code === 'S2S_STREAM_CLOSED') return refusal(error, 'the connection ended inside TLS before features', ours, true)
  const { code, condition } = error
  if (code === 'S2S_STREAM_ERROR_RECEIVED' && (condition === 'not-authorized' || condition === 'policy-violation'))
    return refusal(error, error.detail ?? condition, ours)
  return error
}

function refusal(error: FederationError, said: string, ours: OwnCertificate, temporary = false): FederationError {
  const { step, pair, condition } = error
  return new FederationError('S2S_CERTIFICATE_REFUSED', {
    detail: ours === 'missing' ? `it wants one, and we have none (${said})` : said,
    temporary,
    cause: error,
    ...(step === undefined ? {} : { step }),
    ...(pair === undefined ? {} : { pair }),
    ...(condition === undefined ? {} : { condition })
  })
}
