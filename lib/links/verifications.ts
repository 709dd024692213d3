import type { VerifyKey } from '../auth/dialback-receiving.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { FederationError } from '../errors.ts'
import { verifyKey } from '../outgoing/verify.ts'
import { Turnstile } from './turnstile.ts'

/**
 * The calls to authoritative servers, over all streams of the engine: strangers have them made (XEP-0220 §3.1). They have a gate of
 * their own, so that no stranger keeps what we send waiting.
 */
export class Verifications {
  readonly #turnstile: Turnstile

  constructor({ limits, timeouts, clock }: Pick<LocalServer, 'limits' | 'timeouts' | 'clock'>) {
    this.#turnstile = new Turnstile({
      what: 'verifications',
      most: limits.verifications,
      perSecond: limits.verificationsPerSecond,
      rate: 'verificationsPerSecond',
      // Whoever waits for the answer has as long in all: it is told in time that there is no room.
      patience: timeouts.dialback / 2,
      clock
    })
  }

  readonly verify: VerifyKey = (request, server, signal) =>
    this.#turnstile.pass(request.pair.sender, () => verifyKey(request, server, signal), signal)

  /** Begins no more. */
  close(error: FederationError): void {
    this.#turnstile.close(error)
  }
}
