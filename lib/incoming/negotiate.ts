import type { Duplex } from 'node:stream'
import { FederationError } from '../errors.ts'
import { parseDomain } from '../model/domain.ts'
import type { Domain } from '../model/domain.ts'
import type { TlsContext } from '../model/plugs.ts'
import type { Step } from '../model/policy.ts'
import { admitStanza } from '../rules/addressing.ts'
import { kindOf, permitted } from '../rules/permitted.ts'
import type { ElementKind, IncomingState } from '../rules/permitted.ts'
import { part } from '../streams/liveness.ts'
import { handshake } from '../transport/handshake.ts'
import type { ElementFrame } from '../xml/framer.ts'
import { NS_TLS } from '../xml/namespaces.ts'
import { createStanza } from '../xml/stanza.ts'
import type { XmlStream } from '../xml/stream.ts'
import { coverSender } from './covered.ts'
import { receiveKey, receiveVerify, refuseKey } from './dialback.ts'
import { greet } from './greet.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { receiveBidi } from './reversed.ts'
import { receiveSasl, refuseSasl } from './sasl.ts'
import type { Handover, OpenStream, Stage } from './stage.ts'
import { authenticate } from './standing.ts'
import { receiveManagement } from './stream-management.ts'

/** Where an element leads: to another header, to a TLS handshake, or nowhere else. */
type Next = Stage | Handover | undefined
/** What an element leads to; a promise: the stream is read on when it has settled. */
type Turn = Next | Promise<void>

/**
 * From an accepted connection to the end of its stream (RFC 6120 §4–6, XEP-0178, XEP-0220). The peer chooses, so this is a loop:
 * exchange headers, then read, see whether it is permitted, act; before the first pair is authenticated and after.
 */
export async function negotiateIncoming(connection: Duplex, n: IncomingNegotiation): Promise<void> {
  let stage: Stage | undefined = n.arrival.tls === 'direct' ? await secure(connection, undefined, n) : inClear(connection, n)
  while (stage !== undefined) {
    const next: Next = await owning(stage, n, async on => await serve(await begin(on, n), n))
    n.leaveHeader()
    stage = next?.kind === 'handover' ? await secure(next.connection, next.named, n) : next
  }
}

function inClear(connection: Duplex, n: IncomingNegotiation): Stage {
  return { kind: 'stage', stream: n.openXml(connection, false), tls: undefined, proved: undefined }
}

/** The handshake asks for a certificate and refuses none: the verdict waits until the peer has said, inside TLS, who it is. */
async function secure(connection: Duplex, named: Domain | undefined, n: IncomingNegotiation): Promise<Stage> {
  n.forgetPeer()
  n.hasBegunTls = true
  const facts = { requiredByPeer: false, protocol: '', cipher: '' }
  return await n.step('negotiate-tls', facts, async signal => {
    let shown: TlsContext | undefined
    const contextFor = async (servername: string | undefined): Promise<TlsContext | undefined> =>
      (shown = await n.server.hosted.contextForServerName(servername, named))
    const secured = await handshake(connection, signal, () => n.server.tls.server(connection, { contextFor, signal }))
    Object.assign(facts, secured.facts)
    const byName = secured.servername === undefined ? undefined : parseDomain(secured.servername)
    const asked = byName !== undefined && n.server.hosted.has(byName) ? byName : named
    const tls = { chain: secured.chain, facts: secured.facts, shown, named: asked }
    return { kind: 'stage', stream: n.openXml(secured.duplex, true), tls, proved: undefined }
  })
}

/** The headers; and where SASL has proved a pair before, the pair. */
async function begin(stage: Stage, n: IncomingNegotiation): Promise<OpenStream> {
  const open = await greet(stage, n)
  const fallen = stage.proved === undefined ? undefined : await authenticate(stage.proved.evidence, open, n)
  if (fallen !== undefined) throw fallen
  return open
}

/** What goes wrong while the stream is served is told by the step that was awaited. */
async function serve(open: OpenStream, n: IncomingNegotiation): Promise<Next> {
  try {
    return await converse(open, n)
  } catch (thrown) {
    throw FederationError.from(thrown).located({ step: awaitedStep(open, n) })
  }
}

/** Read, permitted?, act, until the stream ends or begins anew. */
async function converse(open: OpenStream, n: IncomingNegotiation): Promise<Next> {
  const { stream } = open
  for (;;) {
    if (n.stopped !== undefined) throw n.stopped
    const frame = stream.take()
    if (frame === undefined) {
      n.authenticated.rest()
      await n.untilStopped(stream.readable())
    } else if (frame.kind === 'close') {
      await hearOut(stream, n)
      return undefined
    } else {
      const turn = act(frame, open, n)
      if (turn instanceof Promise) await n.untilStopped(n.authenticated.reversed === undefined ? turn : stream.unlessGone(turn))
      else if (turn !== undefined) return turn
      if (isDeaf(stream, n)) {
        n.authenticated.watch()
        await n.untilStopped(stream.drained())
      }
    }
  }
}

/** The peer has closed the stream: what it has sent is handled, however long that takes, and nothing that we have leaves here any more. */
async function hearOut(stream: XmlStream, n: IncomingNegotiation): Promise<void> {
  n.hearClosing()
  const rest = n.authenticated.idle()
  if (rest === undefined) return
  const { reversed } = n.authenticated
  if (reversed !== undefined) {
    reversed.acknowledgements.end(undefined)
    // The pairs that were sent back here are free when the connection is gone.
    n.server.background(part(stream, n.server).then(() => reversed.end(undefined)))
  }
  await n.untilStopped(rest)
}

/**
 * A peer that asks and never listens is not read either. Where we send stanzas it is read on behind them: it may be waiting for us to
 * read before it listens.
 */
function isDeaf(stream: XmlStream, n: IncomingNegotiation): boolean {
  return stream.full && (n.authenticated.reversed === undefined || stream.backlog > n.server.limits.unackedBytes)
}

function act(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Turn {
  const kind = kindOf(frame)
  const permission = permitted(kind, stateOf(open, n))
  switch (permission.kind) {
    case 'act':
      return ACTIONS[kind]?.(frame, open, n)
    case 'ignore':
      return undefined
    case 'starttls-failure':
      return refuseTls(open, n)
    case 'sasl-failure':
      refuseSasl(permission.condition, open, n)
      return undefined
    case 'dialback-error':
      refuseKey(permission.condition, frame, open, n)
      return undefined
    case 'stream-error':
      throw n.refused(permission.condition, permission.because)
  }
}

type Action = (frame: ElementFrame, open: OpenStream, n: IncomingNegotiation) => Turn

/** What the table of `rules/permitted` ever lets through. */
const ACTIONS: { readonly [K in ElementKind]?: Action } = {
  starttls: (_, open, n) => (open.acceptsTls ? startTls(open) : refuseTls(open, n)),
  auth: receiveSasl,
  'sasl-reply': receiveSasl,
  'dialback-key': receiveKey,
  'dialback-verify': receiveVerify,
  'stream-management': receiveManagement,
  bidi: receiveBidi,
  stanza: receiveStanza
}

function stateOf(open: OpenStream, n: IncomingNegotiation): IncomingState {
  if (n.isClosing) return 'closing'
  if (n.authenticated.size > 0) return 'authenticated'
  if (open.tls !== undefined) return 'tls'
  return open.isTlsRequired ? 'clear-tls-required' : 'clear'
}

/** RFC 6120 §13.1: the addresses that are authorised here are the ones that are routed. */
function receiveStanza(frame: ElementFrame, open: OpenStream, n: IncomingNegotiation): Promise<void> | undefined {
  const judged = admitStanza(frame, n.authenticated.pairs)
  if (judged.admitted) return n.authenticated.deliver(createStanza(frame, judged.from, judged.to), judged.status, frame.size)
  const refused = n.refused(judged.condition, judged.because)
  const covered = judged.condition === 'invalid-from' ? coverSender(frame, open, n) : undefined
  if (covered === undefined) throw refused
  return covered.then(
    isCovered => (isCovered ? receiveStanza(frame, open, n) : n.stop(refused)),
    (thrown: unknown) => n.stop(FederationError.from(thrown))
  )
}

/** `<proceed/>` is the last that is said in clear; whatever came after `<starttls/>` was not the peer's (CVE-2011-0411). */
function startTls({ stream, local }: OpenStream): Handover {
  try {
    return { kind: 'handover', connection: stream.detach(`<proceed xmlns='${NS_TLS}'/>`), named: local }
  } catch (error) {
    stream.abandon()
    throw error
  }
}

/** RFC 6120 §5.4.2.2: `<failure/>`, and the stream is closed. */
function refuseTls({ stream }: OpenStream, n: IncomingNegotiation): never {
  stream.write(`<failure xmlns='${NS_TLS}'/>`)
  throw n.fail('S2S_STREAM_ERROR_SENT', { detail: 'TLS was asked for where there is none', step: 'negotiate-tls' })
}

/** What the peer was to do next: the step that a stall is told by. */
function awaitedStep(open: OpenStream, n: IncomingNegotiation): Step {
  if (n.authenticated.size > 0) return 'establish'
  if (n.pending.size > 0) return 'dialback'
  if (open.tls === undefined && open.acceptsTls) return 'negotiate-tls'
  if (open.offer.mechanisms.length > 0) return open.offer.mechanisms.includes('EXTERNAL') ? 'sasl-external' : 'sasl-plain'
  return 'dialback'
}

/** Ends the stream when its story has ended, well or badly; what the peer still hears is said in the background. */
async function owning(stage: Stage, n: IncomingNegotiation, run: (stage: Stage) => Promise<Next>): Promise<Next> {
  try {
    const next = await run(stage)
    if (next === undefined) n.ending = stage.stream.end()
    return next
  } catch (thrown) {
    const error = FederationError.from(thrown)
    n.ending = n.isClosing ? stage.stream.hangUp() : stage.stream.end(error, late => n.authenticated.reversed?.hear(late))
    throw error
  }
}
