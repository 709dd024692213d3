import type { FederationError } from '../errors.ts'
import type { DomainPair } from '../model/domain.ts'
import type { FederationEvents } from '../model/events.ts'
import type { Logger } from '../model/plugs.ts'
import type { Peer } from '../model/policy.ts'
import type { Report } from '../model/report.ts'

/** A logger whose methods may be async ones, although none is asked for. */
type Lines = { readonly [E in keyof FederationEvents]: (logger: Answering, detail: FederationEvents[E]) => unknown }
type Answering = { readonly [K in Exclude<keyof Logger, 'child'>]: (...by: Parameters<Logger[K]>) => unknown }

// Fields are picked one by one: what is not named here (keys, passwords, stanzas, raw headers) cannot reach a log.
const LINES: Lines = {
  'negotiation-started': (logger, { id, peer }) => logger.debug({ negotiation: id, ...about(peer) }, 'negotiation started'),
  'negotiation-step': (logger, { id, peer, entry }) => {
    const { step, outcome, code, took, message } = entry
    return logger.debug(
      { negotiation: id, ...about(peer), step, outcome, code, took, ...(message === undefined ? {} : { reason: message }) },
      'negotiation step'
    )
  },
  'negotiation-ended': (logger, { id, report }) => logEnd(logger, id, report),
  downgrade: (logger, { id, peer, from, to, because }) =>
    logger.warn({ negotiation: id, ...about(peer), from, to, because }, `downgraded from ${from} to ${to}`),
  'link-established': (logger, { link }) =>
    logger.info(
      { link: link.id, direction: link.direction, level: link.level, ...(link.tls === undefined ? {} : { tls: link.tls }) },
      'link established'
    ),
  'link-closed': (logger, { link, error }) =>
    logger.info({ link: link.id, direction: link.direction, ...aboutError(error) }, 'link closed'),
  'pair-authenticated': (logger, { link, pair }) => {
    const fields = {
      link: link.id,
      direction: link.direction,
      ...pair.pair,
      flow: pair.flow,
      level: pair.level,
      peerIdentity: pair.peerIdentity
    }
    if (pair.level === 'plain-dialback') return logger.warn(fields, 'pair authenticated WITHOUT ENCRYPTION')
    return logger.info(fields, 'pair authenticated')
  },
  'certificate-changed': (logger, { link, pair, before }) => {
    const { fingerprint256 = '', spki256 } = link.certificate ?? {}
    const key = spki256 === before.spki256 ? 'same' : 'new'
    const fields = { link: link.id, direction: link.direction, ...pair.pair, fingerprint256, before: before.fingerprint256, key }
    return logger.info(fields, 'certificate changed')
  },
  'route-changed': (logger, { route }) => {
    const { pair, state, stanzas, bytes, reason } = route
    return logger.debug({ ...pair, state, stanzas, bytes, ...(reason === undefined ? {} : { reason: reason.message }) }, 'route changed')
  },
  'settings-changed': (logger, { what }) => logger.info({ what }, 'settings changed'),
  'link-reset': (logger, { link, error }) =>
    logger.warn({ link: link.id, direction: link.direction, ...aboutError(error) }, 'link may not go on'),
  'stanza-bounced': (logger, { error }) => logger.info(aboutError(error), 'stanza bounced'),
  // Our own mistake is worth its stack; a peer's is said in full by the error's sentence.
  warning: (logger, { error }) =>
    logger.warn({ ...aboutError(error), ...(error.fault === 'us' ? { err: error.cause } : {}) }, error.message)
}

/**
 * Writes the one log line of an event. Every downgrade and every unencrypted pair is a warning.
 *
 * @returns what the logger returned, which may be a promise
 */
export function writeLine<E extends keyof FederationEvents>(logger: Logger, event: E, detail: FederationEvents[E]): unknown {
  return LINES[event](logger, detail)
}

function logEnd(logger: Answering, id: string, report: Report): unknown {
  const fields = { negotiation: id, ...about(report.peer), took: report.endedAt - report.startedAt }
  if (report.level !== undefined) return logger.info({ ...fields, level: report.level }, 'negotiation ended')
  const failure = { ...fields, code: report.error?.code, step: report.error?.step }
  const message = report.error?.message ?? 'negotiation ended without a link'
  // A stranger can make any number of these; a warning a second sums them up.
  return isTurnedAway(report) ? logger.debug(failure, message) : logger.info(failure, message)
}

function isTurnedAway({ peer, trace, error }: Report): boolean {
  return peer.direction === 'incoming' && trace.length === 0 && error?.code === 'S2S_LIMIT'
}

function about(peer: Peer): object {
  const { direction, local, remote, address, purpose } = peer
  return { direction, local, remote, purpose, ...(address === undefined ? {} : { address }) }
}

function aboutError(error: FederationError | undefined): object {
  if (error === undefined) return {}
  const pair: Partial<DomainPair> = error.pair ?? {}
  return { code: error.code, fault: error.fault, reason: error.message, step: error.step, condition: error.condition, ...pair }
}
