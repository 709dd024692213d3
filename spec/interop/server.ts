import type { Credentials, Direction, SecurityLevel, SocketAddress } from '../../lib/index.ts'
import { ejabberdIsPresent, startEjabberd } from './ejabberd.ts'
import { prosodyIsPresent, startProsody } from './prosody.ts'

export type ServerKind = 'prosody' | 'ejabberd'

/**
 * strict: STARTTLS required, and a certificate that verifies. default: STARTTLS required, dialback for a certificate that does
 * not verify. optional: as default, but STARTTLS only when both can. plain: no TLS at all. nodialback: strict, and no dialback.
 */
export type ServerVariant = 'strict' | 'default' | 'optional' | 'plain' | 'nodialback'

export interface ServerOptions {
  readonly variant: ServerVariant
  /** What each of its domains shows the world. */
  readonly hosts: Readonly<Record<string, Credentials>>
  /** PEM: the only authority it trusts. */
  readonly authority: string
  /** The only DNS server it asks. */
  readonly dns: SocketAddress
  /** Addresses of hosts for a server that asks the C library for them, and not DNS: they say what DNS says. */
  readonly names: Readonly<Record<string, string>>
  /** Whether Prosody logs every stanza. Default true; with thousands of them, better not. */
  readonly verbose?: boolean
  /** Whether the kernel may hold back its small writes. Default as the server has it. */
  readonly nagle?: boolean
}

/** Each direction as we call it: our outgoing is the server's incoming. */
export type Levels = Partial<Record<Direction, SecurityLevel>>

/** A real server on a loopback address of its own, with configuration and data in a temporary folder. */
export interface PeerServer {
  readonly kind: ServerKind
  readonly address: string
  /** STARTTLS. */
  readonly port: number
  /** TLS from the first byte. */
  readonly directPort: number
  /** All that it has logged. */
  log(): string
  /** The first match in the log from `after` on, waiting for it up to 20 seconds. */
  logged(pattern: RegExp, after?: number): Promise<RegExpExecArray>
  /**
   * Has it ping a domain from one of its own. False: it was told, or found out itself, that this cannot be. A server that does not
   * say what came of it is asked for the arrival of the ping instead.
   */
  ping(from: string, to: string, arrival: (id: string) => Promise<void>): Promise<boolean>
  /** How its own log or shell has the streams that it authenticated from `after` on. */
  levels(ours: string, theirs: string, after: number): Promise<Levels>
  /** Kills it without a word, and starts it again with the same configuration and ports. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export const DOMAIN: Readonly<Record<ServerKind, string>> = { prosody: 'prosody.test', ejabberd: 'ejabberd.test' }

export const KINDS: readonly ServerKind[] = ['prosody', 'ejabberd']

/** Starts one and waits until it listens. Nothing outside its temporary folder is read or written, `/etc` included. */
export function startServer(kind: ServerKind, options: ServerOptions): Promise<PeerServer> {
  return kind === 'prosody' ? startProsody(options) : startEjabberd(options)
}

/** Whether a server and its libraries are installed. Where they are not, says so and skips the suite; with CI set it fails. */
export function needs(kind: ServerKind, suite: Mocha.Context): void {
  if (kind === 'prosody' ? prosodyIsPresent() : ejabberdIsPresent()) return
  const sentence = `${kind} or a library that it needs is not installed: npm run interop:install`
  if ((process.env['CI'] ?? '') !== '') throw new Error(sentence)
  console.log(`      (${sentence})`)
  suite.skip()
}
