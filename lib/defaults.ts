import type { Extensions, Limits, Timeouts } from './model/settings.ts'

/** Each deadline with its reason. */
export const DEFAULT_TIMEOUTS: Timeouts = {
  /** Two servers, two tries of 5 s would be 20; a peer that is given up a little early is found again by the retry. */
  resolve: 15_000,
  /** Every address gets its 250 ms start; TCP's own second SYN comes after 1 s, its third after 3 s. */
  connect: 10_000,
  /** Prosody's Nagle delay and a slow handshake fit in; a stalled peer is noticed while somebody still waits. */
  step: 15_000,
  /** The budget of protocol practice (60–120 s): a sender learns of the failure while the conversation still matters. */
  negotiation: 60_000,
  /** The receiving server has to resolve, connect and handshake on its own before it can answer. */
  dialback: 30_000,
  /** Servers keep idle links from 10 minutes to an hour. */
  idle: 1_800_000,
  /** RFC 6120 §4.6.4 wants no more than one check in five minutes; address translators forget later than that. */
  keepAlive: 300_000,
  /** As long as a whole negotiation may take: who takes no byte for a minute is gone, or means harm. */
  write: 60_000,
  /** A ping may have to dial, and its answer to dial back. */
  ping: 60_000,
  /** What Prosody and Openfire give a closing peer. */
  close: 5_000,
  /** Half again the budget of a negotiation: only what waits for a second one in a row gets that old. */
  queue: 90_000,
  /** A peer under load answers in seconds; TCP alone would notice a dead one after a quarter of an hour. */
  acknowledgement: 30_000,
  /** Ten times as long as the answer may take: a handler that waits for a database to come back is done by then. */
  progress: 300_000,
  /** One whole negotiation: whoever notices a loss at once is back within it. */
  resumption: 60_000
}

export const EXTENSIONS: Extensions = { streamManagement: true, resumption: true, bidi: true, multiplexing: true }

/** Each limit with its reason. */
export const DEFAULT_LIMITS: Limits = {
  /** What Prosody and ejabberd take after authentication. */
  stanzaBytes: 524_288,
  /** No negotiation element comes near: certificates are not in XML. RFC 6120 §13.12 forbids less than 10000. */
  preAuthBytes: 65_536,
  /** Real stanzas stay below 20 levels. */
  depth: 100,
  attributes: 100,
  /** A pair's burst while its link is being negotiated. */
  queuedStanzas: 1_000,
  queuedBytes: 8_388_608,
  /** About 2 kB each beside its bytes: 256 MB at the most. */
  totalQueuedStanzas: 131_072,
  /** Thirty-two full queues: no more than that again. */
  totalQueuedBytes: 268_435_456,
  /** About 3 kB each while it bounces, 8 kB while it is dialled: 256 MB at the most. Large servers talk to some thousands of domains. */
  routes: 32_768,
  /** Over 100 ms of network these are 10,000 stanzas a second; with a dead link as many are in doubt. */
  unackedStanzas: 1_000,
  unackedBytes: 8_388_608,
  /** Each is a counter and the names of its pair, about 2 kB, and for a while what was sent back on it; the oldest makes room. */
  resumableStreams: 1_024,
  /** About 65 kB each with TLS: 650 MB at the most. */
  incomingStreams: 10_000,
  /** Half of all: servers open a stream per pair, and a stranger who proves a domain of his own again and again still leaves room. */
  incomingPerAddress: 5_000,
  /** A server that comes back opens one for each of a thousand pairs at once; a stranger needs ten addresses to take every place. */
  unauthenticatedPerAddress: 1_000,
  /** Each verification is a connection that a stranger makes us open (XEP-0220 §3.1). */
  verificationsPerStream: 16,
  verificationsPerAddress: 64,
  verificationsPerSender: 64,
  /** As many as negotiations of our own: many strangers together, each below its own bound, are no storm either. */
  verifications: 1_024,
  /** What one core negotiates with TLS, as for our own. */
  verificationsPerSecond: 200,
  pairsPerStream: 256,
  /** SRV answers with a thousand targets are an attack. */
  endpoints: 16,
  /** A restart with many thousands of pairs is no storm, and silent domains, each of which holds a place for a while, do not use it up. */
  negotiations: 1_024,
  /** What one core negotiates with TLS; after a restart a thousand pairs are back within five seconds. */
  dialsPerSecond: 200
}

/** RFC 6120 §13.12 forbids less than 10000 bytes; with less depth or fewer attributes no negotiation gets through. */
const LEAST: Partial<Limits> = { stanzaBytes: 10_000, preAuthBytes: 10_000, depth: 8, attributes: 16 }

/** As deep as what comes can also be written again; comparing attributes costs their square. */
const MOST: Partial<Limits> = { depth: 1_000, attributes: 1_000 }

/** What a limit may be set to, for everybody who reads one. */
export function limitBounds(limit: keyof Limits): { readonly least: number; readonly most: number } {
  return { least: LEAST[limit] ?? 1, most: MOST[limit] ?? 2 ** 31 - 1 }
}
