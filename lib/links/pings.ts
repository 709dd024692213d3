import { Element } from 'ltx'
import type { LocalServer } from '../auth/local-server.ts'
import { FederationError } from '../errors.ts'
import { unlessAborted } from '../model/aborted.ts'
import { pairKey, reversed } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { Delivery, Stanza } from '../model/stanza.ts'
import { createId } from '../outgoing/id.ts'
import { NS_PING } from '../xml/namespaces.ts'

/** A ping that has not been answered. */
interface Pending {
  /** Of the answer. */
  readonly pair: string
  readonly answered: () => void
  readonly failed: (error: FederationError) => void
}

/** Pings that we send between domains (XEP-0199), whose answers may come on any link of the pair that is the way back. */
export class Pings {
  readonly #server: LocalServer
  readonly #send: (stanza: Element) => Promise<Delivery>
  readonly #pending = new Map<string, Pending>()

  constructor(server: LocalServer, send: (stanza: Element) => Promise<Delivery>) {
    this.#server = server
    this.#send = send
  }

  /** Milliseconds until the answer, whatever it says: `service-unavailable` is a sign of life too. */
  async ping(pair: DomainPair, signal: AbortSignal | undefined): Promise<number> {
    const { clock, timeouts } = this.#server
    const began = clock.now()
    const id = `ping-${createId()}`
    const answer = new Promise<void>((answered, failed) => this.#pending.set(id, { pair: pairKey(reversed(pair)), answered, failed }))
    answer.catch(() => undefined)
    const late = new FederationError('S2S_TIMEOUT', { pair, detail: `no answer to a ping in ${timeouts.ping} ms` })
    const timer = clock.setTimeout(() => this.#pending.get(id)?.failed(late), timeouts.ping)
    try {
      const sent = this.#send(pingOf(pair, id)).then(() => answer)
      await unlessAborted(Promise.race([sent, answer]), signal)
      return clock.now() - began
    } finally {
      timer.cancel()
      this.#pending.delete(id)
    }
  }

  /** Whether a stanza is the answer to a ping of ours. */
  receive(stanza: Stanza): boolean {
    if (stanza.name !== 'iq' || (stanza.type !== 'result' && stanza.type !== 'error') || stanza.id === undefined) return false
    const pending = this.#pending.get(stanza.id)
    if (pending?.pair !== pairKey({ sender: stanza.from.domain, target: stanza.to.domain })) return false
    pending.answered()
    return true
  }

  /** Nothing will be answered any more. */
  stop(error: FederationError): void {
    for (const each of this.#pending.values()) each.failed(error)
  }
}

function pingOf({ sender, target }: DomainPair, id: string): Element {
  return new Element('iq', { type: 'get', id, from: sender, to: target }).c('ping', { xmlns: NS_PING }).root()
}
