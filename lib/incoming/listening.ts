import type { Duplex } from 'node:stream'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Listener, SocketAddress } from '../model/plugs.ts'
import { hasMethods, isText, wholeNumber } from '../rules/option-value.ts'
import type { Arrival } from './negotiation.ts'

type TlsKind = 'starttls' | 'direct'

/** Where to listen; no host: all addresses. */
interface Place {
  readonly host?: string
  readonly port: number
  readonly tls: TlsKind
}

interface Opened extends SocketAddress {
  readonly tls: TlsKind
  readonly listener: Listener
}

/** What an engine listens on. */
export class Listening {
  readonly #server: LocalServer
  readonly #own: SocketAddress[]
  readonly #accept: (connection: Duplex, arrival: Arrival) => void
  #opened: readonly Opened[] = []

  /** @param own where the addresses are kept that are ours, and are not dialled */
  constructor(server: LocalServer, own: SocketAddress[], accept: (connection: Duplex, arrival: Arrival) => void) {
    this.#server = server
    this.#own = own
    this.#accept = accept
  }

  get addresses(): readonly (SocketAddress & { readonly tls: TlsKind })[] {
    return this.#opened.map(({ address, port, tls }) => ({ address, port, tls }))
  }

  /**
   * Listens on all of them, or on none. `mayGoOn` throws when it is to listen no more.
   *
   * @throws FederationError `S2S_CONFIG` when one of them cannot be listened on, and what `mayGoOn` throws
   */
  async open(places: readonly Place[], mayGoOn: () => void): Promise<void> {
    const opened: Opened[] = []
    try {
      for (const at of places) {
        opened.push(await this.#listen(at))
        mayGoOn()
      }
    } catch (cause) {
      await this.#closeAll(opened)
      throw FederationError.is(cause) ? cause : new FederationError('S2S_CONFIG', { detail: `cannot listen: ${String(cause)}`, cause })
    }
    this.#opened = opened
  }

  /** Accepts nothing more from the moment it is called; resolves when every listener is closed, or has failed to, which is a `warning`. */
  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = []
    await this.#closeAll(opened)
  }

  async #listen(at: Place): Promise<Opened> {
    const listener = await this.#server.transport.listen({ host: at.host ?? '::', port: at.port }, (connection, from) =>
      this.#accept(connection, { address: from.address, ...(at.tls === 'direct' ? { tls: 'direct' } : {}) })
    )
    hasMethods('close')(listener, 'what transport.listen gave')
    const opened = { address: listener.address, port: listener.port, tls: at.tls, listener }
    try {
      isText(opened.address, 'the address of what transport.listen gave')
      wholeNumber(0, 65_535)(opened.port, 'the port of what transport.listen gave')
    } catch (error) {
      await this.#close(opened)
      throw error
    }
    this.#own.push(listener)
    return opened
  }

  async #closeAll(opened: readonly Opened[]): Promise<void> {
    await Promise.all(opened.map(each => this.#close(each)))
  }

  async #close({ address, port, listener }: Opened): Promise<void> {
    const known = this.#own.indexOf(listener)
    if (known !== -1) this.#own.splice(known, 1)
    try {
      await listener.close()
    } catch (cause) {
      const detail = `the listener on ${address} port ${port} could not be closed: ${cause instanceof Error ? cause.message : String(cause)}`
      this.#server.observer.warn(new FederationError('S2S_CONFIG', { detail, cause }))
    }
  }
}
