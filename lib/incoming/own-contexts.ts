import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import type { Domain } from '../model/domain.ts'
import type { TlsContext } from '../model/plugs.ts'

/** Milliseconds that a failure is remembered: a key store is not asked more often, however often strangers have us look. */
const REMEMBERED = 5_000

interface Failure {
  readonly error: FederationError
  readonly at: number
  readonly epoch: number
}

/** What hosted domains have to show to those that connect, over all streams. */
export class OwnContexts {
  readonly #server: LocalServer
  readonly #failures = new Map<Domain, Failure>()

  constructor(server: LocalServer) {
    this.#server = server
  }

  /**
   * What a hosted domain has to show. Unusable credentials are as good as none, and a warning.
   *
   * @throws FederationError where it cannot be had at the moment: whoever has a certificate is not to go on in clear
   */
  async of(local: Domain): Promise<TlsContext | undefined> {
    const failed = this.#failureOf(local)
    if (failed === undefined) {
      try {
        return await this.#server.hosted.context(local)
      } catch (thrown) {
        // Others may have waited for the same answer.
        if (this.#failureOf(local) === undefined) this.#remember(local, FederationError.from(thrown))
      }
    }
    const error = this.#failureOf(local)
    if (error?.temporary === true) throw error
    return undefined
  }

  #remember(local: Domain, error: FederationError): void {
    const { clock, epoch, observer } = this.#server
    this.#failures.set(local, { error, at: clock.now(), epoch })
    if (!error.temporary) observer.warn(error)
  }

  /** Lately, and under the settings of now. */
  #failureOf(local: Domain): FederationError | undefined {
    const { clock, epoch } = this.#server
    const failure = this.#failures.get(local)
    return failure?.epoch === epoch && clock.now() - failure.at < REMEMBERED ? failure.error : undefined
  }
}
