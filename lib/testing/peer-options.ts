import type { Credentials, Tls } from '../model/plugs.ts'
import type { DeadlineOptions } from './deadline.ts'

/** What a scripted peer is made with. */
export interface PeerOptions extends DeadlineOptions {
  /** Default: node:tls. */
  readonly tls?: Tls
  /** What this peer presents in TLS. Default: nothing, which only the initiating side can do. */
  readonly credentials?: Credentials | undefined
}

/** How a scripted peer begins TLS. See `secure` of ScriptedPeer. */
export interface SecureOptions {
  /** Initiating: the server name to ask for. Default: none. */
  readonly servername?: string
  /** Initiating: default `xmpp-server`. */
  readonly alpn?: readonly string[]
  /** Default: the peer's. */
  readonly credentials?: Credentials | undefined
}
