import type { Element } from 'ltx'
import { FederationError } from '../errors.ts'
import { domain } from '../model/domain.ts'
import { isDialbackKey } from '../rules/dialback-key.ts'
import type { ElementFrame, HeaderFrame } from '../xml/framer.ts'
import { NS_DIALBACK, NS_SASL, NS_SERVER, NS_STREAMS, NS_TLS } from '../xml/namespaces.ts'
import { dialbackOf, PROCEED, saslFailureOf, SUCCESS } from './peer-xml.ts'
import type { SentFeatures } from './peer-xml.ts'
import type { ReceivingQuirk } from './quirks.ts'
import type { ScriptedPeer } from './scripted-peer.ts'

/** A key that somebody wants verified: by its addresses and stream id, the pair's target asks the pair's sender. */
export interface ScriptedKey {
  readonly from: string
  readonly to: string
  readonly id: string
  readonly key: string
}

/** What is said of a dialback key (XEP-0220 §2.1). */
export type KeyVerdict = 'valid' | 'invalid' | 'error'

/** What {@link playReceiving} plays: a receiving and authoritative server of one domain. */
export interface ReceivingScript {
  readonly domain: string
  /** Default `offered` if the peer has credentials, else `absent`. */
  readonly starttls?: 'absent' | 'offered' | 'required'
  /** Whether EXTERNAL is offered to who shows a certificate, and accepted; this script does not judge certificates. Default true. */
  readonly external?: boolean
  /** Default true. */
  readonly dialback?: boolean
  /** Decides on the keys of db:result. Default: all are valid, and nobody is asked. */
  readonly verify?: (asked: ScriptedKey) => KeyVerdict | Promise<KeyVerdict>
  /** Authoritative role: the secret behind the domain's own keys. Default: every db:verify is answered `valid`. */
  readonly secret?: string | Buffer
  readonly quirks?: readonly ReceivingQuirk[]
  /** What to do with a stanza, besides remembering it. */
  readonly onStanza?: (stanza: Element, peer: ScriptedPeer) => void
}

/** What came of a played stream. */
export interface Played {
  /** What the other side has proved itself by, in order. */
  readonly proofs: readonly ('sasl-external' | 'dialback')[]
  /** What was refused or left unanswered. */
  readonly refused: readonly string[]
  readonly stanzas: readonly Element[]
  readonly encrypted: boolean
}

interface State {
  readonly peer: ScriptedPeer
  readonly script: ReceivingScript
  readonly proofs: ('sasl-external' | 'dialback')[]
  readonly refused: string[]
  readonly stanzas: Element[]
  header: HeaderFrame | undefined
  encrypted: boolean
  streams: number
}

/**
 * Plays the receiving and the authoritative server on one connection, as a deployed server would, with its quirks, until the
 * connection ends. Hand it to {@link PeerListener.serve}, or await it to see what came of it.
 */
export async function playReceiving(peer: ScriptedPeer, script: ReceivingScript): Promise<Played> {
  const state: State = {
    peer,
    script,
    proofs: [],
    refused: [],
    stanzas: [],
    header: undefined,
    encrypted: peer.secured !== undefined,
    streams: 0
  }
  for (let frame = await peer.next(); frame !== undefined; frame = await peer.next()) {
    if (frame.kind === 'close') {
      if (peer.connection.writable) peer.close()
    } else if (frame.kind === 'header') await greet(frame, state)
    else await (HANDLERS[`${frame.namespace} ${frame.name}`] ?? unknown)(frame, state)
  }
  const { proofs, refused, stanzas, encrypted } = state
  return { proofs, refused, stanzas, encrypted }
}

function has(state: State, quirk: ReceivingQuirk): boolean {
  return state.script.quirks?.includes(quirk) === true
}

async function greet(header: HeaderFrame, state: State): Promise<void> {
  const { peer, script } = state
  state.header = header
  state.streams += 1
  const old = has(state, 'pre-1.0-header')
  if (has(state, 'newline-in-prolog')) peer.send("<?xml version='1.0'?>\n")
  peer.sendHeader({
    declaration: !has(state, 'newline-in-prolog'),
    from: has(state, 'header-without-from')
      ? undefined
      : has(state, 'header-from-another-domain')
        ? `main.${script.domain}`
        : script.domain,
    to: has(state, 'header-without-to') ? undefined : header.from,
    id: has(state, 'header-without-id') ? undefined : has(state, 'empty-id') ? '' : streamId(state),
    version: old ? undefined : '1.0'
  })
  if (has(state, 'xml-not-well-formed')) {
    peer.sendStreamError('xml-not-well-formed')
    return
  }
  if (state.encrypted && has(state, 'not-authorized-inside-tls')) {
    peer.sendStreamError('not-authorized', "The certificate is not trusted by this server's policy")
    return
  }
  if (has(state, 'unsolicited-result'))
    peer.send(dialbackOf('result', { from: script.domain, to: header.from ?? script.domain, type: 'valid' }))
  if (has(state, 'features-in-second-packet')) await new Promise(resolve => setImmediate(resolve))
  if (!old && header.version !== undefined) peer.sendFeatures(featuresNow(state))
}

/** Ids differ from stream to stream, so that a key made for another one is found out. */
function streamId(state: State): string {
  return `${state.script.domain}-${state.streams}`
}

function featuresNow(state: State): SentFeatures {
  const { peer, script, encrypted } = state
  const starttls = encrypted ? 'absent' : (script.starttls ?? (peer.hasCredentials ? 'offered' : 'absent'))
  const shown = has(state, 'external-always-offered') || (peer.secured?.chain.length ?? 0) > 0
  const external = encrypted && script.external !== false && shown && !state.proofs.includes('sasl-external')
  const dialback = dialbackHere(state) || (starttls === 'required' && has(state, 'dialback-although-tls-required'))
  return {
    starttls: starttls === 'absent' ? undefined : starttls,
    mechanisms: external ? ['EXTERNAL'] : !encrypted && has(state, 'empty-mechanisms') ? [] : undefined,
    dialback:
      !dialback || has(state, 'no-dialback-feature') ? undefined : has(state, 'dialback-without-errors') ? 'without-errors' : 'with-errors',
    from: has(state, 'features-with-from') ? script.domain : undefined
  }
}

function dialbackHere({ script, encrypted }: State): boolean {
  return script.dialback !== false && (encrypted || script.starttls !== 'required')
}

type Handler = (frame: ElementFrame, state: State) => void | Promise<void>

const stanza: Handler = (frame, { stanzas, script, peer }) => {
  const element = frame.element()
  stanzas.push(element)
  script.onStanza?.(element, peer)
}

const unknown: Handler = (frame, { peer }) => peer.sendStreamError('unsupported-stanza-type', frame.name)

/** What the other side may send at any time. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  [`${NS_STREAMS} error`]: (_frame, { peer }) => peer.close(),
  [`${NS_TLS} starttls`]: async (_frame, state) => {
    const { peer } = state
    if (has(state, 'starttls-failure') || !peer.hasCredentials) {
      state.refused.push('starttls')
      peer.send(`<failure xmlns='${NS_TLS}'/>`)
      peer.close()
      return
    }
    peer.send(PROCEED)
    if (has(state, 'bytes-after-proceed')) {
      peer.send('<stream:features/>')
      return
    }
    try {
      await peer.secure('receiving')
      state.encrypted = true
    } catch (error) {
      // The handshake is the other side's to refuse; the transcript says why.
      if (!FederationError.is(error)) throw error
      state.refused.push('tls')
    }
  },
  [`${NS_SASL} auth`]: (frame, state) => {
    if (frame.element().getText() === '') state.peer.send(`<challenge xmlns='${NS_SASL}'/>`)
    else authenticate(state)
  },
  [`${NS_SASL} response`]: (_frame, state) => authenticate(state),
  [`${NS_DIALBACK} result`]: async (frame, state) => await judgeKey(frame, state),
  [`${NS_DIALBACK} verify`]: (frame, state) => answerVerify(frame, state),
  [`${NS_SERVER} message`]: stanza,
  [`${NS_SERVER} presence`]: stanza,
  [`${NS_SERVER} iq`]: stanza
}

function authenticate(state: State): void {
  const { peer, proofs, refused, script } = state
  if (has(state, 'close-after-auth')) {
    refused.push('sasl-external')
    peer.close()
  } else if (!state.encrypted || has(state, 'external-refused') || script.external === false || peer.secured?.chain.length === 0) {
    refused.push('sasl-external')
    peer.send(saslFailureOf('not-authorized', 'unable to verify the certificate'))
  } else {
    proofs.push('sasl-external')
    peer.send(SUCCESS)
    peer.restart()
  }
}

async function judgeKey(frame: ElementFrame, state: State): Promise<void> {
  const { peer, script, refused, proofs } = state
  const { from = '', to = '' } = frame
  const key = frame.element().getText()
  const answer = (type: KeyVerdict, condition?: string): void => {
    if (type === 'valid') proofs.push('dialback')
    else refused.push('dialback')
    const echoed = has(state, 'key-in-result') ? { key, id: streamId(state) } : {}
    if (has(state, 'no-result-answer')) return
    peer.send(dialbackOf('result', { from: to, to: from, type, condition, ...echoed }))
  }
  if (!dialbackHere(state)) {
    answer('error', 'policy-violation')
    return
  }
  const verdict = (await script.verify?.({ from: to, to: from, id: streamId(state), key })) ?? 'valid'
  answer(verdict, verdict === 'error' ? 'remote-server-timeout' : undefined)
}

/** XEP-0220 §2.2.2: at any time, whoever asks. */
function answerVerify(frame: ElementFrame, state: State): void {
  const { peer, script } = state
  const { from = '', to = '', id = '' } = frame
  if (has(state, 'no-verify-answer')) return
  if (has(state, 'close-instead-of-verifying')) {
    peer.close()
    return
  }
  const about = { pair: { sender: domain(to), target: domain(from) }, streamId: id }
  const valid = script.secret === undefined || isDialbackKey(frame.element().getText(), [script.secret], about)
  peer.send(dialbackOf('verify', { from: to, to: from, id, type: valid ? 'valid' : 'invalid' }))
}
