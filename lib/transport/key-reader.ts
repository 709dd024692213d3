import { createHash } from 'node:crypto'
import { FederationError } from '../errors.ts'
import type { Domain } from '../model/domain.ts'
import type { Clock, Credentials, KeyStore, Tls, TlsContext } from '../model/plugs.ts'
import { abortReason } from '../model/aborted.ts'
import { isThenable } from '../model/thenable.ts'
import { Deadline } from './deadline.ts'

/** What a domain shows; no context: it has no certificate. */
export interface Shown {
  readonly context: TlsContext | undefined
  /** What the context was made of, so that the same need not be made again. Keys are not kept. */
  readonly digest: string | undefined
}

export interface KeyReaderOptions {
  readonly clock: Clock
  /** How long a key store may take to answer for one domain, in milliseconds. */
  readonly patience: number
  /** Aborted when nobody wants answers any more. */
  readonly signal?: AbortSignal
}

/** Asks a key store, and makes what a domain shows of what it answers. */
export class KeyReader {
  readonly #store: KeyStore
  readonly #tls: Tls
  readonly #options: KeyReaderOptions

  constructor(store: KeyStore, tls: Tls, options: KeyReaderOptions) {
    this.#store = store
    this.#tls = tls
    this.#options = options
  }

  /**
   * Asks for the credentials of one domain.
   *
   * @throws FederationError `S2S_KEY_STORE` when the store fails or gives no answer in time
   */
  async ask(hosted: Domain): Promise<Credentials | undefined> {
    const { clock, patience, signal } = this.#options
    let deadline: Deadline | undefined
    try {
      signal?.throwIfAborted()
      const answer = this.#store.credentialsFor(hosted)
      if (!isThenable(answer)) return answer
      deadline = new Deadline(clock, patience, 'the answer', signal)
      return await deadline.race(Promise.resolve(answer))
    } catch (cause) {
      if (signal?.aborted === true) throw abortReason(signal)
      const isLate = deadline?.signal.aborted === true
      const why = isLate ? `gave no answer within ${patience} ms` : 'failed'
      throw new FederationError('S2S_KEY_STORE', { detail: `the credentials of ${hosted}: the key store ${why}`, cause })
    } finally {
      deadline?.cancel()
    }
  }

  /**
   * Makes what is shown; what is known, if it was made of the same.
   *
   * @throws FederationError `S2S_CONFIG` naming the domain, for credentials that cannot be used
   */
  make(hosted: Domain, credentials: Credentials | undefined, known?: Shown): Shown {
    if (credentials === undefined) return { context: undefined, digest: undefined }
    try {
      const digest = digestOf(credentials)
      return digest === known?.digest ? known : { context: this.#tls.createContext(credentials), digest }
    } catch (cause) {
      const why = FederationError.is(cause) ? (cause.detail ?? cause.message) : 'they cannot be used'
      throw new FederationError('S2S_CONFIG', { detail: `the credentials of ${hosted}: ${why}`, cause })
    }
  }
}

/** Whether it was silence that made a key store fail. */
export function isSilence({ code, cause }: FederationError): boolean {
  return code === 'S2S_KEY_STORE' && FederationError.is(cause) && cause.code === 'S2S_TIMEOUT'
}

function digestOf({ key, cert, passphrase = '' }: Credentials): string {
  const hash = createHash('sha256')
  for (const part of [key, cert, passphrase]) hash.update(`${Buffer.byteLength(part)} `).update(part)
  return hash.digest('base64')
}
