import { createHash } from 'node:crypto'
import { domain } from '../model/domain.ts'
import { NO_FEATURES } from '../model/stream.ts'
import type { StreamFeatures } from '../model/stream.ts'
import { dialbackKey } from '../rules/dialback-key.ts'
import { NS_DIALBACK, NS_SASL, NS_TLS } from '../xml/namespaces.ts'
import { authOf, dialbackOf, STARTTLS } from './peer-xml.ts'
import type { InitiatingQuirk } from './quirks.ts'
import type { KeyVerdict, ScriptedKey } from './receiving-script.ts'
import type { ScriptedPeer } from './scripted-peer.ts'

/** What {@link playInitiating} plays: an initiating server of one pair. */
export interface InitiatingScript {
  /** The sender domain: whose stanzas are to flow. */
  readonly from: string
  /** The target domain. */
  readonly to: string
  /** Whether TLS is asked for: never, when it is offered, or in any case. Default `when-offered`. */
  readonly tls?: 'never' | 'when-offered' | 'required'
  /** How to prove oneself. Default: EXTERNAL where it is offered, else dialback. */
  readonly prove?: 'sasl-external' | 'dialback' | 'nothing'
  /** The secret behind dialback keys; the authoritative server has to know it. Default: keys are the word `key`. */
  readonly secret?: string | Buffer
  readonly quirks?: readonly InitiatingQuirk[]
}

/** An open stream after {@link playInitiating}: say and expect on the peer what comes next. */
export interface Initiated {
  readonly proof: 'sasl-external' | 'dialback' | undefined
  /** Of the last stream. */
  readonly features: StreamFeatures
  /** The id that the receiving server gave the last stream. */
  readonly streamId: string
}

/**
 * Plays the initiating server on one connection, as far as its proof is accepted. What the other side refuses is a failed
 * expectation, which shows the transcript.
 */
export async function playInitiating(peer: ScriptedPeer, script: InitiatingScript): Promise<Initiated> {
  const has = (quirk: InitiatingQuirk): boolean => script.quirks?.includes(quirk) === true
  let features = await openStream(peer, script)
  const { tls = 'when-offered' } = script
  const wanted = tls === 'required' || (tls === 'when-offered' && (features.starttls !== 'absent' || has('starttls-although-not-offered')))
  if (wanted && peer.secured === undefined) {
    await startTls(peer, script)
    features = await openStream(peer, script)
  }
  if (has('stanza-before-proof')) peer.send(`<message from='${script.from}' to='${script.to}'><body>too early</body></message>`)
  const proof = script.prove ?? (features.mechanisms.includes('EXTERNAL') ? 'sasl-external' : 'dialback')
  if (proof === 'nothing') return { proof: undefined, features, streamId: peer.header?.id ?? '' }
  if (proof === 'dialback') await proveByDialback(peer, script)
  else {
    await proveByExternal(peer, script)
    features = await openStream(peer, script)
  }
  return { proof, features, streamId: peer.header?.id ?? '' }
}

/** Asks an authoritative server about a key, as a receiving server does (XEP-0220 §2.1.2), and ends the stream. */
export async function askAuthority(peer: ScriptedPeer, { from, to, id, key }: ScriptedKey): Promise<KeyVerdict> {
  await openStream(peer, { from, to })
  peer.send(dialbackOf('verify', { from, to, id, key }))
  const answer = await peer.expect('verify', NS_DIALBACK, { from: to, to: from, id })
  peer.close()
  await peer.expectEnd()
  const { type } = answer.attrs as Readonly<Record<string, string | undefined>>
  return type === 'valid' || type === 'invalid' ? type : 'error'
}

async function openStream(
  peer: ScriptedPeer,
  { from, to, quirks = [] }: Pick<InitiatingScript, 'from' | 'to' | 'quirks'>
): Promise<StreamFeatures> {
  const old = quirks.includes('pre-1.0-header')
  peer.sendHeader({
    from: quirks.includes('header-without-from') && peer.secured === undefined ? undefined : from,
    to,
    id: quirks.includes('empty-id') ? '' : undefined,
    version: old ? undefined : '1.0'
  })
  const { version } = await peer.expectHeader()
  return old || version === undefined ? NO_FEATURES : await peer.expectFeatures()
}

async function startTls(peer: ScriptedPeer, { from, to, quirks = [] }: InitiatingScript): Promise<void> {
  peer.send(STARTTLS)
  if (quirks.includes('bytes-after-starttls')) peer.sendHeader({ from, to })
  await peer.expect('proceed', NS_TLS)
  await peer.secure('initiating', quirks.includes('no-server-name') ? {} : { servername: to })
}

async function proveByExternal(peer: ScriptedPeer, { from, quirks = [] }: InitiatingScript): Promise<void> {
  const authzid = quirks.includes('empty-authzid') ? '' : from
  if (quirks.includes('no-initial-response')) {
    peer.send(authOf('EXTERNAL', undefined))
    await peer.expect('challenge', NS_SASL)
    peer.send(`<response xmlns='${NS_SASL}'>${Buffer.from(authzid).toString('base64')}</response>`)
  } else peer.send(authOf('EXTERNAL', authzid))
  await peer.expect('success', NS_SASL)
  peer.restart()
}

async function proveByDialback(peer: ScriptedPeer, { from, to, secret, quirks = [] }: InitiatingScript): Promise<void> {
  const streamId = peer.header?.id ?? ''
  const made = secret === undefined ? 'key' : dialbackKey(secret, { pair: { sender: domain(from), target: domain(to) }, streamId })
  const short = quirks.includes('short-key') ? createHash('sha1').update(made).digest('hex') : made
  peer.send(dialbackOf('result', { from, to, key: quirks.includes('key-with-white-space') ? `\n  ${short}\n` : short }))
  await peer.expect('result', NS_DIALBACK, { from: to, to: from, type: 'valid' })
}
