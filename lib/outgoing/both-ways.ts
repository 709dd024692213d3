import { identityBy } from '../auth/dialback-receiving.ts'
import { reversed } from '../model/domain.ts'
import type { Proof } from '../model/level.ts'
import type { Peer } from '../model/policy.ts'
import type { PairStatus } from '../model/report.ts'
import { askAdmit, pinsFor } from '../rules/decide.ts'
import { reversalRefusal, whyOneWay } from '../rules/reversal.ts'
import { NS_BIDI, NS_LIMITS } from '../xml/namespaces.ts'
import type { ReadyStream } from './negotiate.ts'
import type { Negotiation } from './negotiation.ts'

/** How we know whose stanzas come back. */
export type ReversedIdentity = Exclude<PairStatus['peerIdentity'], 'dns'>

/**
 * Asks for a stream that goes both ways (XEP-0288 §2.2): inside TLS, before anything is proved, and only if the reversed pair would be
 * accepted from a stream of the peer's own, whichever of the proofs it comes to. There is no answer, and no way back.
 *
 * @returns undefined: the stream goes one way
 */
export async function goBothWays(ready: ReadyStream, proofs: readonly Proof[], n: Negotiation): Promise<ReversedIdentity | undefined> {
  if (n.result === 'report' || proofs.length === 0) return undefined
  const pair = reversed(n.pair)
  const { extensions, limits } = n.server
  const { stream, features, tls } = ready
  const oneWay = whyOneWay({ isWanted: extensions.bidi, encrypted: stream.encrypted, use: tls?.use, features })
  if (oneWay !== undefined || tls === undefined) {
    const { outcome, code } = oneWay ?? { outcome: 'skipped', code: 'not-encrypted' }
    n.enterBidi(pair, outcome, code)
    return undefined
  }
  const identity = await identityBack({ chain: tls.secured.chain, address: n.address, proofs }, n)
  if (typeof identity !== 'string') {
    n.enterBidi(pair, 'skipped', identity.code)
    return undefined
  }
  n.enterBidi(pair, 'ok', 'ok')
  stream.write(`<bidi xmlns='${NS_BIDI}'><limits xmlns='${NS_LIMITS}'><max-bytes>${limits.stanzaBytes}</max-bytes></limits></bidi>`)
  return identity
}

/**
 * The incoming policy's answers about the reversed pair of a negotiation, on a connection to this address with this certificate.
 *
 * @returns how we know whose stanzas come back, or why they must not
 */
export async function identityBack(
  {
    chain,
    address,
    proofs
  }: { readonly chain: readonly Buffer[]; readonly address: string | undefined; readonly proofs: readonly Proof[] },
  n: Negotiation
): Promise<ReversedIdentity | { readonly code: string }> {
  const { book, server } = n
  const peer: Peer = { ...n.peer, direction: 'incoming', ...(address === undefined ? {} : { address }) }
  const admission = await n.race(Promise.resolve(askAdmit(book, peer)))
  if (admission.answer === 'refuse') return { code: 'policy' }
  const verdict = server.judge.judge(chain, n.pair.target, server.clock.now(), pinsFor(book, peer))
  const refused = reversalRefusal({ book, peer, verdict, proofs })
  const identity = identityBy({ verdict, use: 'authenticate' })
  return refused === undefined && identity !== 'dns' ? identity : { code: refused ?? 'certificate-not-valid' }
}
