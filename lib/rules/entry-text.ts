import { asciiDomain } from '../model/domain.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { PolicyFacts, Report, TraceEntry, VerifiedOver } from '../model/report.ts'
import type { JoinRefusal } from './multiplexing.ts'
import { describeUntried, WHY_UNTRIED } from './proofs.ts'
import { describeProblems } from './sentences.ts'

type EntryOf<S extends TraceEntry['step']> = Extract<TraceEntry, { step: S }>

/** One entry of a trace as a clause; undefined where it has nothing to tell a reader. */
export function entryText(entry: TraceEntry, report: Report): string | undefined {
  if (entry.outcome === 'skipped' || entry.outcome === 'absent') return untaken(entry, report)
  switch (entry.step) {
    case 'resolve':
      return entry.outcome === 'ok' ? resolved(entry, report) : ended(entry)
    case 'connect':
      return connected(entry)
    case 'negotiate-tls':
      return entry.outcome === 'ok' ? secured(entry) : ended(entry)
    case 'check-certificate':
      return judged(entry, report)
    case 'sasl-external':
    case 'sasl-plain':
      return entry.outcome === 'ok' ? 'accepted' : refused(entry)
    case 'dialback':
      return confirmed(entry, report)
    case 'open-stream':
    case 'establish':
      return entry.outcome === 'ok' ? undefined : ended(entry)
    case 'bidi':
      return entry.outcome === 'ok' ? `stanzas flow back on it: ${entry.facts.pair.sender} → ${entry.facts.pair.target}` : ended(entry)
    case 'policy':
      return isTelling(entry.facts, report) ? answered(entry.facts) : undefined
  }
}

/** Why a pair has a connection of its own although there are live links to its server, or to its target. */
const WHY_NOT_JOINED: Readonly<Record<JoinRefusal, string>> = {
  'stream-ended': 'the live link is about to end',
  'in-clear': 'the live link is not encrypted',
  'stream-full': 'the live link has as many pairs as it may',
  'stream-busy': 'the peer has too many pairs to answer about on the live link',
  'asked-before': 'the peer was asked about the pair on the live link before',
  'refused-often': 'the peer has refused too many pairs on the live link',
  'no-dialback': 'the peer does not offer dialback on the live link',
  'no-dialback-errors': 'the peer does not know dialback errors, and could end the live link over the pair',
  elsewhere: 'the live link is connected to another server',
  'other-way-refused': 'the live link goes both ways, and policy does not take the pair of the other way on it',
  'policy-never': 'policy does not want TLS, which the live link has',
  'certificate-rejected': 'the certificate of the live link is not accepted for the pair',
  'certificate-of-others': 'the certificate of the live link does not authenticate the target',
  'better-proof': 'a connection of its own may prove more than the live link',
  'no-proof': 'policy does not want dialback on the live link'
}

const WHY: Readonly<Record<string, string>> = {
  ...WHY_NOT_JOINED,
  ...WHY_UNTRIED,
  'tls-not-offered': 'the peer does not offer TLS',
  S2S_TLS_NOT_OFFERED: 'the peer does not offer TLS',
  'policy-never': 'policy does not want TLS',
  'switched-off': 'switched off by extensions.bidi',
  'higher-alone': 'a stream of our own may reach a higher level'
}

/** What goes without saying: that nothing but dialback is tried in clear, and what another line tells already. */
const UNSPOKEN: readonly string[] = ['not-encrypted', 'reconnected-without-tls', 'no-password']

function untaken({ step, outcome, code }: TraceEntry, { peer }: Report): string | undefined {
  if (UNSPOKEN.includes(code)) return undefined
  // Not to be offered is to be absent, whichever word the trace chose.
  const word = code === 'not-offered' || code === 'tls-not-offered' ? 'absent' : outcome
  const why = step === 'sasl-external' && isUntried(code) ? describeUntried({ proof: step, code }, peer) : WHY[code]
  return `${word}: ${why ?? code}`
}

function isUntried(code: string): code is keyof typeof WHY_UNTRIED {
  return Object.hasOwn(WHY_UNTRIED, code)
}

function ended({ outcome, code, message }: TraceEntry): string {
  return `${outcome}: ${message === undefined ? code : message.replace(/\.$/u, '')}`
}

function resolved({ facts }: EntryOf<'resolve'>, { peer }: Report): string {
  const [first] = facts.endpoints
  const places = facts.endpoints.map(each => `${placeOf(each.host, each.port)}${each.tls === 'direct' ? ' (direct TLS)' : ''}`).join(', ')
  const failures = facts.failures.map(failure => `; ${failure}`).join('')
  if (first === undefined) return `nothing${failures}`
  if (first.source === 'override') return `override → ${places}`
  const name = peer.remote === undefined ? '' : asciiDomain(peer.remote)
  return `${first.source === 'srv' ? `SRV ${serviceOf(facts.endpoints, name)}` : `no SRV record of ${name}`} → ${places}${failures}`
}

function serviceOf(endpoints: readonly Endpoint[], name: string): string {
  const kinds = new Set(endpoints.map(({ tls }) => (tls === 'direct' ? '_xmpps-server._tcp' : '_xmpp-server._tcp')))
  return [...kinds].map(kind => `${kind}.${name}`).join(', ')
}

const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth']

function connected(entry: EntryOf<'connect'>): string {
  const { attempt, took, facts, outcome } = entry
  const { endpoint, encryption, address, joined } = facts
  const place = placeOf(address ?? endpoint.host, endpoint.port)
  if (joined !== undefined) return `${place}, joining the live link ${joined}`
  const again = attempt > 1 ? `, ${ORDINALS[attempt - 1] ?? `${attempt}th`} connection` : ''
  const how = encryption === 'none' ? ', TLS not attempted' : ''
  // The first connection tells how long it took; a later one, why it is there.
  return outcome === 'ok' ? `${place}${again === '' ? ` in ${took} ms` : again}${how}` : `${place}${again}${how}, ${ended(entry)}`
}

function placeOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function secured({ facts }: EntryOf<'negotiate-tls'>): string {
  const parts = [facts.protocol?.replace(/^TLSv/u, 'TLS '), facts.cipher].filter(part => part !== undefined && part !== '')
  return parts.length === 0 ? 'TLS' : parts.join(', ')
}

function judged(entry: EntryOf<'check-certificate'>, { peer }: Report): string {
  const { verdict, use } = entry.facts
  if (use === undefined) return ended(entry)
  if (use === 'authenticate') return verdict.proof === 'pin' ? 'valid: pinned' : `valid for ${peer.remote ?? 'the peer'}`
  return `${use === 'reject' ? 'rejected' : 'for encryption only'}: ${describeProblems(verdict)}`
}

function refused(entry: EntryOf<'sasl-external'> | EntryOf<'sasl-plain'>): string {
  const { condition, text } = entry.facts
  if (condition === undefined) return ended(entry)
  return `${entry.outcome}: ${condition}${text === undefined || text === '' ? '' : ` (${text})`}`
}

const OVER: Readonly<Record<VerifiedOver, string>> = { 'verified-tls': 'over verified TLS', tls: 'over TLS', clear: 'in clear' }

/** Only a verification goes well whatever is said. */
const SAID: Readonly<Record<'valid' | 'invalid' | 'error', string>> = {
  valid: 'key confirmed by the authoritative server',
  invalid: 'key unknown to the authoritative server',
  error: 'no answer about the key from the authoritative server, but an error'
}

function confirmed(entry: EntryOf<'dialback'>, { pairs }: Report): string {
  const { pair, verifiedOver, withoutDialback, answer } = entry.facts
  const about = pair !== undefined && pairs.length > 1 ? `${pair.sender} → ${pair.target}: ` : ''
  if (entry.outcome !== 'ok') return about + ended(entry)
  if (withoutDialback === true) return `${about}the certificate vouches for the sender, no key was asked about`
  return `${about}${SAID[answer ?? 'valid']}${verifiedOver === undefined ? '' : `, asked ${OVER[verifiedOver]}`}`
}

/** An answer that a reader did not expect, or that has a reason; what to do after a failure is told always. */
function isTelling({ question, answer, asked, because }: PolicyFacts, { trace }: Report): boolean {
  // A password that nobody configured is no loss.
  const isPlainLost =
    question === 'proofs' &&
    answer ===
      asked
        ?.split(',')
        .filter(each => each !== 'sasl-plain')
        .join()
  if (isPlainLost && !trace.some(({ step }) => step === 'sasl-plain')) return false
  if (question === 'afterFailure' || asked !== undefined) return true
  if (question === 'admit') return answer === 'refuse'
  return question === 'certificate' && because !== undefined
}

function answered({ answer, asked, by, because }: PolicyFacts): string {
  if (by === 'clamp') return clamped(answer, asked, because)
  const instead = asked === undefined ? '' : ` instead of ${asked === '' ? 'nothing' : asked}`
  return `${by}: ${answer === '' ? 'nothing' : answer}${instead}${because === undefined ? '' : ` (${because})`}`
}

/** What no policy can have, or has answered: the reader knows of no clamps. */
function clamped(answer: string, asked: string | undefined, because: string | undefined): string {
  const left = answer.split(',')
  const lost = asked?.split(',').filter(each => !left.includes(each)) ?? []
  const ruledOut = lost.length === 0 ? '' : `; ${lost.join(', ')} ${lost.length > 1 ? 'are' : 'is'} ruled out whatever policy says`
  return `${answer === '' ? 'nothing' : answer}${ruledOut}${because === undefined ? '' : ` (${because})`}`
}
