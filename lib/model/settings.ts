/** Deadlines, in milliseconds. `options.ts` holds each default with its reason. */
export interface Timeouts {
  /** DNS, all lookups of one domain together. */
  readonly resolve: number
  /** All addresses of one endpoint together. */
  readonly connect: number
  /**
   * Each other step: a header with its features, the TLS handshake, a SASL exchange. Also, how long what was sent back on a link that was
   * lost waits for its peer to come back (XEP-0288, XEP-0198 §5).
   */
  readonly step: number
  /** A whole negotiation, all attempts; for an incoming stream, until its first pair is authenticated. */
  readonly negotiation: number
  /** A dialback request until its answer. */
  readonly dialback: number
  /** A link on which nothing moved. */
  readonly idle: number
  /** A link on which we said nothing: then we say a space. */
  readonly keepAlive: number
  /** A peer that takes nothing of what we write. */
  readonly write: number
  /** A ping until its answer (XEP-0199). */
  readonly ping: number
  /** Waiting for the peer's closing tag and for the socket to end. */
  readonly close: number
  /** A stanza in the queue of its pair. */
  readonly queue: number
  /** A request for acknowledgement until its answer (XEP-0198). */
  readonly acknowledgement: number
  /** For how long a peer may answer such requests without having handled one stanza more. */
  readonly progress: number
  /** How long a managed stream that was lost can be resumed, in either direction (XEP-0198 §5). */
  readonly resumption: number
}

/** Protocol extensions that are used where the peer offers or asks for them. */
export interface Extensions {
  /** Acknowledgements (XEP-0198). */
  readonly streamManagement: boolean
  /** Managed streams that are lost are resumed (XEP-0198 §5). */
  readonly resumption: boolean
  /** Further pairs join live outgoing streams by dialback, where nothing is lost by it (XEP-0220 §2.6). */
  readonly multiplexing: boolean
  /** One connection carries the stanzas of a pair both ways, where certificates prove both sides (XEP-0288). */
  readonly bidi: boolean
}

/** Bounds on what a peer can make us hold. Sizes are bytes. */
export interface Limits {
  readonly stanzaBytes: number
  readonly preAuthBytes: number
  readonly depth: number
  readonly attributes: number
  readonly queuedStanzas: number
  readonly queuedBytes: number
  /** Stanzas that wait in the queues of all pairs together. */
  readonly totalQueuedStanzas: number
  readonly totalQueuedBytes: number
  /** Pairs that have a link, something waiting or a retry time. */
  readonly routes: number
  /** Stanzas written to one link and not acknowledged yet (XEP-0198). */
  readonly unackedStanzas: number
  readonly unackedBytes: number
  /** Incoming streams that were lost and wait to be resumed (XEP-0198 §5). */
  readonly resumableStreams: number
  readonly incomingStreams: number
  readonly incomingPerAddress: number
  /** Incoming connections of one address on which nobody is authenticated yet. */
  readonly unauthenticatedPerAddress: number
  readonly verificationsPerStream: number
  readonly verificationsPerAddress: number
  readonly verificationsPerSender: number
  /** Dialback verifications under way at once, over all streams; further ones wait their turn. */
  readonly verifications: number
  /** Dialback verifications begun in a second; a second's worth may begin at once. */
  readonly verificationsPerSecond: number
  readonly pairsPerStream: number
  readonly endpoints: number
  /** Negotiations of outgoing links under way at once; further ones wait their turn. */
  readonly negotiations: number
  /** Negotiations of outgoing links begun in a second; a second's worth may begin at once. */
  readonly dialsPerSecond: number
}

/** Which authorities may vouch for peers. */
export interface Trust {
  /** `bundled`: Node's copy of Mozilla's list. `system`: the operating system's bundle. Or PEM certificates: then no others. Default `bundled`. */
  readonly default?: 'bundled' | 'system' | readonly string[]
  /** PEM certificates trusted beside the default. */
  readonly also?: readonly string[]
  /** Per remote domain: `ca` beside the default, or with `only` instead of it. A partner's private CA vouches for nobody else. */
  readonly forDomains?: readonly { readonly patterns: readonly string[]; readonly ca: readonly string[]; readonly only?: boolean }[]
}

/** The secret behind dialback keys (XEP-0185): at least 32 random bytes. `accepted` are former or future ones, for rotation. */
export interface DialbackSecret {
  readonly current: string | Buffer
  readonly accepted?: readonly (string | Buffer)[]
}

/** One place to listen. */
export interface ListenOptions {
  /** Default: all addresses. */
  readonly host?: string
  /** 0 takes a free port. */
  readonly port: number
  /** `direct`: TLS from the first byte (XEP-0368). Default `starttls`. */
  readonly tls?: 'starttls' | 'direct'
}

/** Host, port and kind of TLS for one remote domain, instead of DNS (RFC 6120 §3.2.3). */
export interface Override {
  readonly host: string
  readonly port?: number
  readonly tls?: 'starttls' | 'direct'
}

/** A pre-shared password for SASL PLAIN with one explicitly configured peer. */
export interface Password {
  readonly username: string
  readonly password: string
}
