import { randomBytes } from 'node:crypto'
import { SaslReceiver } from '../auth/sasl-receiving.ts'
import { FederationError } from '../errors.ts'
import type { Domain } from '../model/domain.ts'
import type { StreamHeader } from '../model/stream.ts'
import { acceptsStartTls, offerInClear, offerInTls } from '../rules/offer.ts'
import { describeProblems } from '../rules/sentences.ts'
import { readHeader } from '../xml/header.ts'
import { headerXml } from '../xml/writer.ts'
import { featuresOf, featuresXml } from './features.ts'
import type { IncomingNegotiation } from './negotiation.ts'
import { Questions } from './questions.ts'
import type { OpenStream, Stage, TlsLayer } from './stage.ts'
import type { StepFacts } from './trace.ts'

const LANGUAGE = 'en'

/**
 * Their header, then ours with the features, in one write (RFC 6120 §4.3, §4.7). An error in their header is answered with our
 * header before the stream error (RFC 6120 §4.9.1.2).
 */
export async function greet(stage: Stage, n: IncomingNegotiation): Promise<OpenStream> {
  const { stream } = stage
  const facts: StepFacts<'open-stream'> = { encrypted: stream.encrypted }
  try {
    const opened = await n.step('open-stream', facts, () => examine(stage, facts, n))
    answer(opened, n)
    return opened
  } catch (error) {
    stream.write(refusalHeader(n))
    throw error
  }
}

async function examine(stage: Stage, facts: StepFacts<'open-stream'>, n: IncomingNegotiation): Promise<OpenStream> {
  const header = readHeader(await stage.stream.readHeader())
  note(facts, header)
  const opened = stage.proved === undefined ? await introduce(stage, header, n) : reopen(stage.proved.on, header, n)
  facts.id = opened.id
  facts.features = featuresOf(opened, n.server)
  return opened
}

function note(facts: StepFacts<'open-stream'>, { from, to, version }: StreamHeader): void {
  if (from !== undefined) facts.from = from
  if (to !== undefined) facts.to = to
  if (version !== undefined) facts.version = `${version.major}.${version.minor}`
}

/** Who is this, whom do they want, and may they (RFC 6120 §4.9.1.2)? Asked in clear and, from the beginning, again inside TLS. */
async function introduce(stage: Stage, header: StreamHeader, n: IncomingNegotiation): Promise<OpenStream> {
  const { epoch } = n.server
  const local = hostedDomain(stage, header, n)
  n.peer = await n.peerOf(local, undefined)
  const remote = remoteDomain(stage, header, n)
  n.peer = { ...n.peer, remote }
  const questions = new Questions(n.peer, n.server, n.trace)
  if ((await questions.admit()) === 'refuse') throw n.fail('S2S_POLICY')
  const base = { stream: stage.stream, header, id: newStreamId(), local, remote, epoch, questions }
  if (stage.tls === undefined || remote === undefined) return { ...base, ...(await inClear(questions, local, n)) }
  return { ...base, ...inTls(stage, stage.tls, remote, questions, n) }
}

async function inClear(questions: Questions, local: Domain, n: IncomingNegotiation) {
  const tls = questions.tls()
  const haveCertificate = (await n.parts.contexts.of(local)) !== undefined
  const offer = offerInClear({ tls, haveCertificate, proofs: questions.proofs(false, undefined) })
  const isTlsRequired = tls === 'required' || offer.starttls === 'required'
  const acceptsTls = acceptsStartTls({ tls, haveCertificate })
  return { tls: undefined, certificate: undefined, offer, isTlsRequired, acceptsTls, sasl: undefined }
}

/** The certificate is judged at the first header inside TLS, against the `from` that came inside TLS (RFC 6120 §13.7.2.1). */
function inTls(stage: Stage, tls: TlsLayer, remote: Domain, questions: Questions, n: IncomingNegotiation) {
  const certificate = questions.certificate(tls.chain, remote)
  if (certificate.use === 'reject') throw rejected(stage, describeProblems(certificate.verdict), questions, n)
  const password = n.server.passwords.get(remote)
  const proofs = questions.proofs(true, certificate.use)
  const offer = offerInTls({ proofs, use: certificate.use, hasPassword: password !== undefined })
  const sasl = new SaslReceiver(() => {
    const now = questions.certificate(tls.chain, remote)
    return { pair: { sender: remote, target: questions.peer.local }, certificate: now, proofs: questions.proofs(true, now.use), password }
  })
  return { tls, certificate, offer, isTlsRequired: false, acceptsTls: false, sasl }
}

/** Where policy lets the peer come back in clear, the stream just ends; otherwise it hears why. */
function rejected(stage: Stage, why: string, questions: Questions, n: IncomingNegotiation): FederationError {
  if (questions.rejection() === 'end-tls') {
    stage.stream.write(refusalHeader(n))
    stage.stream.sendClosing()
  }
  return n.fail('S2S_CERTIFICATE', { detail: why, condition: 'not-authorized', step: 'check-certificate' })
}

/** After SASL: the same two domains, a new id, and no mechanism any more (RFC 6120 §6.4.6). */
function reopen(before: OpenStream, header: StreamHeader, n: IncomingNegotiation): OpenStream {
  if (header.from !== before.header.from || header.to !== before.header.to) {
    throw n.refused('improper-addressing', "'from' and 'to' are not those that were authenticated")
  }
  return { ...before, header, id: newStreamId(), offer: { ...before.offer, mechanisms: [] }, sasl: undefined }
}

function hostedDomain(stage: Stage, { to }: StreamHeader, n: IncomingNegotiation): Domain {
  const { hosted } = n.server
  // Servers from before RFC 6120 name nobody in clear; each of their keys names both domains again.
  const local = to ?? (stage.tls === undefined ? hosted.defaultDomain : undefined)
  if (local === undefined) throw n.refused('improper-addressing', "the stream header has no 'to'")
  if (!hosted.has(local)) throw n.refused(hosted.isGone(local) ? 'host-gone' : 'host-unknown', `${local} is not served here`)
  if (stage.tls !== undefined && !isShownFor(local, stage.tls, n)) {
    throw n.refused('policy-violation', `the certificate of ${String(stage.tls.named)} was asked for, and ${local} then`)
  }
  return local
}

function remoteDomain(stage: Stage, { from }: StreamHeader, n: IncomingNegotiation): Domain | undefined {
  if (from === undefined) {
    if (stage.tls !== undefined) throw n.refused('improper-addressing', "the stream header inside TLS has no 'from'")
    return undefined
  }
  if (n.server.hosted.has(from)) throw n.refused('policy-violation', `${from} is served here`)
  return from
}

/** A peer that asked for one hosted domain by name and then wants another is served if what it was shown covers both. */
function isShownFor(local: Domain, { named, shown }: TlsLayer, n: IncomingNegotiation): boolean {
  if (named === undefined || named === local) return true
  const { problems } = n.server.judge.judge(shown?.chain ?? [], local, n.server.clock.now(), undefined)
  return !problems.some(({ kind }) => kind === 'wrong-identity' || kind === 'missing')
}

function answer(opened: OpenStream, n: IncomingNegotiation): void {
  const { stream, header, local, remote, id } = opened
  const to = remote === undefined ? {} : { to: remote }
  const isModern = header.version !== undefined
  stream.write(headerXml({ from: local, ...to, id, version: isModern, lang: LANGUAGE }))
  if (isModern) stream.write(featuresXml(featuresOf(opened, n.server)))
}

/** `from` is whom the peer wanted, if that is us, and else our own name (RFC 6120 §4.9.1.3). */
function refusalHeader(n: IncomingNegotiation): string {
  const { local, remote } = n.peer
  return headerXml({ from: local, ...(remote === undefined ? {} : { to: remote }), id: newStreamId(), version: true, lang: LANGUAGE })
}

/** 128 bits that nobody guesses: a dialback key is bound to it (RFC 6120 §4.7.3). */
function newStreamId(): string {
  return randomBytes(16).toString('base64url')
}
