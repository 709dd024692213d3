import { LEVELS } from '../model/level.ts'
import type { SecurityLevel } from '../model/level.ts'
import type { Alternative, PairStatus, Report, TraceEntry } from '../model/report.ts'
import { entryText } from './entry-text.ts'
import { printable } from './escape.ts'
import { describeOurs } from './sentences.ts'
import { checkReport } from './stored-report.ts'

/**
 * A report as a person reads it: who to whom and where it ended, one numbered line per step with the policy's answers between, and
 * at last what the link is worth, plainly when it is not encrypted, with the change that would have raised it. Lines are joined by
 * newlines, without one at the end; nothing in it acts on a terminal.
 *
 * @throws FederationError `S2S_CONFIG` for what is no report, such as one of another schema
 */
export function explain(report: Report): string {
  checkReport(report, 'explain: report')
  return [title(report), ...steps(report), ...furtherPairs(report), `  ${ending(report)}`].map(printable).join('\n')
}

function title({ peer, level }: Report): string {
  const remote = peer.remote ?? 'an unnamed peer'
  const end = level ?? (peer.purpose === 'verification' ? 'verification' : 'none')
  return peer.direction === 'outgoing' ? `${peer.local} → ${remote}: ${end}` : `${remote} → ${peer.local}: ${end}, incoming`
}

const WIDTH = 'check-certificate'.length

function steps(report: Report): readonly string[] {
  let number = 0
  return certificateAnswersLast(report.trace).flatMap(entry => {
    const text = entryText(entry, report)
    if (text === undefined) return []
    const mark = entry.step === 'policy' ? '   ' : String(++number).padStart(3)
    return [`${mark}  ${entry.step.padEnd(WIDTH)}  ${text}`]
  })
}

/** What policy says of a certificate is recorded before the verdict is; it reads better after it. */
function certificateAnswersLast(trace: readonly TraceEntry[]): readonly TraceEntry[] {
  return trace.flatMap((entry, index) => {
    const before = trace[index - 1]
    const after = trace[index + 1]
    if (isCertificateAnswer(entry) && after?.step === 'check-certificate') return []
    return before !== undefined && entry.step === 'check-certificate' && isCertificateAnswer(before) ? [entry, before] : [entry]
  })
}

function isCertificateAnswer(entry: TraceEntry): boolean {
  return entry.step === 'policy' && entry.facts.question === 'certificate'
}

function furtherPairs({ pairs }: Report): readonly string[] {
  if (pairs.length < 2) return []
  return pairs.map(({ pair, level }) => `     ${'pair'.padEnd(WIDTH)}  ${pair.sender} → ${pair.target}: ${level}`)
}

function ending(report: Report): string {
  const { level, error } = report
  if (level === undefined)
    return [withoutLink(report), error?.message, lastFailure(report), untriedExternal(report), better(report)].filter(isText).join(' ')
  const worth = worthOf(level, report)
  const raise = better(report)
  if (level !== 'plain-dialback') return [worth, raise].filter(isText).join(' ')
  return `${worth} ${raise ?? whatWouldEncrypt(report)}`
}

function withoutLink({ peer, error }: Report): string {
  if (peer.purpose === 'verification')
    return error === undefined ? 'The authoritative server has answered.' : 'The authoritative server could not be asked.'
  if (peer.direction === 'incoming' && error === undefined)
    return 'There is no link: the peer asked for nothing but verifications of dialback.'
  return 'There is no link.'
}

/** The error is the first failure that mattered; what stopped the negotiation in the end may be the one that an operator can mend. */
function lastFailure({ trace, error }: Report): string | undefined {
  const failures = trace.filter(({ step, outcome }) => FALLIBLE.has(step) && (outcome === 'failed' || outcome === 'refused'))
  const first = failures.findIndex(({ message }) => message === error?.message)
  const { step, message } = failures.at(-1) ?? {}
  if (first < 0 || message === undefined || message === error?.message) return undefined
  const isOfDialback = step === 'dialback' && !message.startsWith('Dialback')
  return `Then ${isOfDialback ? 'dialback failed: ' : ''}${withinSentence(message)}`
}

/** Where dialback failed because nothing better was to be had for want of a certificate: an operator can mend that. */
function untriedExternal({ peer, trace, error }: Report): string | undefined {
  const skipped = trace.findIndex(({ step, code }) => step === 'sasl-external' && code === 'own-certificate')
  const why = skipped < 0 || peer.direction === 'incoming' ? undefined : describeOurs(peer)
  if (why === undefined || error?.message.includes(why) === true) return undefined
  const isFailed = trace.slice(skipped).some(({ step, outcome }) => step === 'dialback' && (outcome === 'failed' || outcome === 'refused'))
  return isFailed ? `EXTERNAL was not tried: ${why}.` : undefined
}

/** What may fail on its own: that no proof was left is told by the proofs themselves. */
const FALLIBLE: ReadonlySet<TraceEntry['step']> = new Set([
  'connect',
  'open-stream',
  'negotiate-tls',
  'check-certificate',
  'sasl-external',
  'sasl-plain',
  'dialback'
])

/** A sentence behind another word: its first letter is small, unless it begins an abbreviation. */
function withinSentence(sentence: string): string {
  return /^\p{Lu}\P{Lu}/u.test(sentence) ? sentence.charAt(0).toLowerCase() + sentence.slice(1) : sentence
}

/** Where no option of ours would have kept a link encrypted: what else would. */
function whatWouldEncrypt({ peer, trace }: Report): string {
  const isRejected = trace.some(entry => entry.step === 'check-certificate' && entry.facts.use === 'reject')
  if (isRejected && peer.direction === 'outgoing' && (peer.ours === 'self-signed' || peer.ours === 'invalid'))
    return 'It would take a policy that accepts the certificate of the peer; whether the peer accepts ours then was not seen.'
  if (peer.direction === 'incoming' && peer.ours === 'missing') return `It would take a certificate for ${peer.local}.`
  const isAbsent = trace.some(entry => entry.step === 'negotiate-tls' && entry.outcome === 'absent')
  return isAbsent ? 'It would take a peer that offers TLS.' : 'No single option of our policy is known that would raise it.'
}

function worthOf(level: SecurityLevel, { peer, pairs }: Report): string {
  const isOutgoing = peer.direction === 'outgoing'
  switch (level) {
    case 'sasl-external':
      return isOutgoing
        ? 'This link is encrypted, and both sides are proved by certificates.'
        : 'This link is encrypted, and the peer is proved by its certificate.'
    case 'sasl-plain':
      return `This link is encrypted, and ${isOutgoing ? 'we are' : 'the peer is'} proved by a password.`
    case 'tls-dialback':
      return pairs.every(isVerified)
        ? `This link is encrypted, and the certificate of the peer verified${isOutgoing ? '; we are proved by dialback, which is worth what DNS is worth' : ''}.`
        : 'This link is encrypted, but no certificate proves the peer: dialback is worth what DNS is worth.'
    case 'plain-dialback':
      return 'This link is NOT encrypted.'
  }
}

function isVerified({ peerIdentity }: PairStatus): boolean {
  return peerIdentity !== 'dns'
}

function isText(text: string | undefined): text is string {
  return text !== undefined
}

/** The first of the changes that raise it most. */
function better({ alternatives }: Report): string | undefined {
  const best = alternatives.reduce<Alternative | undefined>(
    (found, each) => (found === undefined || isAbove(each, found) ? each : found),
    undefined
  )
  if (best === undefined) return undefined
  return `With ${best.change} it would be ${best.level}${best.level === 'plain-dialback' ? ', NOT encrypted' : ''}.`
}

function isAbove(a: Alternative, b: Alternative): boolean {
  return LEVELS.indexOf(a.level) < LEVELS.indexOf(b.level)
}
