import type { VerifyKey } from '../auth/dialback-receiving.ts'
import type { LocalServer } from '../auth/local-server.ts'
import type { FederationError } from '../errors.ts'
import type { Domain } from '../model/domain.ts'
import { verifyKey } from '../outgoing/verify.ts'
import { Turnstile } from './turnstile.ts'

/** The calls to one authoritative server. */
interface Gate {
  readonly turnstile: Turnstile
  users: number
}

/**
 * The calls to authoritative servers, over all streams of the engine: strangers have them made (XEP-0220 §3.1). They have a gate of
 * their own, so that no stranger keeps what we send waiting, and so has each domain that is called. Turns are taken by whoever brings the
 * keys: which domain is called is up to him.
 */
export class Verifications {
  readonly #parts: Pick<LocalServer, 'limits' | 'timeouts' | 'clock'>
  readonly #turnstile: Turnstile
  readonly #gates = new Map<Domain, Gate>()

  constructor(parts: Pick<LocalServer, 'limits' | 'timeouts' | 'clock'>) {
    this.#parts = parts
    const { limits, timeouts, clock } = parts
    this.#turnstile = new Turnstile({
      what: 'verifications',
      limit: 'verifications',
      most: limits.verifications,
      pace: { perSecond: limits.verificationsPerSecond, limit: 'verificationsPerSecond' },
      // Whoever waits for the answer has as long in all: it is told in time that there is no room.
      patience: timeouts.dialback / 2,
      clock
    })
  }

  readonly verify: VerifyKey = async (request, server, signal) => {
    const { sender } = request.pair
    const { asker = 'an unknown address' } = request
    const call = (): ReturnType<VerifyKey> => verifyKey(request, server, signal)
    const gate = this.#gateOf(sender)
    gate.users += 1
    try {
      return await gate.turnstile.pass(sender, () => this.#turnstile.pass(sender, call, signal, asker), signal, asker)
    } finally {
      gate.users -= 1
      if (gate.users === 0) this.#gates.delete(sender)
    }
  }

  /** Begins no more. */
  close(error: FederationError): void {
    this.#turnstile.close(error)
    for (const { turnstile } of this.#gates.values()) turnstile.close(error)
  }

  #gateOf(sender: Domain): Gate {
    const known = this.#gates.get(sender)
    if (known !== undefined) return known
    const { limits, timeouts, clock } = this.#parts
    const turnstile = new Turnstile({
      what: 'verifications',
      limit: 'verificationsPerSender',
      most: limits.verificationsPerSender,
      patience: timeouts.dialback / 4,
      clock
    })
    const gate = { turnstile, users: 0 }
    this.#gates.set(sender, gate)
    return gate
  }
}
