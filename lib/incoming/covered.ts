import { vouchedByCertificate } from '../auth/dialback-receiving.ts'
import { FederationError } from '../errors.ts'
import { parseAddress } from '../model/address.ts'
import { pairKey } from '../model/domain.ts'
import type { DomainPair } from '../model/domain.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { keyStream } from './dialback.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import type { OpenStream } from './stage.ts'

/**
 * A stanza of a sender that nobody has authenticated on this stream, from a peer whose configuration says that it sends so: Openfire of
 * the time of 3.6 sends for its other domains without asking. The certificate of this connection has to cover the sender, and policy is
 * asked for the pair as for any other; no key is asked for.
 *
 * @returns whether the pair is authenticated now; undefined: there is nothing to find out
 */
export function coverSender(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Promise<boolean> | undefined {
  const { server } = n
  if (open.tls === undefined || open.remote === undefined || !server.coversSenders(open.remote)) return undefined
  const pair = pairOf(frame)
  if (pair === undefined || server.hosted.has(pair.sender) || n.authenticated.size >= server.limits.pairsPerStream) return undefined
  const isServed = n.authenticated.statuses.some(each => each.flow === 'receive' && each.pair.target === pair.target)
  return isServed ? cover(pair, open, n) : undefined
}

async function cover(pair: DomainPair, open: OpenStream, n: IncomingNegotiation): Promise<boolean> {
  const on = keyStream(open, n)
  const proved = await on.step({ encrypted: true, pair, withoutDialback: true }, async () => {
    const allowed = await on.allowed(pair)
    if (FederationError.is(allowed)) return allowed
    return vouchedByCertificate(pair, allowed.certificate) ?? n.fail('S2S_CERTIFICATE', { pair, detail: 'it does not cover the sender' })
  })
  if (FederationError.is(proved)) return false
  await on.accept(proved)
  return n.authenticated.pairs.has(pairKey(pair))
}

function pairOf({ from = '', to = '' }: ElementFrame): DomainPair | undefined {
  const [sender, target] = [parseAddress(from), parseAddress(to)]
  return sender === undefined || target === undefined ? undefined : { sender: sender.domain, target: target.domain }
}
