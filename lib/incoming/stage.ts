import type { Duplex } from 'node:stream'
import type { JudgedCertificate } from '../auth/dialback-receiving.ts'
import type { Evidence } from '../auth/evidence.ts'
import type { SaslReceiver } from '../auth/sasl-receiving.ts'
import type { Domain } from '../model/domain.ts'
import type { TlsContext } from '../model/plugs.ts'
import type { StreamHeader, TlsFacts } from '../model/stream.ts'
import type { Offer } from '../rules/offer.ts'
import type { XmlStream } from '../xml/stream.ts'
import type { Questions } from './questions.ts'

/** The TLS layer of a connection: what the peer presented, what we showed, and whom the peer had asked for by then. */
export interface TlsLayer {
  readonly chain: readonly Buffer[]
  readonly facts: TlsFacts
  readonly shown: TlsContext | undefined
  /** The hosted domain that the server name, or the header in clear, named. */
  readonly named: Domain | undefined
}

/** A stream that awaits a header: in clear, inside TLS, or again after SASL has proved a pair. */
export interface Stage {
  readonly kind: 'stage'
  readonly stream: XmlStream
  readonly tls: TlsLayer | undefined
  /** Set after SASL: the header to come must name the same two domains. */
  readonly proved: { readonly evidence: Evidence; readonly on: OpenStream } | undefined
}

/** A connection handed over for a TLS handshake; nothing of the stream in clear is kept but whom it was for. */
export interface Handover {
  readonly kind: 'handover'
  readonly connection: Duplex
  readonly named: Domain | undefined
}

/** A stream whose headers were exchanged, until its end or the next header. */
export interface OpenStream {
  readonly stream: XmlStream
  readonly tls: TlsLayer | undefined
  /** What the peer said. */
  readonly header: StreamHeader
  /** The id that we gave: new with every header, and what dialback keys are made for (XEP-0220 §2.1.1). */
  readonly id: string
  readonly local: Domain
  readonly remote: Domain | undefined
  /** When the settings under which its questions were asked were in force: `LocalServer.epoch`. */
  readonly epoch: number
  readonly questions: Questions
  /** What the certificate says about `remote`; undefined in clear. */
  readonly certificate: JudgedCertificate | undefined
  readonly offer: Offer
  /** In clear: nothing but TLS and `db:verify` is served (RFC 6120 §5.3.1). */
  readonly isTlsRequired: boolean
  /** Whether `<starttls/>` is followed. */
  readonly acceptsTls: boolean
  /** Inside TLS, until something is proved. */
  readonly sasl: SaslReceiver | undefined
}
